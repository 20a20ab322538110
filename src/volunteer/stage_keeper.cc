#include "volunteer/stage_keeper.h"

#include <utility>

#include "base/str_cat.h"
#include "volunteer/assignment.h"

namespace shoal::volunteer {

namespace {

constexpr int64_t kProgressEveryUs = 200'000;

// What tells one assignment's graphs from another's: their hashes.
std::string NamesOf(const wire::Assign& assign) {
  std::string names;
  for (const wire::StageFile& graph : GraphsOf(assign)) names += graph.location;
  return names;
}

}  // namespace

StageKeeper::StageKeeper(Parts parts, StageKeeperEvents events)
    : parts_(std::move(parts)), events_(std::move(events)) {}

Status StageKeeper::Assign(wire::Assign assign) {
  if (assign.generation < newest_.generation || assign.generation == 0) {
    return Fail(Code::kFailedPrecondition, StrCat("assignment ", assign.generation,
                                                  " came after assignment ", newest_.generation));
  }
  if (assign.generation == newest_.generation && (held_ || is_loading_)) {
    // Told again after a lost connection: what is held or under way stays.
    if (held_) TellReady(true, FileBytes(newest_), 0);
    return {};
  }
  Drop();
  newest_ = std::move(assign);
  const uint64_t load = ++load_;
  is_loading_ = true;
  progress_ = {};
  if (Status sound = CheckAssign(newest_, parts_.memory_bytes); !sound) {
    Failed(load, sound.error());
    return {};
  }
  if (HoldsNothing(newest_)) {
    built_ = {};
    Hold(load);
    return {};
  }
  fetch_ = std::make_unique<StageFetch>(
      parts_.loop, parts_.work, parts_.cache, parts_.origin, checked_, newest_,
      FetchCallbacks{
          .on_progress = [this](const LoadProgress& progress) { OnProgress(progress, false); },
          .on_done = [this, load](Result<StagePaths> paths) { Fetched(load, std::move(paths)); }});
  return {};
}

void StageKeeper::Forget() {
  ++load_;
  newest_ = {};
  Drop();
}

void StageKeeper::Fetched(uint64_t load, Result<StagePaths> paths) {
  if (!paths) return Failed(load, paths.error());
  OnProgress(progress_, true);
  // The same graphs, the same weights: they are named in them by their hashes.
  if (built_.graphs == NamesOf(newest_)) return Hold(load);
  built_ = {};
  Build(load, *paths);
}

// In the queue, behind whatever the last stage still has to do.
void StageKeeper::Build(uint64_t load, const StagePaths& paths) {
  parts_.queue.PushAlways(0, [this, load, paths](WorkQueue::Done done) {
    if (load != load_) return done();
    const auto built = std::make_shared<Result<Built>>();
    parts_.work.Do(
        [built, paths, assign = newest_, parallel = &parts_.parallel, engine = parts_.engine] {
          *built = BuildFrom(assign, paths, *parallel, engine);
        },
        [this, load, built, done = std::move(done)] {
          if (load == load_ && !*built) {
            Failed(load, built->error());
          } else if (load == load_) {
            built_ = *std::move(*built);
            Hold(load);
          }
          done();
        });
  });
}

Result<StageKeeper::Built> StageKeeper::BuildFrom(const wire::Assign& assign,
                                                  const StagePaths& paths,
                                                  engine::Parallel& parallel,
                                                  const EngineChoices& choices) {
  Built built{.graphs = NamesOf(assign), .runner = nullptr, .experts = nullptr};
  if (HoldsStage(assign)) {
    ASSIGN_OR_RETURN(built.runner, StageRunner::Load(assign, paths, parallel, choices));
  } else {
    ASSIGN_OR_RETURN(built.experts, ExpertRunner::Load(assign, paths, parallel, choices.exact));
  }
  return built;
}

void StageKeeper::Hold(uint64_t load) {
  if (load != load_) return;
  is_loading_ = false;
  const bool holds = !HoldsNothing(newest_);
  const uint64_t weight_bytes = holds ? FileBytes(newest_) : 0;
  if (holds) held_ = std::make_shared<const HeldStage>(newest_, built_.runner, built_.experts);
  if (HoldsStage(newest_)) {
    parts_.sessions.Reset({.generation = newest_.generation,
                           .has_head = built_.runner->has_head(),
                           .positions = newest_.positions,
                           .kv_bytes_per_position = KvBytesPerPosition(newest_),
                           .kv_bytes_max = parts_.memory_bytes - weight_bytes});
  }
  TellReady(true, weight_bytes, 0);
  events_.on_holding(newest_.first, newest_.last, weight_bytes);
}

void StageKeeper::Failed(uint64_t load, const Error& error) {
  if (load != load_) return;
  is_loading_ = false;
  // Files may have been at fault: the next assignment has them checked anew.
  checked_.clear();
  parts_.outbox.TellError(error, {.generation = newest_.generation});
  events_.on_problem(error);
}

// Lets go of the assignment and of every session.
void StageKeeper::Drop() {
  fetch_ = nullptr;
  is_loading_ = false;
  held_ = nullptr;
  for (const SessionPtr& session : parts_.sessions.Reset({})) {
    parts_.queue.PushAlways(0, [this, session, runner = built_.runner](WorkQueue::Done done) {
      // A cache whose opening failed is not there.
      parts_.work.Do([runner, kv = session->kv] { (void)runner->Release(kv); }, std::move(done));
    });
  }
}

void StageKeeper::OnProgress(const LoadProgress& progress, bool always) {
  progress_ = progress;
  const int64_t now = parts_.loop.NowUs();
  if (!always && progress_at_us_ != INT64_MIN && now - progress_at_us_ < kProgressEveryUs) return;
  progress_at_us_ = now;
  TellReady(false, progress_.bytes_done, progress_.bytes_fetched);
  events_.on_progress(progress_);
}

void StageKeeper::TellReady(bool done, uint64_t bytes_done, uint64_t bytes_fetched) {
  parts_.outbox.Tell(wire::Ready{.generation = newest_.generation,
                                 .done = done,
                                 .bytes_done = bytes_done,
                                 .bytes_total = HoldsNothing(newest_) ? 0 : FileBytes(newest_),
                                 .bytes_fetched = bytes_fetched});
}

}  // namespace shoal::volunteer
