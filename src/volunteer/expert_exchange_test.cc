// Asking for experts' results: against the sum computed directly, whoever holds what, whatever is
// lost on the way, and whatever comes that was not asked for.
#include "volunteer/expert_exchange.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "volunteer/expert_runner.h"
#include "volunteer/session_gate.h"
#include "wire/codec.h"

namespace shoal::volunteer {
namespace {

constexpr uint32_t kHidden = 3;
constexpr uint32_t kExperts = 8;
constexpr uint32_t kGroup = 2;  // Experts of each.
constexpr uint32_t kBlock = 5;

// Expert e gives (e + 1) times its input.
float Factor(uint32_t expert) { return static_cast<float>(expert + 1); }

struct Rows {
  std::vector<float> routed;
  std::vector<float> routes;
  std::vector<float> sum;
};

Rows RandomRows(Random& random, size_t count) {
  Rows rows;
  for (size_t row = 0; row < count; ++row) {
    std::vector<float> routes(kExperts, 0);
    for (int chosen = 0; chosen < 2; ++chosen) {
      routes[random.Below(kExperts)] = 0.25f * static_cast<float>(1 + random.Below(4));
    }
    float factor = 0;
    for (uint32_t e = 0; e < kExperts; ++e) factor += routes[e] * Factor(e);
    for (uint32_t i = 0; i < kHidden; ++i) {
      const auto value = static_cast<float>(random.Below(16));
      rows.routed.push_back(value);
      rows.sum.push_back(value * factor);  // Small multiples of 1/4: exact in any order.
    }
    rows.routes.insert(rows.routes.end(), routes.begin(), routes.end());
  }
  return rows;
}

wire::ExpertTable Table(const std::vector<uint32_t>& nodes, uint32_t generation = 1) {
  wire::ExpertTable table{.generation = 1};
  for (uint32_t g = 0; g < nodes.size(); ++g) {
    table.holders.push_back({.block = kBlock,
                             .group = g,
                             .first = g * kGroup,
                             .count = kGroup,
                             .node = NodeId{nodes[g]},
                             .generation = generation});
  }
  EXPECT_TRUE(wire::Validate({NodeId{1}, kCoordinator, table}));
  return table;
}

wire::ExpertSums Answer(const wire::ExpertRows& rows) {
  EXPECT_TRUE(wire::Validate({NodeId{2}, NodeId{1}, rows}));
  std::vector<float> values(size_t{rows.rows} * rows.width);
  std::memcpy(values.data(), rows.payload.data(), rows.payload.size());
  std::vector<float> factors(rows.rows, 0);
  for (const wire::ExpertChoice& choice : rows.choices) {
    factors[choice.row] += choice.weight * Factor(choice.expert);
  }
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i / rows.width];
  wire::ExpertSums sums{.request = rows.request, .rows = rows.rows, .width = rows.width};
  sums.payload.resize(rows.payload.size());
  std::memcpy(sums.payload.data(), values.data(), sums.payload.size());
  return sums;
}

TEST(ExpertExchange, AddsUpWhateverIsHeldWhereverAndLostOnTheWay) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    const Rows rows = RandomRows(random, 1 + random.Below(6));
    ExpertExchange exchange({kBlock, kHidden, kExperts}, rows.routed, rows.routes);
    uint64_t next = 1;
    for (int turn = 0; turn < 50 && !exchange.done(); ++turn) {
      std::vector<uint32_t> nodes;
      for (uint32_t g = 0; g < kExperts / kGroup; ++g) {
        nodes.push_back(static_cast<uint32_t>(random.Below(4)));  // 0: nobody.
      }
      const auto requests = exchange.Ask(Table(nodes, 1 + random.Below(2)), next);
      ASSERT_TRUE(requests) << requests.error().ToString();
      for (const ExpertExchange::Request& request : *requests) {
        const uint64_t fate = random.Below(3);
        if (fate == 0) continue;  // Lost.
        if (fate == 1) {
          EXPECT_TRUE(exchange.OnRefusal(
              request.to, {.request = request.rows.request,
                           .code = static_cast<uint8_t>(Code::kFailedPrecondition)}));
          continue;
        }
        EXPECT_FALSE(exchange.OnSums(NodeId{9}, Answer(request.rows)));  // Somebody else's.
        EXPECT_TRUE(exchange.OnSums(request.to, Answer(request.rows)));
        EXPECT_FALSE(exchange.OnSums(request.to, Answer(request.rows)));  // Again.
      }
    }
    ASSERT_TRUE(exchange.done());
    EXPECT_EQ(exchange.Sum(), rows.sum);
  }
}

