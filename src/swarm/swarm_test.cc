// The state machine's main ways, in the world of test_world.h.
#include "swarm/swarm.h"

#include <gtest/gtest.h>

#include "swarm/test_world.h"

namespace shoal::swarm {
namespace {

TEST(Swarm, RefusesUntilEnoughVolunteersAreReady) {
  World world(SmallConfig(3));
  EXPECT_EQ(world.swarm.Availability().error().code, Code::kUnavailable);
  world.Join(1, 100000);
  world.Join(2, 100000);
  world.Settle();
  EXPECT_FALSE(world.swarm.Availability());
  EXPECT_GT(world.swarm.MissingBytes(), 0u);
  world.Join(3, 100000);
  EXPECT_FALSE(world.swarm.Availability());  // Still loading.
  world.Settle();
  EXPECT_TRUE(world.swarm.Availability());
  EXPECT_EQ(world.swarm.MissingBytes(), 0u);
  EXPECT_EQ(world.swarm.MainStages().size(), 3u);
}

TEST(Swarm, AnswersAndStopsAtLengthOrEnd) {
  Config config = SmallConfig(3);
  config.retained_max = 0;
  World world(config);
  for (uint32_t node : {1, 2, 3}) world.Join(node, 100000);
  world.Settle();
  world.Ask(7, std::vector<int32_t>(50, 3), 20);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{7}].tokens, world.Expected(7, 20));
  EXPECT_TRUE(world.answers[SessionId{7}].finished);
  const int32_t fifth = world.Expected(7, 5).back();
  world.Ask(8, std::vector<int32_t>(50, 3), 20, {fifth});
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{8}].tokens.size(), 5u);
  EXPECT_TRUE(world.swarm.sessions().empty());
  for (const auto& [node, fake] : world.fakes) EXPECT_TRUE(fake.sessions.empty());
}

TEST(Swarm, AnAnswerKeepsToWhatIsAllowedAlsoAfterALoss) {
  World world(SmallConfig(3));
  for (uint32_t node : {1, 2, 3, 4}) world.Join(node, 100000);
  world.Settle();
  const std::vector<int32_t> prompt(5, 3);
  world.Feed(SessionOpened{SessionId{1}, prompt, 20, {}, {}, EvenThenOdd});
  for (int i = 0; i < 40; ++i) world.Deliver();
  ASSERT_FALSE(world.answers[SessionId{1}].finished);
  world.Kill(2);
  world.Settle();
  std::vector<int32_t> tokens = prompt;
  while (tokens.size() < prompt.size() + 20) {
    const auto mask = EvenThenOdd(std::span(tokens).subspan(prompt.size()));
    tokens.push_back(Masked(NextToken(tokens), mask));
  }
  tokens.erase(tokens.begin(), tokens.begin() + 5);
  EXPECT_EQ(world.answers[SessionId{1}].tokens, tokens);
}

TEST(Swarm, ATokenThatIsNotAllowedIsRefusedWithItsSender) {
  World world(SmallConfig(2));
  for (uint32_t node : {1, 2, 3}) world.Join(node, 100000);
  world.Settle();
  const NodeId head = world.swarm.MainStages().back().node;
  world.fakes[head].disobeys = true;
  world.Feed(SessionOpened{SessionId{1}, {5, 6}, 20, {}, {}, EvenThenOdd});
  world.Settle();
  EXPECT_TRUE(world.dropped.contains(head));
  const Answer& answer = world.answers[SessionId{1}];
  for (size_t at = 0; at < answer.tokens.size(); ++at) EXPECT_EQ(answer.tokens[at] % 2, at % 2);
}

