// What is kept so that little is computed twice: prefixes, warm replicas, the KV of those who leave
// in good order; and who is kept at a distance.
#include <gtest/gtest.h>

#include <numeric>

#include "swarm/test_world.h"

namespace shoal::swarm {
namespace {

std::vector<int32_t> Tokens(int32_t from, size_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

std::vector<int32_t> Joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void JoinAll(World& world, uint32_t count) {
  for (uint32_t node = 1; node <= count; ++node) world.Join(node, 100000);
  world.Settle();
  world.Pass(5 * kSecond);
}

size_t RowsRun(const World& world) {
  size_t rows = 0;
  for (const auto& [node, count] : world.rows_run) rows += count;
  return rows;
}

TEST(Keeping, ASessionThatBeginsAlikeStartsFromThere) {
  World world(SmallConfig(2));
  JoinAll(world, 2);
  const std::vector<int32_t> system = Tokens(100, 80);
  world.Ask(1, Joined(system, {5, 6}), 4);
  world.Settle();
  ASSERT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 4));
  const size_t first = RowsRun(world);
  world.Ask(2, Joined(system, {7, 8, 9}), 4);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{2}].tokens, world.Expected(2, 4));
  // Both stages copied the 80 positions, and ran what was new: 3 + 3 rows each.
  EXPECT_EQ(world.copied[NodeId{1}], 80u);
  EXPECT_EQ(world.copied[NodeId{2}], 80u);
  EXPECT_EQ(RowsRun(world) - first, 2u * (3 + 3));
  EXPECT_EQ(world.routes.back().from, 80u);
}

// It is computed instead, at once: nobody waits for a deadline.
TEST(Keeping, APrefixThatCannotBeCopiedIsComputed) {
  for (const std::vector<uint32_t>& refusing : {std::vector{1u}, {2u}, {1u, 2u}}) {
    World world(SmallConfig(2));
    JoinAll(world, 2);
    const std::vector<int32_t> system = Tokens(100, 80);
    world.Ask(1, Joined(system, {5, 6}), 4);
    world.Settle();
    for (const uint32_t node : refusing) world.fakes[NodeId{node}].refuses_copies = true;
    const Micros before = world.now;
    world.Ask(2, Joined(system, {7, 8, 9}), 4);
    world.Settle();
    EXPECT_EQ(world.answers[SessionId{2}].tokens, world.Expected(2, 4));
    EXPECT_LT(world.now - before, kSecond);
  }
}

TEST(Keeping, ASessionUnderWayIsASourceToo) {
  World world(SmallConfig(2));
  JoinAll(world, 2);
  const std::vector<int32_t> system = Tokens(100, 80);
  world.Ask(1, Joined(system, {5, 6}), 200);
  while (world.answers[SessionId{1}].tokens.size() < 5) ASSERT_TRUE(world.Deliver());
  world.Ask(2, Joined(system, {7, 8, 9}), 30);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 200));
  EXPECT_EQ(world.answers[SessionId{2}].tokens, world.Expected(2, 30));
  EXPECT_EQ(world.copied[NodeId{1}], 80u);
}

TEST(Keeping, AReusedPrefixSurvivesALoss) {
  World world(SmallConfig(2));
  JoinAll(world, 4);
  const std::vector<int32_t> system = Tokens(100, 80);
  world.Ask(1, Joined(system, {5, 6}), 4);
  world.Settle();
  world.Ask(2, Joined(system, {7, 8, 9}), 100);
  while (world.answers[SessionId{2}].tokens.size() < 20) ASSERT_TRUE(world.Deliver());
  world.Kill(world.swarm.sessions().at(SessionId{2}).route.back().node.value);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{2}].tokens, world.Expected(2, 100));
}

TEST(Keeping, KeptPrefixesMakeRoomAndAreForgotten) {
  Config config = SmallConfig(2);
  config.retained_for = 30 * kSecond;
  config.positions = 120;
  World world(config);
  // Room for about two sessions of 120 positions beside three blocks.
  for (uint32_t node : {1, 2}) world.Join(node, 3300 + 3 * 300);
  world.Settle();
  for (uint64_t session = 1; session <= 6; ++session) {
    world.Ask(session, Tokens(static_cast<int32_t>(100 * session), 100), 20);
    world.Settle();
    EXPECT_EQ(world.answers[SessionId{session}].tokens, world.Expected(session, 20)) << session;
  }
  EXPECT_FALSE(world.swarm.retained().empty());
  for (const auto& [node, volunteer] : world.swarm.volunteers()) {
    EXPECT_LE(volunteer.leased_positions, 300u);
    EXPECT_EQ(volunteer.leased_positions, volunteer.spare_positions);
  }
  world.Pass(32 * kSecond);
  EXPECT_TRUE(world.swarm.retained().empty());
  for (const auto& [node, fake] : world.fakes) EXPECT_TRUE(fake.sessions.empty());
  EXPECT_EQ(world.swarm.kept_bytes(), 0u);
}

