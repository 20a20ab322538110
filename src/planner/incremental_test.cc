// Changing a running plan: against planning anew, against moving nothing, and against thrashing.
#include "planner/incremental.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "planner/conversion.h"
#include "planner/random_problem.h"

namespace shoal::planner {
namespace {

// Every pipeline covers all blocks in order, nobody is in two places, everybody fits.
void ExpectValid(const Problem& problem, const PoolPlan& plan) {
  const Costs costs(problem);
  std::set<NodeId> seen;
  for (const Pipeline& pipeline : plan.pipelines) {
    uint32_t next = 0;
    for (const PlacedSpan& stage : pipeline.stages) {
      ASSERT_EQ(stage.span.first, next);
      ASSERT_LT(stage.span.first, stage.span.last);
      next = stage.span.last;
      ASSERT_FALSE(stage.nodes.empty());
      for (const NodeId node : stage.nodes) {
        ASSERT_TRUE(seen.insert(node).second);
        const auto at = std::ranges::find(problem.volunteers, node, &Volunteer::node);
        ASSERT_NE(at, problem.volunteers.end());
        const auto v = static_cast<Index>(at - problem.volunteers.begin());
        ASSERT_TRUE(costs.Fits(v, stage.span.first, stage.span.last));
      }
    }
    ASSERT_EQ(next, costs.block_count());
    ASSERT_GE(pipeline.stages.size(), std::min(problem.limits.stages_min, costs.block_count()));
  }
  for (const LeftOut& out : plan.left_out) ASSERT_TRUE(seen.insert(out.node).second);
  ASSERT_EQ(seen.size(), problem.volunteers.size());
}

Problem MiddlingPool(uint64_t seed, uint32_t volunteers) {
  Random random(seed);
  Problem problem;
  problem.blocks = LayeredBlocks({.layers = 24, .hidden = 2048, .intermediate = 8192});
  FillPool(problem, random, volunteers, seed % 2 == 0 ? 4 : 0);
  problem.workload.sessions = 1 + volunteers / 2;
  problem.objective.latency_weight = 0.5;
  problem.limits = {.positions = 2048, .overhead_bytes = 50'000'000, .weight_percent = 110};
  return problem;
}

// A volunteer of the plan.
NodeId SomebodyIn(const PoolPlan& plan, Random& random) {
  const Pipeline& pipeline = plan.pipelines[random.Below(plan.pipelines.size())];
  const PlacedSpan& stage = pipeline.stages[random.Below(pipeline.stages.size())];
  return stage.nodes[random.Below(stage.nodes.size())];
}

void Remove(Problem& problem, NodeId node) {
  std::erase_if(problem.volunteers, [&](const Volunteer& v) { return v.node == node; });
}

TEST(Replan, SmallPoolsStayNearTheBestThatThereIsAfterEveryLoss) {
  int compared = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Problem problem = SmallProblem(seed, 7, 8);
    problem.inertia.horizon_s = 1800;
    PoolPlan plan = *PlanPool(problem);
    if (!plan.complete()) continue;
    Random random(seed);
    Remove(problem, SomebodyIn(plan, random));
    if (problem.volunteers.empty()) continue;
    const PoolPlan changed = *Replan(problem, plan);
    Problem counted = problem;
    CountAsCached(counted, plan);
    const PoolPlan best = *PlanPool(counted);
    ASSERT_EQ(changed.complete(), best.complete()) << "seed " << seed;
    if (!best.complete()) continue;
    ExpectValid(counted, changed);
    ++compared;
    EXPECT_LE(changed.prediction.effective * (1 - problem.inertia.min_gain),
              best.prediction.effective * 1.03)
        << "seed " << seed;
  }
  EXPECT_GT(compared, 20);
}

TEST(Replan, ALossMovesLittleAndCostsLittle) {
  double moved = 0;
  double anew = 0;
  double worse = 0;
  int losses = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Problem problem = MiddlingPool(seed, 20);
    PoolPlan plan = *PlanPool(problem);
    ASSERT_TRUE(plan.complete());
    Random random(seed);
    for (int loss = 0; loss < 4; ++loss) {
      const NodeId lost = SomebodyIn(plan, random);
      Problem counted = problem;
      CountAsCached(counted, plan);
      Remove(problem, lost);
      Remove(counted, lost);
      const PoolPlan changed = *Replan(problem, plan);
      ExpectValid(problem, changed);
      // From nothing: as if no one had anything yet. What it would load if they do:
      const PoolPlan fresh = *PlanPool(problem);
      const PoolPlan fresh_cost = Reassess(counted, fresh);
      moved += static_cast<double>(changed.prediction.bytes_to_move);
      anew += static_cast<double>(fresh_cost.prediction.bytes_to_move);
      worse += std::log(changed.prediction.score / fresh.prediction.score);
      ++losses;
      plan = changed;
    }
  }
  std::printf("%d losses: %.2f GB a loss, %.2f GB by planning anew; score %.1f %% worse\n", losses,
              moved / losses / 1e9, anew / losses / 1e9, 100 * std::expm1(worse / losses));
  EXPECT_LT(moved, anew / 2);
  EXPECT_LT(worse / losses, 0.35);
}

