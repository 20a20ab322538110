// shoal plan for models whose experts are divided: who routes, who holds experts, and what that
// costs every token.
#pragma once

#include <string>
#include <vector>

#include "planner/experts.h"
#include "planner/pool_plan.h"
#include "planner/problem.h"
#include "planner/roles.h"

namespace shoal::cli {

struct DividedPlan {
  planner::Roles roles;
  planner::Problem problem;  // Of the stages: their volunteers, layers without their experts.
  planner::PoolPlan stages;
  planner::ExpertCost cost;
  // As if nobody were near anybody: what the same division costs through the coordinator alone.
  planner::ExpertCost apart;
  // From one token of a lone stream to its next.
  double token_s() const { return stages.prediction.token_s + cost.round_trips_s + cost.compute_s; }
  double token_s_apart() const {
    return stages.prediction.token_s + apart.round_trips_s + apart.compute_s;
  }
  bool complete() const { return roles.complete() && stages.complete(); }
};

// Divides every one of `layers`. `problem` is of the whole model.
Result<DividedPlan> PlanDivided(const planner::Problem& problem,
                                const std::vector<planner::ExpertLayer>& layers, uint32_t hidden,
                                uint32_t hop_bytes);

// For people.
std::string DescribeDivided(const DividedPlan& plan,
                            const std::vector<planner::ExpertLayer>& layers);

}  // namespace shoal::cli
