// Layers whose experts lie on volunteers of their own: roles, tables, losses, replicas.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "swarm/swarm.h"

namespace shoal::swarm {
namespace {

constexpr uint32_t kGroups = 4;

Config MixtureConfig(uint32_t expert_holders) {
  Config config;
  const planner::BlockCost own{.weight_bytes = 1000, .kv_bytes_per_position = 1};
  config.blocks.assign(4, own);
  for (const uint32_t block : {1u, 2u}) {
    config.mixtures.push_back({.block = block,
                               .own = own,
                               .group_bytes = std::vector<uint64_t>(kGroups, 1000),
                               .chosen = 2,
                               .flops_per_expert = 1,
                               .experts_per_group = 2});
    config.blocks[block].weight_bytes += kGroups * 1000;
  }
  config.expert_holders = expert_holders;
  config.vocab = 100;
  config.positions = 100;
  config.overhead_bytes = 0;
  config.hidden = 8;
  return config;
}

// What volunteers would do: load at once, and remember what they were told.
class Pool {
 public:
  explicit Pool(Config config) : swarm_(std::move(config)) {}

  void Join(uint32_t node, uint64_t memory, std::string identity = {}) {
    VolunteerJoined joined{NodeId{node}, "shoal", memory, {}, std::move(identity), {}};
    Feed(std::move(joined));
  }
  void Leave(uint32_t node) {
    experts_.erase(NodeId{node});
    tables_.erase(NodeId{node});
    Feed(VolunteerLeft{NodeId{node}, "test"});
  }
  void Feed(const Event& event) {
    std::vector<Effect> effects = swarm_.Handle(event, now_);
    for (size_t i = 0; i < effects.size(); ++i) {
      std::vector<Effect> more = Apply(effects[i]);
      effects.insert(effects.end(), more.begin(), more.end());
    }
  }
  void Wait(Micros time) {
    for (const Micros end = now_ + time; now_ < end; now_ += kSecond / 2) {
      for (const auto& [node, volunteer] : swarm_.volunteers()) heard_.insert(node);
      for (const NodeId node : heard_) Feed(VolunteerHeard{node});
      Feed(Tick{});
      heard_.clear();
    }
  }

  Swarm& swarm() { return swarm_; }
  const std::map<NodeId, std::vector<planner::ExpertSlot>>& experts() const { return experts_; }
  const std::map<NodeId, wire::ExpertTable>& tables() const { return tables_; }
  const std::map<NodeId, AssignSpan>& spans() const { return spans_; }

  // Every group in a stage's table lies with somebody who was told to hold it.
  void ExpectTablesToBeTrue() const {
    for (const auto& [node, table] : tables_) {
      for (const wire::ExpertHolder& holder : table.holders) {
        ASSERT_TRUE(experts_.contains(holder.node)) << holder.node.value;
        const auto& slots = experts_.at(holder.node);
        EXPECT_TRUE(
            std::ranges::binary_search(slots, planner::ExpertSlot{holder.block, holder.group}));
        EXPECT_EQ(swarm_.volunteers().at(holder.node).generation, holder.generation);
      }
    }
  }

 private:
  std::vector<Effect> Apply(const Effect& effect) {
    NodeId node;
    uint32_t generation = 0;
    if (const auto* span = std::get_if<AssignSpan>(&effect)) {
      node = span->node;
      generation = span->generation;
      spans_[node] = *span;
      experts_.erase(node);
    } else if (const auto* experts = std::get_if<AssignExperts>(&effect)) {
      node = experts->node;
      generation = experts->generation;
      experts_[node] = experts->slots;
      spans_.erase(node);
    } else if (const auto* sent = std::get_if<SendBody>(&effect)) {
      const auto* table = std::get_if<wire::ExpertTable>(&sent->body);
      if (table != nullptr) tables_[sent->to] = *table;
      return {};
    } else {
      return {};
    }
    return swarm_.Handle(StageProgress{node, {.generation = generation, .done = true}}, now_);
  }

