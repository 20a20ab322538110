// The experts that this volunteer holds, at work: checks requests, runs them in their turn, answers
// and counts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "net/event_loop.h"
#include "volunteer/outbox.h"
#include "volunteer/stage_keeper.h"
#include "volunteer/work_queue.h"
#include "volunteer/work_thread.h"

namespace shoal::volunteer {

class ExpertHolder {
 public:
  // All outlive this object.
  struct Parts {
    net::EventLoop& loop;
    WorkThread& work;
    WorkQueue& queue;
    Outbox& outbox;
  };
  // Of one request that was answered.
  struct Served {
    uint32_t rows = 0;
    uint64_t compute_us = 0;
  };

  ExpertHolder(const Parts& parts, std::function<void(const Served&)> on_served);

  // Answers rows with sums or a refusal. `held` is what is held now, or null.
  void OnRows(const HeldStagePtr& held, NodeId from, wire::ExpertRows rows, size_t bytes);

 private:
  void Refuse(NodeId from, uint64_t request, const Error& error);
  void Count(const wire::Assign& assign, const wire::ExpertRows& rows, uint64_t compute_us);
  void TellUsage();

  const Parts parts_;
  const std::function<void(const Served&)> on_served_;
  net::Timer usage_timer_;
  wire::ExpertUsage usage_;                                   // Since it was last told.
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> counts_;  // Rows by (block, group).
};

}  // namespace shoal::volunteer
