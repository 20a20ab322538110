// Placing experts: what must hold of every placement, over random pools; and what a token costs,
// against sums by hand.
#include "planner/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"
#include "planner/roles.h"

namespace shoal::planner {
namespace {

ExpertLayer Layer(uint32_t block, uint32_t groups, uint64_t bytes) {
  return {.block = block,
          .own = {.weight_bytes = 10},
          .group_bytes = std::vector(groups, bytes),
          .chosen = 2,
          .flops_per_expert = 4,
          .experts_per_group = 2};
}

ExpertNode Node(uint32_t node, uint64_t memory, uint32_t cluster = kFar) {
  return {.node = NodeId{node}, .memory_bytes = memory, .cluster = cluster};
}

uint64_t BytesOf(const std::vector<ExpertSlot>& slots, uint64_t each) {
  return slots.size() * each;
}

TEST(PlaceExperts, PlacesEveryGroupOnceWithinEverybodysMemory) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    const auto layer_count = static_cast<uint32_t>(1 + random.Below(4));
    const auto groups = static_cast<uint32_t>(1 + random.Below(6));
    const uint64_t bytes = 10 + random.Below(20);
    std::vector<ExpertLayer> layers;
    for (uint32_t b = 1; b <= layer_count; ++b) layers.push_back(Layer(b, groups, bytes));
    std::vector<ExpertNode> nodes;
    uint64_t slots_of_room = 0;
    for (uint32_t n = 1; n <= 1 + random.Below(6); ++n) {
      nodes.push_back(Node(n, random.Below(150), static_cast<uint32_t>(random.Below(3))));
      const uint64_t free = nodes.back().memory_bytes > 5 ? nodes.back().memory_bytes - 5 : 0;
      slots_of_room += free / (bytes * 110 / 100);
    }
    const ExpertLimits limits{.holders_min = 1, .overhead_bytes = 5, .weight_percent = 110};
    const ExpertPlan plan = PlaceExperts(layers, nodes, limits);
    std::multiset<ExpertSlot> placed;
    for (const auto& [node, slots] : plan.holders) {
      EXPECT_TRUE(std::ranges::is_sorted(slots));
      const auto of = std::ranges::find(nodes, node, &ExpertNode::node);
      ASSERT_NE(of, nodes.end());
      EXPECT_LE(BytesOf(slots, bytes * 110 / 100) + 5, of->memory_bytes);
      placed.insert(slots.begin(), slots.end());
    }
    const uint64_t wanted = uint64_t{layer_count} * groups;
    EXPECT_EQ(std::set(placed.begin(), placed.end()).size(), placed.size());
    EXPECT_EQ(placed.size(), std::min(wanted, slots_of_room));
    EXPECT_EQ(plan.missing_bytes == 0, placed.size() == wanted);
  }
}

TEST(PlaceExperts, LeavesWhatIsHeldWhereItIs) {
  const std::vector<ExpertLayer> layers = {Layer(1, 4, 10), Layer(2, 4, 10)};
  std::vector<ExpertNode> nodes = {Node(1, 60), Node(2, 60), Node(3, 60)};
  const ExpertPlan before = PlaceExperts(layers, nodes, {});
  ASSERT_TRUE(before.complete());
  for (ExpertNode& node : nodes) {
    const auto held = before.holders.find(node.node);
    if (held != before.holders.end()) node.held = held->second;
  }
  EXPECT_EQ(PlaceExperts(layers, nodes, {}).holders, before.holders);
  // One is lost: the others keep theirs, and who holds nothing takes over before who works.
  ASSERT_TRUE(before.holders.contains(NodeId{1}));
  nodes.erase(nodes.begin());
  nodes.push_back(Node(9, 200));
  const ExpertPlan after = PlaceExperts(layers, nodes, {});
  ASSERT_TRUE(after.complete());
  for (const auto& [node, slots] : before.holders) {
    if (node != NodeId{1}) EXPECT_EQ(after.holders.at(node), slots);
  }
  EXPECT_EQ(after.holders.at(NodeId{9}), before.holders.at(NodeId{1}));
}

