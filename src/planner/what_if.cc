#include "planner/what_if.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::planner {

namespace {

// `problem` with `count` more volunteers like that one, who have nothing cached.
PoolPlan PlanWith(Problem problem, size_t like, uint32_t count) {
  uint32_t highest = 0;
  for (const Volunteer& volunteer : problem.volunteers) {
    highest = std::max(highest, volunteer.node.value);
  }
  for (uint32_t i = 1; i <= count; ++i) {
    Volunteer more = problem.volunteers[like];
    more.node = NodeId{highest + i};
    more.cached_bytes.clear();
    problem.volunteers.push_back(std::move(more));
  }
  Result<PoolPlan> plan = PlanPool(problem);
  CHECK(plan.has_value());
  return *std::move(plan);
}

}  // namespace

std::vector<WhatIf> AskWhatIf(const Problem& problem, const std::vector<size_t>& likes) {
  std::vector<WhatIf> answers;
  const Result<PoolPlan> now = PlanPool(problem);
  CHECK(now.has_value());
  for (const size_t like : likes) {
    CHECK(like < problem.volunteers.size());
    uint32_t count = 1;
    PoolPlan plan = PlanWith(problem, like, count);
    if (!now->complete()) {
      // Doubled until there is a plan, then halved back: more of a kind never take a plan away.
      while (!plan.complete() && count < kWhatIfMost) {
        count = std::min(2 * count, kWhatIfMost);
        plan = PlanWith(problem, like, count);
      }
      if (!plan.complete()) continue;
      for (uint32_t step = count / 4; step > 0; step /= 2) {
        if (count <= step) continue;
        PoolPlan fewer = PlanWith(problem, like, count - step);
        if (!fewer.complete()) continue;
        count -= step;
        plan = std::move(fewer);
      }
    }
    const uint32_t known = std::ranges::max(problem.volunteers, {}, &Volunteer::node).node.value;
    bool used = false;
    for (const Pipeline& pipeline : plan.pipelines) {
      for (const PlacedSpan& stage : pipeline.stages) {
        used = used || std::ranges::any_of(stage.nodes, [&](NodeId n) { return n.value > known; });
      }
    }
    answers.push_back({like, count, plan.prediction, used});
  }
  return answers;
}

}  // namespace shoal::planner