TEST(Swarm, ASpareTakesOverAndTheAnswerIsTheSame) {
  for (uint32_t victim : {1, 2, 3}) {
    World world(SmallConfig(3));
    for (uint32_t node : {1, 2, 3, 4}) world.Join(node, 100000);
    world.Settle();
    world.Ask(1, {5, 6, 7}, 30);
    for (int i = 0; i < 60; ++i) world.Deliver();
    ASSERT_FALSE(world.answers[SessionId{1}].finished);
    world.Kill(victim);
    world.Settle();
    EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 30)) << victim;
  }
}

TEST(Swarm, GoesOnWithFewerButAcceptsNothingNewUntilEnoughAreThere) {
  World world(SmallConfig(3));
  for (uint32_t node : {1, 2, 3}) world.Join(node, 100000);
  world.Settle();
  world.Ask(1, {5, 6, 7}, 40);
  for (int i = 0; i < 60; ++i) world.Deliver();
  world.Kill(2);
  EXPECT_FALSE(world.swarm.Availability());
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 40));
  EXPECT_FALSE(world.swarm.Availability());
  world.Join(9, 100000);
  world.Pass(2 * kSecond);
  EXPECT_TRUE(world.swarm.Availability());
}

TEST(Swarm, LearnsHowFastAVolunteerSendsFromItsPrompts) {
  Config config = SmallConfig(2);
  config.positions = 4000;
  config.chunk_rows = 1024;
  World world(config);
  for (uint32_t node : {1, 2}) world.Join(node, 1000000);
  world.Settle();
  const NodeId first = world.swarm.MainStages().front().node;
  const NodeId last = world.swarm.MainStages().back().node;
  const double before = world.swarm.volunteers().at(last).link.up_bytes_per_s;
  world.fakes[first].us_per_kib_up = 2048;  // 500,000 bytes a second.
  world.Ask(1, std::vector<int32_t>(3000, 3), 5);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 5));
  EXPECT_NEAR(world.swarm.volunteers().at(first).link.up_bytes_per_s, 5e5, 5e4);
  // Tokens are no measure.
  EXPECT_EQ(world.swarm.volunteers().at(last).link.up_bytes_per_s, before);
  // The link is faster than it seemed.
  world.fakes[first].us_per_kib_up = 512;
  world.Ask(2, std::vector<int32_t>(3000, 4), 5);
  world.Settle();
  EXPECT_NEAR(world.swarm.volunteers().at(first).link.up_bytes_per_s, 2e6, 2e5);
}

// Of two stages that were served one is lost; the third volunteer loads it until FinishLoads().
void LoseAStageThatLoads(World& world) {
  for (uint32_t node : {1, 2, 3}) world.Join(node, 100000);
  world.Settle();
  world.Pass(kSecond);
  world.holds_loads = true;
  world.Kill(world.swarm.MainStages().front().node.value);
}

TEST(Swarm, WhoAsksWhileLostBlocksAreLoadedWaitsForThem) {
  World world(SmallConfig(2));
  LoseAStageThatLoads(world);
  EXPECT_EQ(world.swarm.Availability().error().code, Code::kUnavailable);
  ASSERT_TRUE(world.swarm.Admits(world.now)) << world.swarm.Admits(world.now).error().ToString();
  world.Ask(1, {5, 6, 7}, 20);
  world.Pass(5 * kSecond);
  EXPECT_TRUE(world.answers[SessionId{1}].tokens.empty());
  world.FinishLoads();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 20));
}

TEST(Swarm, WhoAsksAfterALongLoadIsRefusedAtOnce) {
  World world(SmallConfig(2));
  LoseAStageThatLoads(world);
  world.Pass(world.swarm.config().load_wait + kSecond);
  EXPECT_EQ(world.swarm.Admits(world.now).error().code, Code::kUnavailable);
}