  Swarm swarm_;
  Micros now_ = kSecond;
  std::set<NodeId> heard_;
  std::map<NodeId, std::vector<planner::ExpertSlot>> experts_;
  std::map<NodeId, wire::ExpertTable> tables_;
  std::map<NodeId, AssignSpan> spans_;
};

TEST(SwarmExperts, AreDividedOverAsManyAsIsAskedFor) {
  for (const uint32_t holders : {2u, 3u}) {
    Pool pool(MixtureConfig(holders));
    for (uint32_t node = 1; node <= holders; ++node) {
      pool.Join(node, 1'000'000);
      EXPECT_FALSE(pool.swarm().Availability());
    }
    pool.Join(holders + 1, 1'000'000);
    EXPECT_TRUE(pool.swarm().Availability()) << pool.swarm().Availability().error().ToString();
    EXPECT_EQ(pool.experts().size(), holders);
    ASSERT_EQ(pool.spans().size(), 1u);
    EXPECT_EQ(pool.spans().begin()->second.divided, (std::vector<uint32_t>{1, 2}));
    const auto& table = pool.tables().at(pool.spans().begin()->first);
    EXPECT_EQ(table.holders.size(), 2 * kGroups);
    pool.ExpectTablesToBeTrue();
    const NodeId stage = pool.spans().begin()->first;
    const NodeId holder = pool.experts().begin()->first;
    EXPECT_TRUE(pool.swarm().MayExchange(stage, holder));
    EXPECT_TRUE(pool.swarm().MayExchange(holder, stage));
    const NodeId other = std::next(pool.experts().begin())->first;
    EXPECT_FALSE(pool.swarm().MayExchange(holder, other));
  }
}

// Nobody has room for a whole mixture layer, all together for everything.
TEST(SwarmExperts, AreDividedOnlyWhereMemoryDemandsIt) {
  Pool whole(MixtureConfig(0));
  whole.Join(1, 1'000'000);
  EXPECT_TRUE(whole.swarm().Availability());
  EXPECT_TRUE(whole.experts().empty());
  EXPECT_TRUE(whole.spans().begin()->second.divided.empty());

  Pool divided(MixtureConfig(0));
  for (uint32_t node = 1; node <= 2; ++node) divided.Join(node, 5300);
  EXPECT_FALSE(divided.swarm().Availability());
  EXPECT_NE(divided.swarm().Availability().error().detail.find("falls short"), std::string::npos);
  divided.Join(3, 5300);
  EXPECT_TRUE(divided.swarm().Availability()) << divided.swarm().Availability().error().ToString();
  EXPECT_EQ(divided.experts().size(), 2u);
  divided.ExpectTablesToBeTrue();
}

TEST(SwarmExperts, ALostHolderIsReplacedByASpareAndStagesAreTold) {
  Pool pool(MixtureConfig(2));
  for (uint32_t node = 1; node <= 3; ++node) pool.Join(node, 1'000'000);
  const NodeId lost = pool.experts().begin()->first;
  const NodeId other = std::next(pool.experts().begin())->first;
  const uint32_t generation = pool.swarm().volunteers().at(other).generation;
  pool.Leave(lost.value);
  EXPECT_FALSE(pool.swarm().RouteReady());
  const auto& table = pool.tables().begin()->second;
  EXPECT_TRUE(std::ranges::any_of(
      table.holders, [](const wire::ExpertHolder& holder) { return holder.node == NodeId{}; }));
  pool.Join(9, 1'000'000);
  EXPECT_TRUE(pool.swarm().RouteReady());
  EXPECT_TRUE(pool.swarm().Availability());
  ASSERT_TRUE(pool.experts().contains(NodeId{9}));
  // Who was not lost went on all the while.
  EXPECT_EQ(pool.swarm().volunteers().at(other).generation, generation);
  pool.ExpectTablesToBeTrue();
}

// The plan from before a restart names who held stages; who holds experts is decided anew, among
// the same volunteers under other numbers.
TEST(SwarmExperts, AreDividedAgainAfterARestart) {
  const std::vector<std::string> names = {"ann", "bob", "cy"};
  Pool before(MixtureConfig(2));
  for (uint32_t i = 0; i < 3; ++i) before.Join(i + 1, 1'000'000, names[i]);
  ASSERT_TRUE(before.swarm().Availability());
  Config config = MixtureConfig(2);
  for (const auto& [node, span] : before.spans()) {
    const std::string& holder = before.swarm().volunteers().at(node).identity;
    config.expected.push_back({0, span.span, {holder}});
  }
  Pool after(config);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(after.swarm().Availability());
    after.Join(20 - i, 1'000'000, names[i]);
  }
  EXPECT_TRUE(after.swarm().Availability()) << after.swarm().Availability().error().ToString();
  ASSERT_EQ(after.spans().size(), 1u);
  EXPECT_EQ(after.spans().begin()->second.divided, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(after.experts().size(), 2u);
  EXPECT_EQ(after.tables().at(after.spans().begin()->first).holders.size(), 2 * kGroups);
  after.ExpectTablesToBeTrue();

  // Somebody else in the place of one who does not come back: not before the wait is over.
  Pool other(config);
  for (uint32_t i = 0; i < 3; ++i) other.Join(i + 1, 1'000'000, i == 0 ? "eve" : names[i]);
  const bool waits = config.expected.front().holders.front() == names[0];
  EXPECT_EQ(other.swarm().Availability().has_value(), !waits);
  other.Wait(config.expected_wait + kSecond);
  EXPECT_TRUE(other.swarm().Availability());
  other.ExpectTablesToBeTrue();
}

TEST(SwarmExperts, HotGroupsGetReplicasOnIdleVolunteersAndShareTheirRows) {
  Pool pool(MixtureConfig(2));
  for (uint32_t node = 1; node <= 3; ++node) pool.Join(node, 1'000'000);
  const auto [holder, slots] = *pool.experts().begin();
  // Too small for a stage, large enough for a group or two.
  pool.Join(9, 2300);
  ASSERT_FALSE(pool.experts().contains(NodeId{9}));
  for (int i = 0; i < 4; ++i) {
    pool.Feed(ExpertsUsed{holder,
                          {.generation = pool.swarm().volunteers().at(holder).generation,
                           .requests = 400,
                           .compute_us = 1,
                           .groups = {{slots[0].block, slots[0].group, 400}}}});
    pool.Wait(11 * kSecond);
  }
  ASSERT_TRUE(pool.experts().contains(NodeId{9}));
  EXPECT_EQ(pool.experts().at(NodeId{9}).front(), slots[0]);
  // The holder has other groups to serve: the replica is told of.
  const auto& table = pool.tables().begin()->second;
  EXPECT_TRUE(std::ranges::any_of(
      table.holders, [](const wire::ExpertHolder& one) { return one.node == NodeId{9}; }));
  pool.ExpectTablesToBeTrue();
  // Counts of a group that it does not hold say nothing.
  const uint64_t before = pool.swarm().Fingerprint();
  pool.Feed(ExpertsUsed{NodeId{9}, {.generation = 77, .groups = {{1, 0, 1}}}});
  EXPECT_EQ(pool.swarm().Fingerprint(), before);
}

}  // namespace
}  // namespace shoal::swarm