TEST(ExpertExchange, AsksOnlyForRowsThatChose) {
  const std::vector<float> routed = {1, 2, 3, 4, 5, 6};
  std::vector<float> routes(2 * kExperts, 0);
  routes[0] = 1;
  routes[kExperts + 7] = 1;
  ExpertExchange exchange({kBlock, kHidden, kExperts}, routed, routes);
  uint64_t next = 1;
  const auto requests = exchange.Ask(Table({2, 3, 3, 4}), next);
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->size(), 2u);  // Node 3 has nothing to do.
  for (const ExpertExchange::Request& request : *requests) EXPECT_EQ(request.rows.rows, 1u);
}

TEST(ExpertExchange, FailsOnWhatIsNotAnAnswer) {
  Random random(4);
  const Rows rows = RandomRows(random, 2);
  const auto spoilt = [&](auto spoil) {
    ExpertExchange exchange({kBlock, kHidden, kExperts}, rows.routed, rows.routes);
    uint64_t next = 1;
    const auto requests = exchange.Ask(Table({2, 2, 2, 2}), next);
    wire::ExpertSums sums = Answer(requests->front().rows);
    spoil(sums);
    EXPECT_TRUE(exchange.OnSums(NodeId{2}, sums));
    EXPECT_FALSE(exchange.done());
    return exchange.error() ? exchange.error()->code : Code::kInternal;
  };
  EXPECT_EQ(spoilt([](wire::ExpertSums& sums) { sums.rows += 1; }), Code::kDataLoss);
  EXPECT_EQ(spoilt([](wire::ExpertSums& sums) { sums.width += 1; }), Code::kDataLoss);
  EXPECT_EQ(spoilt([](wire::ExpertSums& sums) { sums.payload[2] = sums.payload[3] = 0xff; }),
            Code::kDataLoss);
  ExpertExchange exchange({kBlock, kHidden, kExperts}, rows.routed, rows.routes);
  uint64_t next = 1;
  EXPECT_FALSE(exchange.Ask(Table({2, 2}), next));  // Not this layer's experts.
}

TEST(CheckExpertRows, RefusesWhatIsNotHeld) {
  wire::Assign assign{.generation = 4, .hidden = kHidden, .max_rows = 8};
  assign.experts = {{.block = kBlock, .experts = kExperts, .groups = {{1, 2, 2}}}};
  wire::ExpertRows rows{
      .generation = 4, .block = kBlock, .rows = 1, .width = kHidden, .choices = {{0, 2, 1}}};
  EXPECT_TRUE(CheckExpertRows(assign, rows));
  const auto code = [&](auto spoil) {
    wire::ExpertRows spoilt = rows;
    spoil(spoilt);
    const Status status = CheckExpertRows(assign, spoilt);
    return status ? Code::kInternal : status.error().code;
  };
  EXPECT_EQ(code([](auto& r) { r.generation = 3; }), Code::kFailedPrecondition);
  EXPECT_EQ(code([](auto& r) { r.block = 6; }), Code::kNotFound);
  EXPECT_EQ(code([](auto& r) { r.choices[0].expert = 4; }), Code::kNotFound);
  EXPECT_EQ(code([](auto& r) { r.width = 4; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& r) { r.rows = 9; }), Code::kInvalidArgument);
}

// Work of two sessions: of each in order, of different ones past one another.
TEST(SessionGate, KeepsEachSessionInOrderAndLetsOthersPass) {
  WorkQueue queue;
  SessionGate gate(queue);
  std::vector<std::string> begun;
  std::map<std::string, SessionGate::Done> open;
  const auto push = [&](const std::string& name, std::vector<SessionId> sessions) {
    gate.PushAlways(std::move(sessions), 0, [&, name](auto leave, auto done) {
      begun.push_back(name);
      open[name] = done;
      leave();
    });
  };
  push("a1", {SessionId{1}});
  push("a2", {SessionId{1}});
  push("b1", {SessionId{2}});
  push("ab", {SessionId{1}, SessionId{2}});
  push("b2", {SessionId{2}});
  EXPECT_EQ(begun, (std::vector<std::string>{"a1", "b1"}));
  open["b1"]();
  EXPECT_EQ(begun.size(), 2u);  // "ab" waits for session 1, and "b2" for "ab".
  open["a1"]();
  open["a2"]();
  EXPECT_EQ(begun.back(), "ab");
  open["ab"]();
  EXPECT_EQ(begun, (std::vector<std::string>{"a1", "b1", "a2", "ab", "b2"}));
}

}  // namespace
}  // namespace shoal::volunteer
