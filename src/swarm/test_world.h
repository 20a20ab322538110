// A small world of scripted volunteers for tests of the state machine. Its "model" is a function of
// the whole token history, computed from what the last stage has cached: a lost, repeated,
// reordered or stale row changes the answer.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/random.h"
#include "swarm/swarm.h"
#include "wire/codec.h"

namespace shoal::swarm {

inline constexpr uint32_t kVocab = 1000;

inline int32_t NextToken(const std::vector<int32_t>& history) {
  uint64_t hash = 1469598103934665603ull;
  for (const int32_t token : history)
    hash = (hash ^ static_cast<uint64_t>(token)) * 1099511628211ull;
  return static_cast<int32_t>(10 + hash % (kVocab - 10));  // Ids below 10 never come by chance.
}

// The first allowed token from `token` on; no mask allows all.
inline int32_t Masked(int32_t token, const std::vector<uint8_t>& mask) {
  while (!mask.empty() && (mask.at(token / 8) >> token % 8 & 1) == 0) token = (token + 1) % kVocab;
  return token;
}

// Even and odd ids take turns.
inline std::vector<uint8_t> EvenThenOdd(std::span<const int32_t> generated) {
  return std::vector<uint8_t>(kVocab / 8, generated.size() % 2 == 0 ? 0x55 : 0xaa);
}

inline Config SmallConfig(uint32_t stages_min) {
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
  uint32_t form = 0;
  bool frozen = false;
  bool disobeys = false;        // Its tokens are what it likes.
  bool refuses_copies = false;  // Of KV.
  Micros us_per_kib_up = 0;     // What its outputs take on their way.
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

  void Join(uint32_t node, uint64_t memory, std::string identity = "",
            std::string executor = "fake") {
    fakes[NodeId{node}] = {};
    Feed(VolunteerJoined{NodeId{node}, std::move(executor), memory, {}, std::move(identity)});
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
    } else if (const auto* kv = std::get_if<wire::KvImport>(&body);
               kv != nullptr && from != kCoordinator) {
      KvPassed passed{from, to, kv->session, kv->epoch, kv->block, kv->from, kv->to, nullptr};
      passed.frame = std::make_shared<const ByteVector>(
          wire::Encode(wire::Frame{.to = to, .from = from, .body = std::move(body)}));
      Feed(passed);
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

  // Ends the loads that were held.
  void FinishLoads() {
    for (const auto& [node, ready] : loads) Post(kCoordinator, node, ready);
    loads.clear();
    holds_loads = false;
    Settle();
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
  bool holds_loads = false;  // Whoever is assigned blocks is ready when FinishLoads() says so.
  std::map<NodeId, wire::Ready> loads;
  std::map<NodeId, FakeVolunteer> fakes;
  std::map<SessionId, Answer> answers;
  std::map<SessionId, std::vector<int32_t>> prompts;
  std::deque<std::tuple<NodeId, NodeId, wire::Body>> inbox;
  std::set<NodeId> dropped;
  std::set<NodeId> let_go;
  std::vector<std::string> notes;
  std::map<NodeId, size_t> rows_run;
  std::vector<SessionRouted> routes;
  std::set<NodeId> replayed;          // Ran rows again for their KV alone.
  std::map<NodeId, uint32_t> copied;  // Positions, from other sessions.
  std::set<NodeId> imported;          // Were given KV by somebody who left.

 private:
  void Apply(AssignSpan& effect) {
    if (!fakes.contains(effect.node)) return;
    FakeVolunteer& fake = fakes[effect.node];
    fake.generation = effect.generation;
    fake.form = effect.form;
    fake.sessions.clear();
    if (effect.span.empty()) return;
    const wire::Ready ready{.generation = effect.generation, .done = true};
    if (holds_loads) {
      loads[effect.node] = ready;
    } else {
      Post(kCoordinator, effect.node, ready);
    }
  }
  void Apply(AssignExperts&) {}
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
  void Apply(LetGo& effect) {
    let_go.insert(effect.node);
    fakes.erase(effect.node);
  }
  void Apply(Note& effect) { notes.push_back(effect.what); }

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
  void AtVolunteer(NodeId node, wire::KvCopy& copy) {
    if (fakes[node].refuses_copies) {
      Post(kCoordinator, node,
           wire::ErrorFrame{.code = static_cast<uint8_t>(Code::kInternal),
                            .session = copy.session,
                            .epoch = copy.epoch});
      return;
    }
    const Kv& source = fakes[node].sessions.at(copy.source);
    ASSERT_LE(copy.positions, source.tokens.size());
    Kv& kv = fakes[node].sessions.at(copy.session);
    ASSERT_EQ(kv.epoch, copy.epoch);
    kv.tokens.assign(source.tokens.begin(), source.tokens.begin() + copy.positions);
    copied[node] += copy.positions;
  }
  void AtVolunteer(NodeId node, wire::KvExport& request) {
    const Kv& kv = fakes[node].sessions.at(request.session);
    ASSERT_EQ(kv.epoch, request.epoch);
    ASSERT_LE(request.to, kv.tokens.size());
    for (uint32_t block = request.first; block < request.last; ++block) {
      wire::KvImport import{.session = request.session,
                            .epoch = request.epoch,
                            .block = block,
                            .from = request.from,
                            .to = request.to};
      for (int half = 0; half < 2; ++half) {  // Keys, then values.
        for (uint32_t p = request.from; p < request.to; ++p) {
          ByteWriter(import.payload).Write(kv.tokens[p]);
        }
      }
      Post(request.target, node, std::move(import));
    }
  }
  void AtVolunteer(NodeId node, wire::KvImport& import) {
    Kv& kv = fakes[node].sessions.at(import.session);
    ASSERT_EQ(kv.epoch, import.epoch);
    kv.tokens.resize(import.to);
    std::memcpy(kv.tokens.data() + import.from, import.payload.data(), import.payload.size() / 2);
    imported.insert(node);
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
    for (auto& [next, frame] : onward) {
      if (fakes[node].us_per_kib_up > 0) {
        const wire::Frame whole{.to = next, .from = node, .body = frame};
        const auto kib = static_cast<Micros>(wire::Encode(whole).size() >> 10);
        now += fakes[node].us_per_kib_up * kib;
      }
      Post(next, node, std::move(frame));
    }
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

}  // namespace shoal::swarm
