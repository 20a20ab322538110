// The state machine in a small world of scripted volunteers. The world's "model" is a function of
// the whole token history, computed from what the last stage has cached: a lost, repeated,
// reordered or stale row changes the answer.
#include "swarm/swarm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/random.h"
#include "wire/codec.h"

namespace shoal::swarm {
namespace {

constexpr uint32_t kVocab = 1000;

int32_t NextToken(const std::vector<int32_t>& history) {
  uint64_t hash = 1469598103934665603ull;
  for (const int32_t token : history)
    hash = (hash ^ static_cast<uint64_t>(token)) * 1099511628211ull;
  return static_cast<int32_t>(10 + hash % (kVocab - 10));  // Ids below 10 never come by chance.
}

// The first allowed token from `token` on; no mask allows all.
int32_t Masked(int32_t token, const std::vector<uint8_t>& mask) {
  while (!mask.empty() && (mask.at(token / 8) >> token % 8 & 1) == 0) token = (token + 1) % kVocab;
  return token;
}

// Even and odd ids take turns.
std::vector<uint8_t> EvenThenOdd(std::span<const int32_t> generated) {
  return std::vector<uint8_t>(kVocab / 8, generated.size() % 2 == 0 ? 0x55 : 0xaa);
}

Config SmallConfig(uint32_t stages_min) {
  Config config;
  config.blocks.assign(6, planner::BlockCost{1000, 1});
  config.vocab = kVocab;
  config.positions = 400;
  config.stages_min = stages_min;
  config.chunk_rows = 16;
  config.overhead_bytes = 0;
  config.hidden = 1;
  return config;
}

struct Kv {
  Epoch epoch;
  NodeId next;
  std::vector<int32_t> tokens;
};

struct FakeVolunteer {
  uint32_t generation = 0;
  bool frozen = false;
  bool disobeys = false;  // Its tokens are what it likes.
  std::map<SessionId, Kv> sessions;
};

struct Answer {
  std::vector<int32_t> tokens;
  bool finished = false;
  std::optional<Error> error;
};

class World {
 public:
  explicit World(Config config) : swarm(std::move(config)) {}

  void Join(uint32_t node, uint64_t memory) {
    fakes[NodeId{node}] = {};
    Feed(VolunteerJoined{NodeId{node}, "fake", memory});
  }
  void Kill(uint32_t node) {
    fakes.erase(NodeId{node});
    Feed(VolunteerLeft{NodeId{node}, "killed"});
  }
  void Ask(uint64_t session, std::vector<int32_t> prompt, uint32_t max_tokens,
           std::vector<int32_t> end_ids = {}) {
    answers[SessionId{session}] = {};
    prompts[SessionId{session}] = prompt;
    Feed(SessionOpened{SessionId{session}, std::move(prompt), max_tokens, std::move(end_ids), {}});
  }

  void Feed(const Event& event) {
    for (Effect& effect : swarm.Handle(event, now)) {
      std::visit([&](auto& concrete) { Apply(concrete); }, effect);
    }
  }

  // Delivers one queued message; false when nothing is left.
  bool Deliver() {
    if (inbox.empty()) return false;
    auto [to, from, body] = std::move(inbox.front());
    inbox.pop_front();
    now += 100;
    if (auto* step = std::get_if<wire::Step>(&body); step != nullptr && from != kCoordinator) {
      const auto passed = std::make_shared<const wire::Step>(*step);
      const auto frame = std::make_shared<const ByteVector>(
          wire::Encode(wire::Frame{.to = to, .from = from, .body = std::move(*step)}));
      Feed(StepPassed{from, to, passed, frame});
    } else if (to == kCoordinator) {
      std::visit([&](auto& concrete) { AtCoordinator(from, concrete); }, body);
    } else if (fakes.contains(to) && !fakes[to].frozen) {
      std::visit([&](auto& concrete) { AtVolunteer(to, concrete); }, body);
    }
    return true;
  }
  void Settle() {
    for (int i = 0; i < 1000000 && Deliver(); ++i) {
    }
  }
  // Lets time pass in heartbeat steps.
  void Pass(Micros duration) {
    for (const Micros end = now + duration; now < end;) {
      now += 500 * kMillisecond;
      Feed(Tick{});
      Settle();
    }
  }