// A ping waits where a step runs. A step's own report says how long it waited and ran: what is left
// is the way there and back, and only that lets more frames be under way.
TEST(Keeping, WhatAStepTakesBesideItsRunIsTheWay) {
  World world(SmallConfig(1));
  JoinAll(world, 1);
  const Volunteer& volunteer = world.swarm.volunteers().at(NodeId{1});
  world.Feed(VolunteerHeard{NodeId{1}, 40 * kMillisecond});
  ASSERT_EQ(volunteer.round_trip, 40 * kMillisecond);
  const auto run = [&](uint64_t session, uint64_t queue_us, uint64_t compute_us) {
    world.Ask(session, Tokens(100, 5), 4);
    world.now += 30 * kMillisecond;
    world.Feed(StepReported{NodeId{1},
                            {.session = SessionId{session},
                             .epoch = world.swarm.sessions().at(SessionId{session}).epoch,
                             .rows = 5,
                             .queue_us = queue_us,
                             .compute_us = compute_us,
                             .encode_us = 1000}});
  };
  run(1, 20'000, 7'000);
  EXPECT_EQ(volunteer.round_trip, 2 * kMillisecond);
  // Longer than known: it waited for something else.
  run(2, 0, 20'000);
  EXPECT_EQ(volunteer.round_trip, 2 * kMillisecond);
  // More than has passed: not believed.
  run(3, 20'000, 20'000);
  EXPECT_EQ(volunteer.round_trip, 2 * kMillisecond);
}

TEST(Keeping, AReplicaFollowsAndTakesOverWithinAStep) {
  for (const bool head : {false, true}) {
    World world(SmallConfig(2));
    JoinAll(world, 4);
    world.Ask(1, Tokens(100, 60), 250);
    for (int i = 0; world.answers[SessionId{1}].tokens.size() < 100; ++i) {
      ASSERT_TRUE(world.Deliver());
      if (i % 40 == 0) world.Feed(Tick{});
    }
    const Session& session = world.swarm.sessions().at(SessionId{1});
    const Hop lost = head ? session.route.back() : session.route.front();
    const auto warm = std::ranges::find_if(
        session.warm, [&](const auto& entry) { return entry.second.span == lost.span; });
    ASSERT_NE(warm, session.warm.end());
    const NodeId replica = warm->first;
    EXPECT_GE(session.leases.at(replica).held + 24, session.size());
    world.Kill(lost.node.value);
    const SessionRouted& routed = world.routes.back();
    const auto stage = std::ranges::find(routed.stages, replica, &RouteStage::node);
    ASSERT_NE(stage, routed.stages.end());
    EXPECT_GE(stage->kept + 24, routed.from);
    world.Settle();
    EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 250));
  }
}

TEST(Keeping, WhoLeavesInGoodOrderHandsItsKvOver) {
  for (const bool head : {false, true}) {
    Config config = SmallConfig(2);
    config.warm_replicas = false;
    World world(config);
    JoinAll(world, 4);
    world.Ask(1, Tokens(100, 60), 250);
    while (world.answers[SessionId{1}].tokens.size() < 50) ASSERT_TRUE(world.Deliver());
    const Session& session = world.swarm.sessions().at(SessionId{1});
    const NodeId node = (head ? session.route.back() : session.route.front()).node;
    world.Feed(VolunteerLeaving{node, "closing"});
    EXPECT_FALSE(world.let_go.contains(node));
    world.Settle();
    EXPECT_TRUE(world.let_go.contains(node));
    EXPECT_EQ(world.imported.size(), 1u);
    EXPECT_TRUE(world.replayed.empty());
    const SessionRouted& routed = world.routes.back();
    EXPECT_GT(routed.epoch.value, 1u);
    for (const RouteStage& stage : routed.stages) {
      EXPECT_EQ(stage.kept + stage.copied, routed.from);
      EXPECT_EQ(stage.copied > 0, stage.node == *world.imported.begin());
    }
    EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 250));
  }
}

TEST(Keeping, WhoLeavesWithoutASuccessorWorksOnForAWhile) {
  World world(SmallConfig(2));
  JoinAll(world, 2);
  world.Ask(1, Tokens(100, 20), 250);
  while (world.answers[SessionId{1}].tokens.size() < 10) ASSERT_TRUE(world.Deliver());
  world.Feed(VolunteerLeaving{NodeId{1}, "closing"});
  world.Feed(Tick{});
  EXPECT_FALSE(world.let_go.contains(NodeId{1}));
  while (world.answers[SessionId{1}].tokens.size() < 30) ASSERT_TRUE(world.Deliver());
  world.now += 7 * kSecond;
  world.Feed(VolunteerHeard{NodeId{1}});
  world.Feed(VolunteerHeard{NodeId{2}});
  world.Feed(Tick{});
  EXPECT_TRUE(world.let_go.contains(NodeId{1}));
  world.Join(3, 100000);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 250));
}

