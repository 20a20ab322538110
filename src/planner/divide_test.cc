#include "planner/divide.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace shoal::planner {
namespace {

std::vector<BlockCost> Uniform(size_t count, uint64_t bytes) {
  return std::vector<BlockCost>(count, BlockCost{bytes, 0});
}

std::vector<uint32_t> Sizes(const Plan& plan) {
  std::vector<uint32_t> sizes;
  for (const Stage& stage : plan.stages) sizes.push_back(stage.span.size());
  return sizes;
}

TEST(Divide, TakesTheFewestDevicesThatHoldTheModel) {
  const std::vector<Device> devices = {{NodeId{1}, 50, {}}, {NodeId{2}, 200, {}}};
  const Plan plan = Divide(Uniform(10, 10), devices, {.stages_min = 1});
  ASSERT_EQ(plan.stages.size(), 1u);
  EXPECT_EQ(plan.stages[0].node, NodeId{2});
}

TEST(Divide, SharesByMemory) {
  const std::vector<Device> devices = {
      {NodeId{1}, 100, {}}, {NodeId{2}, 200, {}}, {NodeId{3}, 100, {}}};
  const Plan plan = Divide(Uniform(12, 10), devices, {.stages_min = 3});
  EXPECT_EQ(Sizes(plan), (std::vector<uint32_t>{6, 3, 3}));
}

TEST(Divide, SaysWhatIsMissing) {
  const Plan few = Divide(Uniform(4, 10), {{NodeId{1}, 1000, {}}}, {.stages_min = 3});
  EXPECT_FALSE(few.complete());
  EXPECT_EQ(few.missing_devices, 2u);
  EXPECT_EQ(few.missing_bytes, 0u);
  const Plan small = Divide(Uniform(4, 10), {{NodeId{1}, 25, {}}}, {.stages_min = 1});
  EXPECT_FALSE(small.complete());
  EXPECT_EQ(small.missing_devices, 0u);
  EXPECT_EQ(small.missing_bytes, 20u);
  // Memory enough, but the second cannot hold any block.
  const Plan tiny =
      Divide(Uniform(4, 10), {{NodeId{1}, 1000, {}}, {NodeId{2}, 9, {}}}, {.stages_min = 2});
  EXPECT_FALSE(tiny.complete());
  EXPECT_EQ(tiny.missing_devices, 1u);
  EXPECT_EQ(tiny.missing_bytes, 0u);
}

TEST(Divide, KeepsHoldersInPlace) {
  const std::vector<Device> devices = {
      {NodeId{1}, 500, {5, 10}}, {NodeId{2}, 500, {0, 5}}, {NodeId{3}, 500, {}}};
  const Plan plan = Divide(Uniform(10, 10), devices, {.stages_min = 2});
  ASSERT_EQ(plan.stages.size(), 2u);
  EXPECT_EQ(plan.stages[0], (Stage{NodeId{2}, {0, 5}}));
  EXPECT_EQ(plan.stages[1], (Stage{NodeId{1}, {5, 10}}));
}

// The oracle: try every division of the blocks over every subset and order of devices.
bool AnyPlanExists(const std::vector<BlockCost>& blocks, const std::vector<Device>& devices,
                   uint32_t used, uint32_t first, uint32_t stages, const Limits& limits) {
  if (first == blocks.size()) return stages >= limits.stages_min;
  for (size_t i = 0; i < devices.size(); ++i) {
    if ((used >> i & 1) != 0) continue;
    for (uint32_t last = first + 1; last <= blocks.size(); ++last) {
      if (BytesNeeded(blocks, {first, last}, limits) > devices[i].memory_bytes) break;
      if (AnyPlanExists(blocks, devices, used | 1u << i, last, stages + 1, limits)) return true;
    }
  }
  return false;
}

void ExpectValid(const std::vector<BlockCost>& blocks, const std::vector<Device>& devices,
                 const Plan& plan, const Limits& limits) {
  ASSERT_GE(plan.stages.size(), limits.stages_min);
  uint32_t next = 0;
  std::vector<NodeId> seen;
  for (const Stage& stage : plan.stages) {
    EXPECT_EQ(stage.span.first, next);
    EXPECT_FALSE(stage.span.empty());
    next = stage.span.last;
    EXPECT_EQ(std::ranges::count(seen, stage.node), 0);
    seen.push_back(stage.node);
    const auto device = std::ranges::find(devices, stage.node, &Device::node);
    ASSERT_NE(device, devices.end());
    EXPECT_LE(BytesNeeded(blocks, stage.span, limits), device->memory_bytes);
  }
  EXPECT_EQ(next, blocks.size());
}

TEST(Divide, RandomInstancesAreValidAndUniformBlocksNeverMissAPlan) {
  Random random(1);
  int complete = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<BlockCost> blocks(2 + random.Below(6));
    const bool uniform = random.Below(2) == 0;
    const BlockCost cost{5 + random.Below(20), random.Below(3)};
    for (BlockCost& block : blocks) {
      block = uniform ? cost : BlockCost{5 + random.Below(20), random.Below(3)};
    }
    std::vector<Device> devices(1 + random.Below(5));
    for (size_t i = 0; i < devices.size(); ++i) {
      devices[i] = {NodeId{static_cast<uint32_t>(i + 1)}, 10 + random.Below(60), {}};
    }
    const Limits limits{.stages_min = static_cast<uint32_t>(
                            1 + random.Below(std::min(devices.size(), blocks.size()))),
                        .positions = 2,
                        .overhead_bytes = 1};
    const Plan plan = Divide(blocks, devices, limits);
    if (plan.complete()) {
      ++complete;
      ExpectValid(blocks, devices, plan, limits);
    } else {
      EXPECT_TRUE(plan.missing_bytes > 0 || plan.missing_devices > 0);
      if (uniform) EXPECT_FALSE(AnyPlanExists(blocks, devices, 0, 0, 0, limits));
    }
  }
  EXPECT_GT(complete, 500);
}

TEST(Replace, GivesTheSpanToTheSmallestSpareThatFits) {
  const auto blocks = Uniform(6, 10);
  const Plan plan{.stages = {{NodeId{1}, {0, 3}}, {NodeId{2}, {3, 6}}}};
  const std::vector<Device> spares = {
      {NodeId{1}, 100, {0, 3}}, {NodeId{3}, 20, {}}, {NodeId{4}, 100, {}}, {NodeId{5}, 40, {}}};
  const Plan repaired = Replace(blocks, plan, NodeId{2}, spares, {});
  ASSERT_TRUE(repaired.complete());
  EXPECT_EQ(repaired.stages[0], plan.stages[0]);
  EXPECT_EQ(repaired.stages[1], (Stage{NodeId{5}, {3, 6}}));
  EXPECT_FALSE(Replace(blocks, plan, NodeId{2}, {{NodeId{3}, 20, {}}}, {}).complete());
}

}  // namespace
}  // namespace shoal::planner