  // What the answer must be.
  std::vector<int32_t> Expected(uint64_t session, size_t count) {
    std::vector<int32_t> tokens = prompts[SessionId{session}];
    const size_t prompt = tokens.size();
    while (tokens.size() < prompt + count) tokens.push_back(NextToken(tokens));
    return {tokens.begin() + static_cast<long>(prompt), tokens.end()};
  }

  Swarm swarm;
  Micros now = 0;
  std::map<NodeId, FakeVolunteer> fakes;
  std::map<SessionId, Answer> answers;
  std::map<SessionId, std::vector<int32_t>> prompts;
  std::deque<std::tuple<NodeId, NodeId, wire::Body>> inbox;
  std::set<NodeId> dropped;
  std::map<NodeId, size_t> rows_run;
  std::vector<SessionRouted> routes;
  std::set<NodeId> replayed;  // Ran rows again for their KV alone.

 private:
  void Apply(AssignSpan& effect) {
    if (!fakes.contains(effect.node)) return;
    FakeVolunteer& fake = fakes[effect.node];
    fake.generation = effect.generation;
    fake.sessions.clear();
    if (!effect.span.empty()) {
      Post(kCoordinator, effect.node, wire::Ready{.generation = effect.generation, .done = true});
    }
  }
  void Apply(SendBody& effect) { Post(effect.to, kCoordinator, std::move(effect.body)); }
  void Apply(PassOn& effect) {
    Post(effect.to, kCoordinator, std::move(wire::Decode(*effect.frame)->body));
  }
  void Apply(StepCredited&) {}
  void Apply(SessionRouted& effect) { routes.push_back(effect); }
  void Apply(TokenMade& effect) { answers[effect.session].tokens.push_back(effect.token.token); }
  void Apply(SessionFinished& effect) { answers[effect.session].finished = true; }
  void Apply(SessionFailed& effect) { answers[effect.session].error = effect.error; }
  void Apply(DropVolunteer& effect) {
    dropped.insert(effect.node);
    fakes.erase(effect.node);
  }
  void Apply(Note&) {}
  void Apply(AssignExperts&) {}

  void Post(NodeId to, NodeId from, wire::Body body) {
    inbox.emplace_back(to, from, std::move(body));
  }