TEST(Swarm, AFrozenVolunteerIsPassedOverWithinTheHeartbeatTimeout) {
  World world(SmallConfig(2));
  for (uint32_t node : {1, 2, 3}) world.Join(node, 100000);
  world.Settle();
  world.Ask(1, {5}, 30);
  for (int i = 0; i < 30; ++i) world.Deliver();
  const NodeId frozen = world.swarm.MainStages().back().node;
  world.fakes[frozen].frozen = true;
  world.Settle();
  ASSERT_FALSE(world.answers[SessionId{1}].finished);
  world.Pass(5 * kSecond + 500 * kMillisecond);
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 30));
  EXPECT_FALSE(world.dropped.contains(frozen));  // It may wake up.
  world.Pass(20 * kSecond);
  EXPECT_TRUE(world.dropped.contains(frozen));
}

TEST(Swarm, WithNobodyLeftTheAnswerFailsClearlyAndALaterOneWorks) {
  World world(SmallConfig(2));
  for (uint32_t node : {1, 2}) world.Join(node, 100000);
  world.Settle();
  world.Ask(1, {5}, 30);
  for (int i = 0; i < 30; ++i) world.Deliver();
  world.Kill(1);
  world.Kill(2);
  world.Pass(20 * kSecond);
  ASSERT_TRUE(world.answers[SessionId{1}].error.has_value());
  EXPECT_EQ(world.answers[SessionId{1}].error->code, Code::kUnavailable);
  world.Join(3, 100000);
  world.Join(4, 100000);
  world.Settle();
  world.Ask(2, {5}, 30);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{2}].tokens, world.Expected(2, 30));
}

// What it waited for while there was a way does not count: it is given its time from the loss on.
TEST(Swarm, ALateLossLeavesTimeForSomebodyToCome) {
  Config config = SmallConfig(2);
  config.step_timeout = 60 * kSecond;
  for (const bool somebody_comes : {true, false}) {
    World world(config);
    for (uint32_t node : {1, 2}) world.Join(node, 5000);  // For half the blocks.
    world.Settle();
    world.Ask(1, {5, 6}, 8);
    const auto wait = [&](Micros duration) {  // Nothing is computed.
      for (const Micros end = world.now + duration; world.now < end;) {
        world.now += kSecond;
        for (const auto& [node, fake] : world.fakes) world.Feed(VolunteerHeard{node});
        world.Feed(Tick{});
      }
    };
    wait(20 * kSecond);
    world.inbox.clear();
    world.Kill(2);
    wait(14 * kSecond);
    EXPECT_FALSE(world.answers[SessionId{1}].error.has_value());
    if (somebody_comes) {
      world.Join(3, 5000);
      world.Settle();
      EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 8));
    } else {
      wait(5 * kSecond);
      ASSERT_TRUE(world.answers[SessionId{1}].error.has_value());
      EXPECT_EQ(world.answers[SessionId{1}].error->code, Code::kUnavailable);
    }
  }
}

TEST(Swarm, AVolunteerThatInventsTokensIsDropped) {
  World world(SmallConfig(1));
  world.Join(1, 100000);
  world.Settle();
  world.Ask(1, {5}, 30);
  world.Deliver();
  const Epoch epoch = world.swarm.sessions().at(SessionId{1}).epoch;
  world.Feed(TokenCame{
      NodeId{1}, wire::Token{.session = SessionId{1}, .epoch = epoch, .position = 17, .token = 5}});
  EXPECT_TRUE(world.dropped.contains(NodeId{1}));
}

TEST(Swarm, ANodeThatRunsOutOfMemoryIsPlannedWithLess) {
  World world(SmallConfig(1));
  world.Join(1, 20000);
  world.Join(2, 20000);
  ASSERT_EQ(world.swarm.MainStages().size(), 1u);
  const NodeId node = world.swarm.MainStages()[0].node;
  world.Feed(StageFailed{node, world.fakes[node].generation,
                         Error{Code::kResourceExhausted, "out of memory"}});
  EXPECT_NE(world.swarm.MainStages()[0].node, node);
  EXPECT_EQ(world.swarm.volunteers().at(node).memory_usable, 10000u);
}

