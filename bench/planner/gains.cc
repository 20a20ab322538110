#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <vector>

#include "bench.h"
#include "planner/divide.h"
#include "planner/pool_plan.h"
#include "planner/random_problem.h"
#include "planner/routes.h"

namespace shoal::planner {

namespace {

constexpr int kPools = 12;  // Of every kind, by seed.

// Two models: one that a laptop nearly holds, one that nobody does.
Problem MakeProblem(uint32_t volunteers, bool near, bool large, uint64_t seed) {
  Random random(seed);
  Problem problem;
  problem.blocks = large ? LayeredBlocks({.layers = 64, .hidden = 5120, .intermediate = 27648})
                         : LayeredBlocks({});
  FillPool(problem, random, volunteers, near ? 5 : 0);
  problem.limits = {.positions = 4096, .overhead_bytes = 50'000'000, .weight_percent = 110};
  return problem;
}

// Blocks in proportion to `share` over everybody, in order of joining; what does not fit moves on
// to those who have room. Empty: it does not fit.
Chain SplitBy(const Costs& costs, const std::vector<double>& share) {
  const uint32_t blocks = costs.block_count();
  const double all = std::accumulate(share.begin(), share.end(), 0.0);
  Chain chain;
  uint32_t first = 0;
  double wanted = 0;
  for (Index v = 0; v < costs.volunteer_count() && first < blocks; ++v) {
    wanted += share[v] / all * blocks;
    const auto end = std::clamp(static_cast<uint32_t>(std::lround(wanted)), first, blocks);
    const uint32_t last = std::min(end, costs.FitEnd(v, first));
    if (last > first) chain.push_back({v, {first, last}});
    first = std::max(first, last);
  }
  // Whoever has room left takes more, from the front.
  for (size_t i = 0; i < chain.size() && first < blocks; ++i) {
    const uint32_t start = i == 0 ? 0 : chain[i - 1].span.last;
    const uint32_t size = chain[i].span.size();
    const uint32_t most = costs.FitEnd(chain[i].volunteer, start);
    const uint32_t more = std::min(blocks - first, most - std::min(most, start + size));
    chain[i].span = {start, std::min(start + size + more, most)};
    const uint32_t shift = chain[i].span.last;
    uint32_t at = shift;
    for (size_t j = i + 1; j < chain.size(); ++j) {
      const uint32_t length = chain[j].span.size();
      chain[j].span = {at, at + length};
      at += length;
    }
    first = at;
  }
  const bool fits = first == blocks && std::ranges::all_of(chain, [&](const ChainStage& stage) {
                      return costs.Fits(stage.volunteer, stage.span.first, stage.span.last);
                    });
  return fits ? chain : Chain{};
}

// The fewest volunteers that hold the model, the largest ones, each by its memory: exo's way.
Chain FewestByMemory(const Costs& costs) {
  const Problem& problem = costs.problem();
  std::vector<Device> devices;
  for (Index v = 0; v < costs.volunteer_count(); ++v) {
    devices.push_back({NodeId{v}, problem.volunteers[v].memory_bytes, {}});
  }
  Chain chain;
  for (const Stage& stage : Divide(problem.blocks, std::move(devices), problem.limits).stages) {
    chain.push_back({stage.node.value, stage.span});
  }
  return chain;
}

constexpr size_t kSplits = 3;
struct Row {
  int plans = 0;
  int splits[kSplits] = {};
  double latency_gain[kSplits] = {};  // Sums of logarithms.
  double throughput_gain[kSplits] = {};
};

void Measure(uint32_t volunteers, bool near, bool large, Row& row) {
  for (uint64_t seed = 0; seed < kPools; ++seed) {
    Problem problem = MakeProblem(volunteers, near, large, seed + 100 * volunteers);
    Problem many = problem;
    many.workload.sessions = 2 * volunteers;
    many.objective.latency_weight = 0;
    const PoolPlan fast = *PlanPool(problem);
    const PoolPlan wide = *PlanPool(many);
    if (!fast.complete()) continue;
    ++row.plans;
    const Costs one(problem);
    const Costs all(many);
    std::vector<double> memory;
    for (const Volunteer& volunteer : problem.volunteers) {
      memory.push_back(static_cast<double>(volunteer.memory_bytes));
    }
    const Chain chains[kSplits] = {SplitBy(one, std::vector<double>(volunteers, 1.0)),
                                   SplitBy(one, memory), FewestByMemory(one)};
    for (size_t k = 0; k < kSplits; ++k) {
      const Chain& chain = chains[k];
      if (chain.empty()) continue;
      ++row.splits[k];
      row.latency_gain[k] +=
          std::log(EvaluateChain(one, chain).latency_s / fast.prediction.stream_s);
      row.throughput_gain[k] +=
          std::log(wide.prediction.tokens_per_s / EvaluateChain(all, chain).throughput);
    }
  }
}

}  // namespace

void MeasureGains() {
  std::printf(
      "| volunteers | where | model | plans | equal, all | latency | tokens/s | by memory, all | "
      "latency | tokens/s | by memory, fewest | latency | tokens/s |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const uint32_t volunteers : {5u, 15u, 50u}) {
    for (const bool near : {true, false}) {
      for (const bool large : {false, true}) {
        Row row;
        Measure(volunteers, near, large, row);
        std::printf("| %u | %s | %s | %d", volunteers, near ? "near" : "far", large ? "32B" : "8B",
                    row.plans);
        for (size_t k = 0; k < kSplits; ++k) {
          const double count = std::max(row.splits[k], 1);
          if (row.splits[k] == 0) {
            std::printf(" | 0 | - | -");
          } else {
            std::printf(" | %d | %.2fx | %.2fx", row.splits[k],
                        std::exp(row.latency_gain[k] / count),
                        std::exp(row.throughput_gain[k] / count));
          }
        }
        std::printf(" |\n");
        std::fflush(stdout);
      }
    }
  }
}

}  // namespace shoal::planner