  template <typename T>
  void AtVolunteer(NodeId, T&) {}
  void AtVolunteer(NodeId node, wire::Ping& ping) {
    Post(kCoordinator, node, wire::Ping{ping.nonce, true});
  }
  void AtVolunteer(NodeId node, wire::Open& open) {
    Kv& kv = fakes[node].sessions[open.session];
    EXPECT_GE(open.epoch, kv.epoch);
    kv.epoch = open.epoch;
    kv.next = open.next;
    kv.tokens.resize(std::min<size_t>(kv.tokens.size(), open.keep));
  }
  void AtVolunteer(NodeId node, wire::Release& release) {
    fakes[node].sessions.erase(release.session);
  }
  void AtVolunteer(NodeId node, wire::Step& step) {
    std::map<NodeId, wire::Step> onward;  // A frame for each next stage.
    const wire::Row* reported = nullptr;
    for (size_t i = 0; i < step.rows.size(); ++i) {
      const wire::Row& row = step.rows[i];
      const auto at = fakes[node].sessions.find(row.session);
      const auto fail = [&](Code code) {
        Post(kCoordinator, node,
             wire::ErrorFrame{
                 .code = static_cast<uint8_t>(code), .session = row.session, .epoch = row.epoch});
      };
      if (at == fakes[node].sessions.end()) {
        fail(Code::kNotFound);
        continue;
      }
      Kv& kv = at->second;
      if (row.epoch < kv.epoch || row.position != kv.tokens.size()) {
        fail(row.epoch < kv.epoch ? Code::kStaleEpoch : Code::kFailedPrecondition);
        continue;
      }
      int32_t token;
      std::memcpy(&token, step.payload.data() + 4 * i, 4);
      kv.tokens.push_back(token);
      ++rows_run[node];
      if (reported == nullptr) reported = &row;
      if ((row.flags & wire::Row::kReplay) != 0) {
        replayed.insert(node);
        continue;
      }
      wire::Step& next = onward[kv.next];
      next.type = wire::PayloadType::kF32;
      for (wire::Sampling& sampling : step.sampling) {
        if (sampling.row != i) continue;
        if (kv.next == kCoordinator) Choose(node, row, kv, sampling);
        next.sampling.push_back(sampling);
        next.sampling.back().row = static_cast<uint32_t>(next.rows.size());
      }
      next.rows.push_back(row);
      ByteWriter(next.payload).Write(token);
    }
    onward.erase(kCoordinator);
    for (auto& [next, frame] : onward) Post(next, node, std::move(frame));
    if (reported == nullptr) return;
    Post(kCoordinator, node,
         wire::Report{.session = reported->session,
                      .epoch = reported->epoch,
                      .position = reported->position,
                      .rows = static_cast<uint32_t>(step.rows.size())});
  }
  void Choose(NodeId node, const wire::Row& row, const Kv& kv, const wire::Sampling& sampling) {
    const auto& mask = fakes[node].disobeys ? std::vector<uint8_t>() : sampling.mask;
    Post(kCoordinator, node,
         wire::Token{.session = row.session,
                     .epoch = kv.epoch,
                     .position = static_cast<uint32_t>(kv.tokens.size()),
                     .token = Masked(NextToken(kv.tokens), mask)});
  }

  template <typename T>
  void AtCoordinator(NodeId, T&) {}
  void AtCoordinator(NodeId from, wire::Ping&) { Feed(VolunteerHeard{from}); }
  void AtCoordinator(NodeId from, wire::Ready& ready) { Feed(StageProgress{from, ready}); }
  void AtCoordinator(NodeId from, wire::Token& token) { Feed(TokenCame{from, token}); }
  void AtCoordinator(NodeId from, wire::Report& report) { Feed(StepReported{from, report}); }
  void AtCoordinator(NodeId from, wire::ErrorFrame& error) {
    Feed(StepFailed{from, error.session, error.epoch, Error{static_cast<Code>(error.code), ""}});
  }
};

TEST(Swarm, RefusesUntilEnoughVolunteersAreReady) {
  World world(SmallConfig(3));
  EXPECT_EQ(world.swarm.Availability(0).error().code, Code::kUnavailable);
  world.Join(1, 100000);
  world.Join(2, 100000);
  world.Settle();
  EXPECT_FALSE(world.swarm.Availability(0));
  EXPECT_GT(world.swarm.MissingBytes(), 0u);
  world.Join(3, 100000);
  EXPECT_FALSE(world.swarm.Availability(0));  // Still loading.
  world.Settle();
  EXPECT_TRUE(world.swarm.Availability(0));
  EXPECT_EQ(world.swarm.MissingBytes(), 0u);
  EXPECT_EQ(world.swarm.MainStages().size(), 3u);
}

TEST(Swarm, AnswersAndStopsAtLengthOrEnd) {
  World world(SmallConfig(3));
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
  EXPECT_FALSE(world.swarm.Availability(world.now));
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{1}].tokens, world.Expected(1, 40));
  EXPECT_FALSE(world.swarm.Availability(world.now));
  world.Join(9, 100000);
  world.Pass(2 * kSecond);
  EXPECT_TRUE(world.swarm.Availability(world.now));
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
      if (dice < 30 && world.swarm.Availability(world.now)) {
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
