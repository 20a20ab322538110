#include "volunteer/expert_holder.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "volunteer/expert_runner.h"

namespace shoal::volunteer {

namespace {
constexpr net::Duration kTellEvery = std::chrono::seconds(1);
}  // namespace

ExpertHolder::ExpertHolder(const Parts& parts, std::function<void(const Served&)> on_served)
    : parts_(parts), on_served_(std::move(on_served)), usage_timer_(parts.loop) {}

void ExpertHolder::Refuse(NodeId from, uint64_t request, const Error& error) {
  // Always allowed: a number, a code and text.
  (void)parts_.outbox.Send(
      wire::ExpertRefusal{
          .request = request, .code = static_cast<uint8_t>(error.code), .detail = error.detail},
      from);
}

void ExpertHolder::OnRows(const HeldStagePtr& held, NodeId from, wire::ExpertRows rows,
                          size_t bytes) {
  const uint64_t request = rows.request;
  Status status = held && held->experts
                      ? CheckExpertRows(held->assign, rows)
                      : Fail(Code::kFailedPrecondition, "no experts are held here");
  if (!status) return Refuse(from, request, status.error());
  const auto shared = std::make_shared<const wire::ExpertRows>(std::move(rows));
  status = parts_.queue.Push(bytes, [this, held, from, shared](WorkQueue::Done done) {
    struct Ran {
      Result<wire::ExpertSums> sums = wire::ExpertSums();
      uint64_t us = 0;
    };
    const auto ran = std::make_shared<Ran>();
    parts_.work.Do(
        [held, shared, ran, &clock = parts_.loop] {
          const int64_t from_us = clock.NowUs();
          ran->sums = held->experts->Run(*shared);
          ran->us = static_cast<uint64_t>(clock.NowUs() - from_us);
        },
        [this, held, from, shared, ran, done = std::move(done)] {
          if (ran->sums) {
            Count(held->assign, *shared, ran->us);
            const auto sent = parts_.outbox.Send(*std::move(ran->sums), from);
            if (!sent) Refuse(from, shared->request, sent.error());
          } else {
            Refuse(from, shared->request, ran->sums.error());
          }
          done();
        });
  });
  if (!status) Refuse(from, request, status.error());
}

void ExpertHolder::Count(const wire::Assign& assign, const wire::ExpertRows& rows,
                         uint64_t compute_us) {
  on_served_({rows.rows, compute_us});
  if (usage_.generation != assign.generation) {
    usage_ = {.generation = assign.generation};
    counts_.clear();
  }
  ++usage_.requests;
  usage_.compute_us += compute_us;
  const auto part = std::ranges::find(assign.experts, rows.block, &wire::ExpertPart::block);
  uint32_t last_row = 0;
  const wire::ExpertRange* last_range = nullptr;
  for (const wire::ExpertChoice& choice : rows.choices) {
    const auto range = std::ranges::find_if(part->groups, [&](const wire::ExpertRange& one) {
      return choice.expert >= one.first && choice.expert - one.first < one.count;
    });
    // Choices of a row are in the order of the groups: each is counted once.
    if (last_range == &*range && last_row == choice.row) continue;
    last_range = &*range;
    last_row = choice.row;
    ++counts_[{rows.block, range->group}];
  }
  if (!usage_timer_.active()) usage_timer_.After(kTellEvery, [this] { TellUsage(); });
}

void ExpertHolder::TellUsage() {
  for (const auto& [place, rows] : counts_) {
    usage_.groups.push_back({place.first, place.second, rows});
  }
  const uint32_t generation = usage_.generation;
  parts_.outbox.Tell(std::move(usage_));
  usage_ = {.generation = generation};
  counts_.clear();
}

}  // namespace shoal::volunteer