// Three stages and one volunteer more, half as fast, with everything cached: another division would
// be quicker. `extra` holds what the first stage holds, or nothing.
struct ThreeStages {
  Problem problem = MiddlingPool(1, 4);
  PoolPlan plan;

  explicit ThreeStages(bool extra_is_replica) {
    const auto block_count = static_cast<uint32_t>(problem.blocks.size());
    problem.limits.stages_min = 3;
    problem.inertia.horizon_s = 30;
    for (Volunteer& v : problem.volunteers) {
      v = problem.volunteers.front();
      v.node = NodeId{static_cast<uint32_t>(1 + (&v - problem.volunteers.data()))};
      v.memory_bytes = 64'000'000'000;
      v.cached_bytes.clear();
      for (const BlockCost& block : problem.blocks) v.cached_bytes.push_back(block.weight_bytes);
    }
    ExecutorSpeed& slow = problem.volunteers.back().speed;
    slow = {.fixed_s = 2 * slow.fixed_s,
            .s_per_byte = 2 * slow.s_per_byte,
            .s_per_flop = 2 * slow.s_per_flop};
    Pipeline& pipeline = plan.pipelines.emplace_back();
    const uint32_t third = block_count / 3;
    pipeline.stages = {{{0, third}, {NodeId{1}}},
                       {{third, 2 * third}, {NodeId{2}}},
                       {{2 * third, block_count}, {NodeId{3}}}};
    if (extra_is_replica) {
      pipeline.stages.front().nodes.push_back(NodeId{4});
    } else {
      plan.left_out.push_back({NodeId{4}, LeftOutReason::kNotNeeded, "it is the spare"});
    }
  }
};

TEST(Replan, WhatIsBrokenGoesToASpareOrAReplicaAndNobodyElseMoves) {
  for (const bool extra_is_replica : {false, true}) {
    for (size_t lost = extra_is_replica ? 1 : 0; lost < 3; ++lost) {
      ThreeStages world(extra_is_replica);
      std::vector<PlacedSpan> wanted = world.plan.pipelines.front().stages;
      if (extra_is_replica) std::erase(wanted.front().nodes, NodeId{4});
      Remove(world.problem, wanted[lost].nodes.front());
      wanted[lost].nodes = {NodeId{4}};
      const PoolPlan mended = *Replan(world.problem, world.plan, Care::kQuick, Scope::kBroken);
      ASSERT_TRUE(mended.complete());
      EXPECT_EQ(mended.pipelines.front().stages, wanted) << extra_is_replica << ", " << lost;
    }
  }
}

// Without anybody to spare one neighbour takes all of it, and the other keeps what it has.
TEST(Replan, WhatIsBrokenAndHasNoSpareGoesToOneNeighbour) {
  ThreeStages world(false);
  world.problem.limits.stages_min = 2;
  Remove(world.problem, NodeId{2});
  Remove(world.problem, NodeId{4});
  const PoolPlan mended = *Replan(world.problem, world.plan, Care::kQuick, Scope::kBroken);
  ASSERT_TRUE(mended.complete());
  const std::vector<PlacedSpan>& before = world.plan.pipelines.front().stages;
  const std::vector<PlacedSpan>& after = mended.pipelines.front().stages;
  ASSERT_EQ(after.size(), 2u);
  EXPECT_TRUE(after.front() == before.front() || after.back() == before.back());
}