TEST(Swarm, BuildingAStageMayTakeLongerThanADownloadMayStandStill) {
  for (const uint64_t bytes_done : {5u, 10u}) {
    World world(SmallConfig(1));
    world.Join(1, 100000);
    world.inbox.clear();  // It is not ready yet.
    const auto wait = [&](int seconds) {
      for (int i = 0; i < seconds; ++i) {
        world.now += kSecond;
        world.Feed(VolunteerHeard{NodeId{1}});
        world.Feed(Tick{});
      }
    };
    const uint32_t generation = world.fakes[NodeId{1}].generation;
    world.Feed(StageProgress{
        NodeId{1},
        wire::Ready{.generation = generation, .bytes_done = bytes_done, .bytes_total = 10}});
    wait(120);
    EXPECT_EQ(world.dropped.contains(NodeId{1}), bytes_done < 10);
    wait(240);
    EXPECT_TRUE(world.dropped.contains(NodeId{1}));
  }
}

TEST(Swarm, KvRoomIsShared) {
  Config config = SmallConfig(1);
  config.positions = 100;
  World world(config);
  world.Join(1, 6600 + 6 * 250);  // Weights, and KV for 250 positions.
  world.Settle();
  for (uint64_t session = 1; session <= 4; ++session) world.Ask(session, {1, 2}, 98);
  const auto running = std::ranges::count_if(
      world.swarm.sessions(), [](const auto& entry) { return entry.second.running(); });
  EXPECT_EQ(running, 2);
  world.Settle();
  for (uint64_t session = 1; session <= 4; ++session) {
    EXPECT_EQ(world.answers[SessionId{session}].tokens, world.Expected(session, 98));
  }
}

// Random joins, kills, freezes and requests. Every answer that is given is right to the last
// token; every request ends.
TEST(Swarm, RandomChurnNeverChangesAnAnswer) {
  int finished = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    World world(SmallConfig(static_cast<uint32_t>(1 + random.Below(3))));
    uint32_t next_node = 1;
    for (int i = 0; i < 4; ++i) world.Join(next_node++, 3000 + random.Below(6000));
    uint64_t next_session = 1;
    std::map<uint64_t, uint32_t> lengths;
    for (int action = 0; action < 120; ++action) {
      const uint64_t dice = random.Below(100);
      if (dice < 30 && world.swarm.Availability()) {
        std::vector<int32_t> prompt(1 + random.Below(40));
        for (int32_t& token : prompt) token = static_cast<int32_t>(random.Below(kVocab));
        lengths[next_session] = static_cast<uint32_t>(1 + random.Below(60));
        world.Ask(next_session, prompt, lengths[next_session]);
        ++next_session;
      } else if (dice < 40 && world.fakes.size() > 1) {
        auto at = world.fakes.begin();
        std::advance(at, static_cast<long>(random.Below(world.fakes.size())));
        world.Kill(at->first.value);
      } else if (dice < 45 && !world.fakes.empty()) {
        world.fakes.rbegin()->second.frozen = true;
      } else if (dice < 55 && world.fakes.size() < 8) {
        world.Join(next_node++, 3000 + random.Below(6000));
      } else if (dice < 60) {
        world.Pass(kSecond);
      } else {
        for (uint64_t i = random.Below(80); i > 0; --i) world.Deliver();
      }
    }
    world.Pass(60 * kSecond);
    EXPECT_TRUE(world.swarm.sessions().empty()) << seed;
    for (const auto& [session, length] : lengths) {
      const Answer& answer = world.answers[SessionId{session}];
      EXPECT_NE(answer.finished, answer.error.has_value()) << seed;
      EXPECT_EQ(answer.tokens, world.Expected(session, answer.tokens.size())) << seed;
      if (answer.finished) {
        EXPECT_EQ(answer.tokens.size(), length) << seed;
        ++finished;
      }
    }
  }
  EXPECT_GT(finished, 3000);
}

}  // namespace
}  // namespace shoal::swarm