TEST(Keeping, WhoComesAndGoesIsGivenNothingForAWhile) {
  World world(SmallConfig(2));
  JoinAll(world, 2);
  for (uint32_t node = 10; node < 13; ++node) {
    world.Join(node, 100000, "flapper");
    world.Pass(3 * kSecond);
    world.Kill(node);
    world.Pass(1 * kSecond);
  }
  world.Join(13, 100000, "flapper");
  world.Kill(1);
  world.Settle();
  EXPECT_FALSE(world.swarm.RouteReady());  // The second stage has nobody who can be relied on.
  EXPECT_TRUE(world.swarm.volunteers().at(NodeId{13}).span.empty());
  world.Join(14, 100000, "somebody else");
  world.Settle();
  EXPECT_TRUE(world.swarm.RouteReady());
  world.Pass(40 * kSecond);
  EXPECT_FALSE(world.swarm.volunteers().at(NodeId{13}).span.empty());
}

// Config::expected as it would be written down of a running swarm.
std::vector<ExpectedStage> Expected(const World& world) {
  std::vector<ExpectedStage> stages;
  for (const planner::PlacedSpan& placed : world.swarm.plan().pipelines.at(0).stages) {
    ExpectedStage& stage = stages.emplace_back(0, placed.span);
    for (const NodeId node : placed.nodes) {
      stage.holders.push_back(world.swarm.volunteers().at(node).identity);
    }
  }
  return stages;
}

TEST(Keeping, AfterARestartThePlanIsTakenUpAgain) {
  World before(SmallConfig(3));
  const std::vector<std::string> names = {"ann", "bob", "cy", "dee"};
  for (uint32_t i = 0; i < 4; ++i) before.Join(i + 1, 100000, names[i]);
  before.Pass(5 * kSecond);
  Config config = SmallConfig(3);
  config.expected = Expected(before);
  // They come back in another order, under other numbers, and somebody new among them.
  World after(config);
  after.Join(7, 100000, "eve");
  for (uint32_t i = 0; i < 4; ++i) after.Join(20 - i, 100000, names[i]);
  after.Settle();
  const std::vector<ExpectedStage> again = Expected(after);
  ASSERT_EQ(again.size(), config.expected.size());
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i].span, config.expected[i].span);
    EXPECT_EQ(again[i].holders, config.expected[i].holders);
  }
  after.Ask(1, {5, 6}, 20);
  after.Settle();
  EXPECT_EQ(after.answers[SessionId{1}].tokens, after.Expected(1, 20));
}

TEST(Keeping, AfterARestartWhoDoesNotComeBackIsReplaced) {
  World before(SmallConfig(2));
  for (const auto& [node, name] : {std::pair{1u, "ann"}, std::pair{2u, "bob"}}) {
    before.Join(node, 100000, name);
  }
  before.Settle();
  Config config = SmallConfig(2);
  config.expected = Expected(before);
  World after(config);
  after.Join(1, 100000, "ann");
  after.Join(2, 100000, "eve");
  after.Pass(10 * kSecond);
  EXPECT_FALSE(after.swarm.RouteReady());
  after.Pass(6 * kSecond);
  EXPECT_TRUE(after.swarm.RouteReady());
}

TEST(Keeping, AGreedyClientDoesNotKeepOthersWaiting) {
  Config config = SmallConfig(2);
  config.positions = 130;
  World world(config);
  // Room for two sessions at once.
  for (uint32_t node : {1, 2}) world.Join(node, 3300 + 3 * 130);
  world.Settle();
  std::vector<uint64_t> order;
  uint64_t next = 1;
  const auto ask = [&](const std::string& client, int count) {
    for (int i = 0; i < count; ++i, ++next) {
      world.answers[SessionId{next}] = {};
      SessionOpened opened{SessionId{next}, Tokens(static_cast<int32_t>(next), 20), 40};
      opened.client = client;
      world.Feed(opened);
    }
  };
  ask("greedy", 20);
  ask("modest", 3);
  while (world.Deliver()) {
    for (const auto& [id, answer] : world.answers) {
      if (answer.finished && std::ranges::find(order, id.value) == order.end()) {
        order.push_back(id.value);
      }
    }
  }
  ASSERT_EQ(order.size(), 23u);
  // Two of the greedy one's were under way; from then on the two take turns.
  for (uint64_t modest : {21, 22, 23}) {
    EXPECT_LT(std::ranges::find(order, modest) - order.begin(), 8) << modest;
  }
}

}  // namespace
}  // namespace shoal::swarm
