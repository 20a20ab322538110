// The steps of a stage whose experts are elsewhere, each between its parts: what has been asked,
// who has answered, and what comes next.
//
//   part 0 --> ask --> part 1 --> ask --> ... --> last part --> done
//
// While a step waits, the work queue is free for other steps. A step whose experts do not answer in
// time fails, with its KV as it was before.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "net/event_loop.h"
#include "volunteer/expert_exchange.h"
#include "volunteer/outbox.h"
#include "volunteer/stage_keeper.h"
#include "volunteer/step.h"
#include "volunteer/work_queue.h"
#include "volunteer/work_thread.h"

namespace shoal::volunteer {

// What a step's run took, all parts together.
struct StepCost {
  uint64_t compute_us = 0;
  uint64_t bytes_out = 0;  // To the holders of experts.
};

class DividedSteps {
 public:
  // How long a step may wait for experts, all its layers together.
  static constexpr net::Duration kPatience = std::chrono::seconds(15);

  // All outlive this object.
  struct Parts {
    net::EventLoop& loop;
    WorkThread& work;
    WorkQueue& queue;
    Outbox& outbox;
  };
  using Done = std::function<void(RunResult, StepCost)>;

  explicit DividedSteps(const Parts& parts) : parts_(parts) {}

  // Runs all groups of `admitted` through all parts of the stage. `leave` is called when the first
  // part is over, `done` with the outcome. Belongs into a turn of the queue.
  void Run(HeldStagePtr held, std::shared_ptr<const AdmittedStep> admitted, WorkQueue::Done leave,
           Done done);

  void OnTable(wire::ExpertTable table);
  void OnSums(NodeId from, const wire::ExpertSums& sums);
  void OnRefusal(NodeId from, const wire::ExpertRefusal& refusal);
  // Sessions were cancelled, re-routed or released: steps that nobody waits for any more end.
  void DropUnwanted();
  // Another stage is held, or none: every step that waits ends.
  void DropAll();

 private:
  struct Step;
  using StepPtr = std::shared_ptr<Step>;

  void RunPart(const StepPtr& step, WorkQueue::Done leave);
  void PartRan(const StepPtr& step, RunResult result);
  void Ask(const StepPtr& step);
  void Look(const StepPtr& step);
  void GoOn(const StepPtr& step);
  void Fail(const StepPtr& step, const Error& error);
  void Finish(const StepPtr& step);

  const Parts parts_;
  wire::ExpertTable table_;
  std::vector<StepPtr> waiting_;  // For experts.
  uint64_t next_request_ = 1;
};

}  // namespace shoal::volunteer
