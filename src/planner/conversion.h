// Between the planner's drafts (indices) and its answers (nodes, predictions, reasons).
#pragma once

#include <unordered_map>

#include "planner/draft.h"
#include "planner/pool_plan.h"

namespace shoal::planner {

// The draft as an answer: prediction and reasons included.
PoolPlan Finish(const Draft& draft);

// What is lacking for any plan; the pipelines stay empty.
PoolPlan NoPlan(const Problem& problem);

// The part of `plan` that still stands: nodes that are gone or have no room any more are dropped.
struct Standing {
  std::vector<DraftPipeline> whole;
  std::vector<DraftPipeline> broken;  // With stages that nobody holds any more.
};
Standing StandingOf(const Costs& costs, const PoolPlan& plan);

// `plan` with the prediction that holds for it now; empty if a stage has lost its last holder.
PoolPlan Reassess(const Problem& problem, const PoolPlan& plan);

}  // namespace shoal::planner