TEST(PlaceExperts, KeepsALayerWithinOneNetworkWhereItFits) {
  const std::vector<ExpertLayer> layers = {Layer(1, 4, 10), Layer(2, 4, 10)};
  const std::vector<ExpertNode> nodes = {Node(1, 100), Node(2, 25, 1), Node(3, 25, 1),
                                         Node(4, 25, 2), Node(5, 25, 2)};
  const ExpertPlan plan = PlaceExperts(layers, nodes, {});
  ASSERT_TRUE(plan.complete());
  std::map<uint32_t, std::set<uint32_t>> networks;
  for (const auto& [node, slots] : plan.holders) {
    const auto of = std::ranges::find(nodes, node, &ExpertNode::node);
    for (const ExpertSlot& slot : slots) networks[slot.block].insert(of->cluster);
  }
  EXPECT_EQ(networks[1].size(), 1u);
  EXPECT_EQ(networks[2].size(), 1u);
  EXPECT_FALSE(networks[1].contains(kFar));
}

TEST(PlaceExperts, SpreadsALayerOverAsManyHoldersAsAreAskedFor) {
  const std::vector<ExpertLayer> layers = {Layer(1, 4, 10)};
  const std::vector<ExpertNode> nodes = {Node(1, 100), Node(2, 100), Node(3, 100)};
  for (const uint32_t holders : {1u, 2u, 3u}) {
    const ExpertPlan plan = PlaceExperts(layers, nodes, {.holders_min = holders});
    EXPECT_TRUE(plan.complete());
    EXPECT_GE(plan.holders.size(), holders);
  }
  const ExpertPlan few = PlaceExperts(layers, {Node(1, 100)}, {.holders_min = 3});
  EXPECT_EQ(few.missing_holders, 2u);
}

TEST(PlaceExperts, TakesFromHoldersWhereMoreAreAskedFor) {
  const std::vector<ExpertLayer> layers = {Layer(1, 6, 10), Layer(2, 6, 10)};
  std::vector<ExpertNode> nodes = {Node(1, 200), Node(2, 200), Node(3, 200)};
  nodes[0].held = {{1, 0}, {1, 1}, {1, 2}, {1, 3}, {2, 0}, {2, 1}};
  nodes[1].held = {{1, 4}, {1, 5}, {2, 2}, {2, 3}};
  nodes[2].held = {{2, 4}, {2, 5}};
  EXPECT_EQ(PlaceExperts(layers, nodes, {.holders_min = 3}).missing_holders, 1u);
  const ExpertPlan plan = PlaceExperts(layers, nodes, {.holders_min = 3, .may_move = true});
  ASSERT_TRUE(plan.complete());
  // One group alone moves, of the layer that two held, from the one who had most of it.
  EXPECT_EQ(plan.holders.at(NodeId{1}).size(), 5u);
  EXPECT_EQ(plan.holders.at(NodeId{2}), nodes[1].held);
  EXPECT_EQ(plan.holders.at(NodeId{3}).size(), 3u);
  std::set<ExpertSlot> placed;
  for (const auto& [node, slots] : plan.holders) placed.insert(slots.begin(), slots.end());
  EXPECT_EQ(placed.size(), 12u);
  // Nobody else has room: all stays, and it is said what is missing.
  nodes[2].memory_bytes = 20;
  const ExpertPlan full = PlaceExperts(layers, nodes, {.holders_min = 3, .may_move = true});
  EXPECT_EQ(full.holders.at(NodeId{1}), nodes[0].held);
  EXPECT_EQ(full.missing_holders, 1u);
}