// A spare that would take ages is no help: those who are here share the blocks.
TEST(Replan, ASpareThatIsFarTooSlowMendsNothing) {
  ThreeStages world(false);
  world.problem.limits.stages_min = 2;
  world.problem.volunteers.back().speed.s_per_byte *= 100;
  Remove(world.problem, NodeId{2});
  const PoolPlan mended = *Replan(world.problem, world.plan, Care::kQuick, Scope::kBroken);
  ASSERT_TRUE(mended.complete());
  for (const PlacedSpan& stage : mended.pipelines.front().stages) {
    EXPECT_EQ(std::ranges::find(stage.nodes, NodeId{4}), stage.nodes.end());
  }
}

TEST(Replan, AnUnchangedPoolKeepsItsPlanAndLoadsNothing) {
  for (const uint32_t volunteers : {5u, 20u, 100u}) {
    const Problem problem = MiddlingPool(volunteers, volunteers);
    const PoolPlan plan = *PlanPool(problem);
    const PoolPlan again = *Replan(problem, plan);
    EXPECT_EQ(again.pipelines, plan.pipelines) << volunteers;
    EXPECT_EQ(again.prediction.bytes_to_move, 0u);
    EXPECT_EQ(Reconsider(problem, plan)->prediction.bytes_to_move, 0u);
  }
}

// Somebody joins and leaves again and again: whoever else is in the plan loads nothing after the
// first round.
TEST(Replan, AFlappingVolunteerMovesNobodyElse) {
  for (const uint32_t volunteers : {6u, 20u, 80u}) {
    Problem problem = MiddlingPool(3, volunteers);
    PoolPlan plan = *PlanPool(problem);
    Random random(volunteers);
    Volunteer flapper = RandomVolunteer(random, 1000, DeviceKind::kMiddling);
    uint64_t others = 0;
    for (uint32_t round = 0; round < 8; ++round) {
      flapper.node = NodeId{1000 + round};
      problem.volunteers.push_back(flapper);
      Problem counted = problem;
      CountAsCached(counted, plan);
      plan = *Replan(problem, plan);
      Remove(problem, flapper.node);
      CountAsCached(counted, plan);
      const PoolPlan without = *Replan(problem, plan);
      if (round > 1) others += without.prediction.bytes_to_move;
      plan = without;
    }
    EXPECT_EQ(others, 0u) << volunteers;
  }
}

TEST(Replan, ANewcomerWhoMakesAPlanPossibleOrMuchBetterIsTaken) {
  Problem problem = MiddlingPool(5, 1);
  problem.volunteers.front().memory_bytes = 300'000'000;
  PoolPlan plan = *PlanPool(problem);
  ASSERT_FALSE(plan.complete());
  EXPECT_GT(plan.missing_bytes, 0u);
  Random random(1);
  problem.volunteers.push_back(RandomVolunteer(random, 2, DeviceKind::kWeak));
  problem.volunteers.push_back(RandomVolunteer(random, 3, DeviceKind::kWeak));
  plan = *Replan(problem, plan);
  ASSERT_TRUE(plan.complete());
  const double before = plan.prediction.score;
  problem.volunteers.push_back(RandomVolunteer(random, 4, DeviceKind::kStrong));
  plan = *Replan(problem, plan);
  EXPECT_LT(plan.prediction.score, before / 2);
}

TEST(Replan, RefusesABadProblemAndForgetsAForeignPlan) {
  Problem problem = MiddlingPool(1, 6);
  PoolPlan plan = *PlanPool(problem);
  Problem bad = problem;
  bad.volunteers[0].link.up_bytes_per_s = 0;
  EXPECT_EQ(Replan(bad, plan).error().code, Code::kInvalidArgument);
  // Of a model with more blocks.
  plan.pipelines.front().stages.back().span.last += 3;
  const PoolPlan changed = *Replan(problem, plan);
  ExpectValid(problem, changed);
}

}  // namespace
}  // namespace shoal::planner
