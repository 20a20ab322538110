#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "bench.h"
#include "planner/incremental.h"
#include "planner/random_problem.h"

namespace shoal::planner {

namespace {

double Milliseconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

// A model of 80 layers and 70 GB in 8-bit weights: about 30 volunteers to a pipeline.
Problem LargeModel(uint32_t volunteers, uint64_t seed) {
  Random random(seed);
  Problem problem;
  problem.blocks = LayeredBlocks({.layers = 80, .hidden = 8192, .intermediate = 28672});
  FillPool(problem, random, volunteers, 6);
  problem.workload.sessions = std::max(1u, volunteers / 8);
  problem.objective.latency_weight = 0.5;
  problem.limits = {.positions = 4096, .overhead_bytes = 50'000'000, .weight_percent = 110};
  return problem;
}

struct Times {
  std::vector<double> ms;
  double at(double part) {
    std::ranges::sort(ms);
    return ms[static_cast<size_t>(part * static_cast<double>(ms.size() - 1))];
  }
};

// Volunteers in the plan leave one after another and come back.
void ChangeOneByOne(Problem problem, PoolPlan plan, Times& leave, Times& join) {
  Random random(7);
  for (int round = 0; round < 20; ++round) {
    const Pipeline& pipeline = plan.pipelines[random.Below(plan.pipelines.size())];
    const PlacedSpan& stage = pipeline.stages[random.Below(pipeline.stages.size())];
    const NodeId node = stage.nodes[random.Below(stage.nodes.size())];
    const auto at = std::ranges::find(problem.volunteers, node, &Volunteer::node);
    Volunteer gone = *at;
    problem.volunteers.erase(at);
    leave.ms.push_back(Milliseconds([&] { plan = *Replan(problem, plan); }));
    gone.node = NodeId{1'000'000 + static_cast<uint32_t>(round)};
    problem.volunteers.push_back(std::move(gone));
    join.ms.push_back(Milliseconds([&] { plan = *Replan(problem, plan); }));
  }
}

}  // namespace

void MeasureSpeed() {
  std::printf(
      "| volunteers | pipelines | whole pool ms | leave ms, median | most | join ms, median | most "
      "|\n|---|---|---|---|---|---|---|\n");
  for (const uint32_t volunteers : {10u, 50u, 100u, 1000u, 10'000u}) {
    const Problem problem = LargeModel(volunteers, 1);
    PoolPlan plan;
    const double whole = Milliseconds([&] { plan = *PlanPool(problem); });
    if (!plan.complete()) {
      std::printf("| %u | none | %.1f | | | | |\n", volunteers, whole);
      continue;
    }
    Times leave;
    Times join;
    const size_t pipelines = plan.pipelines.size();
    ChangeOneByOne(problem, std::move(plan), leave, join);
    std::printf("| %u | %zu | %.1f | %.1f | %.1f | %.1f | %.1f |\n", volunteers, pipelines, whole,
                leave.at(0.5), leave.at(1), join.at(0.5), join.at(1));
  }
}

}  // namespace shoal::planner