TEST(DivideRoles, BeginsAnewWhereWhatIsHeldIsInTheWay) {
  const std::vector<BlockCost> blocks(4, BlockCost{.weight_bytes = 10});
  const std::vector<ExpertLayer> layers = {Layer(1, 2, 10), Layer(2, 1, 30)};
  std::vector<RoleNode> nodes;
  for (uint32_t n = 1; n <= 3; ++n) {
    nodes.push_back({.device = {NodeId{n}, 30, {}}, .experts = Node(n, 30)});
  }
  nodes[0] = {.device = {NodeId{1}, 45, {0, 4}}, .experts = Node(1, 45)};
  nodes[1].experts.held = {{1, 0}};
  nodes[2].experts.held = {{1, 1}};
  EXPECT_FALSE(DivideRoles(blocks, layers, nodes, {}, 1).complete());
  const Roles roles = DivideRoles(blocks, layers, nodes, {}, 1, Held::kMoves);
  ASSERT_TRUE(roles.complete());
  EXPECT_EQ(roles.experts.holders.size(), 2u);
}

TEST(DivideRoles, GivesStagesAsFewAsHoldThem) {
  std::vector<BlockCost> blocks(4, BlockCost{.weight_bytes = 10});
  const std::vector<ExpertLayer> layers = {Layer(1, 4, 10), Layer(2, 4, 10)};
  std::vector<RoleNode> nodes;
  for (uint32_t n = 1; n <= 4; ++n) {
    nodes.push_back({.device = {NodeId{n}, 45, {}}, .experts = Node(n, 45)});
  }
  const Roles roles = DivideRoles(blocks, layers, nodes, {}, 2);
  ASSERT_TRUE(roles.complete());
  EXPECT_FALSE(roles.experts.holders.contains(NodeId{1}));
  EXPECT_GE(roles.experts.holders.size(), 2u);
  nodes.resize(2);
  const Roles short_of = DivideRoles(blocks, layers, nodes, {}, 1);
  EXPECT_FALSE(short_of.complete());
  EXPECT_GT(short_of.missing_bytes, 0u);
}

// A router at 20 ms from the coordinator, its holders at 30 ms or in its own network.
TEST(CostOfExperts, AddsUpRoundTripsAndBytes) {
  Problem problem;
  problem.network.relay_s = 0;
  problem.network.clusters = {{.latency_s = 0.001, .bytes_per_s = 1e6}};
  for (uint32_t n = 1; n <= 3; ++n) {
    Volunteer one{.node = NodeId{n}};
    one.link = {.latency_s = n == 1 ? 0.02 : 0.03, .up_bytes_per_s = 1e6, .down_bytes_per_s = 1e6};
    one.speed = {.fixed_s = 0.004, .s_per_byte = 0, .s_per_flop = 0};
    problem.volunteers.push_back(one);
  }
  const std::vector<ExpertLayer> layers = {Layer(1, 4, 10), Layer(2, 4, 10)};
  const ExpertHolding holding = {{NodeId{2}, {{1, 0}, {1, 1}, {2, 0}, {2, 1}}},
                                 {NodeId{3}, {{1, 2}, {1, 3}, {2, 2}, {2, 3}}}};
  const std::map<uint32_t, NodeId> stage_of = {{1, NodeId{1}}, {2, NodeId{1}}};
  const ExpertCost far = CostOfExperts(problem, layers, holding, stage_of, 1000, 4);
  EXPECT_EQ(far.layers, 2u);
  EXPECT_EQ(far.layers_apart, 2u);
  // 4,000 bytes take 4 ms; through the router's port half as much again, since one and a half
  // holders are asked on average.
  EXPECT_NEAR(far.round_trips_s, 2 * (0.1 + 2 * 0.006 + 2 * 0.004), 1e-9);
  EXPECT_NEAR(far.compute_s, 2 * 0.004, 1e-9);
  // Half of the experts each, two are chosen: 1 - 1/4 of the rows go to either.
  EXPECT_NEAR(HoldersPerRow({4, 4}, 8, 2), 1.5, 1e-9);
  EXPECT_NEAR(static_cast<double>(far.bytes_down_per_token), 2 * 1.5 * 4064, 1);
  for (Volunteer& one : problem.volunteers) one.link.cluster = 1;
  const ExpertCost near = CostOfExperts(problem, layers, holding, stage_of, 1000, 4);
  EXPECT_EQ(near.layers_apart, 0u);
  EXPECT_NEAR(near.round_trips_s, 2 * 2 * (0.001 + 0.006), 1e-9);
}

}  // namespace
}  // namespace shoal::planner
