// The stage that this volunteer holds: takes assignments, fetches and builds, tells the coordinator
// how far it is, and lets go when a newer one comes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/event_loop.h"
#include "volunteer/blob_cache.h"
#include "volunteer/expert_runner.h"
#include "volunteer/outbox.h"
#include "volunteer/session_table.h"
#include "volunteer/stage_fetch.h"
#include "volunteer/stage_runner.h"
#include "volunteer/work_queue.h"
#include "volunteer/work_thread.h"

namespace shoal::volunteer {

// A stage in use, or experts; of the two runners one is null. Work holds on to it, so that a newer
// assignment does not take it from under it.
struct HeldStage {
  wire::Assign assign;
  std::shared_ptr<StageRunner> runner;
  std::shared_ptr<ExpertRunner> experts;
};
using HeldStagePtr = std::shared_ptr<const HeldStage>;

struct StageKeeperEvents {
  std::function<void(const LoadProgress&)> on_progress;
  // Blocks [first, last) are ready; equal: nothing, or experts, if there are weights.
  // `weight_bytes`: of its files.
  std::function<void(uint32_t first, uint32_t last, uint64_t weight_bytes)> on_holding;
  std::function<void(const Error&)> on_problem;
};

class StageKeeper {
 public:
  // All but the last three outlive the keeper.
  struct Parts {
    net::EventLoop& loop;
    WorkThread& work;
    const BlobCache& cache;
    Outbox& outbox;
    SessionTable& sessions;
    WorkQueue& queue;  // Of everything that is done on the stage.
    engine::Parallel& parallel;
    FileOrigin origin;
    uint64_t memory_bytes = 0;
    EngineChoices engine;
  };
  StageKeeper(Parts parts, StageKeeperEvents events);

  // What steps are run with; null while nothing is held.
  const HeldStagePtr& held() const { return held_; }

  // Answers with ready frames, or with an error frame that names the generation.
  // kFailedPrecondition for an assignment older than the newest.
  Status Assign(wire::Assign assign);
  // The coordinator does not count on anything here any more. Files and graph stay for the next
  // assignment.
  void Forget();

 private:
  // What was built last, and from which graphs.
  struct Built {
    std::string graphs;
    std::shared_ptr<StageRunner> runner;
    std::shared_ptr<ExpertRunner> experts;
  };
  static Result<Built> BuildFrom(const wire::Assign& assign, const StagePaths& paths,
                                 engine::Parallel& parallel, const EngineChoices& choices);

  void Fetched(uint64_t load, Result<StagePaths> paths);
  void Build(uint64_t load, const StagePaths& paths);
  void Hold(uint64_t load);
  void Failed(uint64_t load, const Error& error);
  void Drop();
  void OnProgress(const LoadProgress& progress, bool always);
  void TellReady(bool done, uint64_t bytes_done, uint64_t bytes_fetched);

  Parts parts_;
  const StageKeeperEvents events_;
  wire::Assign newest_;  // Generation 0: none.
  HeldStagePtr held_;
  Built built_;
  CheckedFiles checked_;
  uint64_t load_ = 0;  // Counts assignments; results of older ones are dropped.
  bool is_loading_ = false;
  std::unique_ptr<StageFetch> fetch_;
  LoadProgress progress_;
  int64_t progress_at_us_ = INT64_MIN;
};

}  // namespace shoal::volunteer
