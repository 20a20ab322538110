// Which form of the blocks a volunteer is given, and how sessions keep to a set of weights.
#include <gtest/gtest.h>

#include "swarm/forms.h"
#include "swarm/test_world.h"

namespace shoal::swarm {
namespace {

constexpr uint32_t kNarrow = 0;
constexpr uint32_t kWide = 1;
constexpr const char* kWideExecutor = "ort-wasm";  // Faster on f32, for four times the bytes.

// Six blocks of 1,000 bytes in q4 and 4,000 in f32; KV of 400 positions costs 400 bytes a block.
Config TwoSets(uint32_t stages_min) {
  Config config = SmallConfig(stages_min);
  config.weights = "q4";
  config.other_forms = {{.weights = "f32", .blocks = config.blocks}};
  for (planner::BlockCost& block : config.other_forms.front().blocks) block.weight_bytes = 4000;
  return config;
}

std::vector<std::string> Preferred(std::string_view executor,
                                   const std::vector<wire::Measure>& measures) {
  const auto blocks = [](uint64_t bytes, uint64_t kv) {
    return std::vector<planner::BlockCost>(
        4, {.weight_bytes = bytes, .kv_bytes_per_position = kv, .flops_per_token = 4e8});
  };
  const std::vector<Form> forms = {
      {"q4", false, blocks(126'000'000, 4096)},
      {"q4", true, blocks(126'000'000, 2048)},
      {"f32", false, blocks(805'000'000, 4096)},
  };
  std::vector<std::string> names;
  for (const Choice& choice : ChooseForms(forms, executor, measures)) {
    const Form& form = forms[choice.form];
    names.push_back(form.weights + (form.is_f16 ? " f16" : ""));
  }
  return names;
}

TEST(Forms, SuitTheExecutor) {
  using Names = std::vector<std::string>;
  const std::vector<wire::Measure> f16 = {{"activations.f16", 1}};
  EXPECT_EQ(Preferred("shoal", {}), (Names{"q4", "f32"}));
  EXPECT_EQ(Preferred("ort-webgpu", {}), (Names{"q4", "f32"}));
  EXPECT_EQ(Preferred("ort-webgpu", f16), (Names{"q4 f16", "q4", "f32"}));
  EXPECT_EQ(Preferred("ort-webgpu", {{"activations.f16", 0}}), (Names{"q4", "f32"}));
  EXPECT_EQ(Preferred("ort-wasm", {}), (Names{"f32", "q4"}));
  EXPECT_EQ(Preferred("unheard-of", {}), (Names{"q4", "f32"}));
}

TEST(Sets, EverybodyGetsTheOneThatSuitsTheDevice) {
  World world(TwoSets(2));
  world.Join(1, 100000);
  world.Join(2, 100000, "", kWideExecutor);
  world.Settle();
  ASSERT_TRUE(world.swarm.RouteReady());
  EXPECT_EQ(world.fakes[NodeId{1}].form, kNarrow);
  EXPECT_EQ(world.fakes[NodeId{2}].form, kWide);
  EXPECT_EQ(world.swarm.WeightsOf(kWide), "f32");
  world.Ask(7, {5, 6, 7}, 20);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{7}].tokens, world.Expected(7, 20));
}

TEST(Sets, AVolunteerWhoseMemoryHoldsTheSmallerOnlyGetsThat) {
  World world(TwoSets(2));
  world.Join(1, 100000);
  world.Join(2, 4000, "", kWideExecutor);  // Not one block of the wide set and its KV.
  world.Settle();
  ASSERT_TRUE(world.swarm.RouteReady());
  EXPECT_EQ(world.fakes[NodeId{2}].form, kNarrow);
  EXPECT_FALSE(world.swarm.volunteers().at(NodeId{2}).span.empty());
}

TEST(Sets, WhereThePoolIsTooSmallForTheWideOneTheModelStillRuns) {
  World world(TwoSets(2));
  // Three blocks each in q4, two and one in f32.
  world.Join(1, 5500, "", kWideExecutor);
  world.Join(2, 9000, "", kWideExecutor);
  world.Settle();
  ASSERT_TRUE(world.swarm.RouteReady());
  EXPECT_EQ(world.fakes[NodeId{1}].form, kNarrow);
  EXPECT_EQ(world.fakes[NodeId{2}].form, kNarrow);
  // With one who has room for all that is lacking the ones who hold blocks are left alone.
  const uint32_t generation = world.fakes[NodeId{1}].generation;
  world.Join(3, 4800, "", kWideExecutor);
  world.Pass(5 * kSecond);
  EXPECT_EQ(world.fakes[NodeId{1}].generation, generation);
}

// The plan never gives anybody more than the memory holds in the form that it has.
TEST(Sets, WhatIsAssignedFitsInItsForm) {
  int wide = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    World world(TwoSets(1 + static_cast<uint32_t>(random.Below(3))));
    const auto count = 2 + static_cast<uint32_t>(random.Below(5));
    for (uint32_t node = 1; node <= count; ++node) {
      world.Join(node, 1500 + random.Below(20000), "",
                 random.Below(2) == 0 ? "fake" : kWideExecutor);
    }
    world.Pass(5 * kSecond);
    for (const auto& [node, volunteer] : world.swarm.volunteers()) {
      if (volunteer.span.empty()) continue;
      const uint64_t block_bytes = world.fakes[node].form == kWide ? 4000 : 1000;
      EXPECT_EQ(volunteer.form, world.fakes[node].form);
      EXPECT_LE(volunteer.span.size() * (block_bytes * 11 / 10 + 400), volunteer.memory_bytes)
          << "seed " << seed << " node " << node.value;
      wide += world.fakes[node].form == kWide ? 1 : 0;
    }
  }
  EXPECT_GT(wide, 50);
}

TEST(Sets, WhoeverTakesBlocksOverDuringAnAnswerGetsThemAsTheyWere) {
  Config config = TwoSets(2);
  config.warm_replicas = false;
  config.retained_max = 0;
  World world(config);
  world.Join(1, 100000);
  world.Join(2, 100000);
  world.Settle();
  world.Ask(7, {5, 6, 7}, 60);
  for (int i = 0; i < 60; ++i) world.Deliver();
  ASSERT_FALSE(world.answers[SessionId{7}].finished);
  world.Join(3, 100000, "", kWideExecutor);
  world.Kill(2);
  for (int i = 0; i < 40; ++i) world.Deliver();
  ASSERT_FALSE(world.swarm.volunteers().at(NodeId{3}).span.empty());
  EXPECT_EQ(world.fakes[NodeId{3}].form, kNarrow);
  world.Settle();
  EXPECT_EQ(world.answers[SessionId{7}].tokens, world.Expected(7, 60));
  // Once nobody has needed it so for a while, it gets what suits it.
  world.Pass(50 * kSecond);
  EXPECT_EQ(world.fakes[NodeId{3}].form, kNarrow);
  world.Pass(15 * kSecond);
  EXPECT_EQ(world.fakes[NodeId{3}].form, kWide);
  const uint32_t generation = world.fakes[NodeId{3}].generation;
  world.Pass(30 * kSecond);
  EXPECT_EQ(world.fakes[NodeId{3}].generation, generation);
}

TEST(Sets, ARouteGoesOnThroughTheSetThatItBeganWith) {
  Config config = TwoSets(2);
  config.retained_max = 0;
  World world(config);
  // Two holders of each stage, one for either set.
  config.expected = {{0, {0, 3}, {"a", "b"}, {"q4", "f32"}}, {0, {3, 6}, {"c", "d"}, {"q4", "q4"}}};
  World restarted(config);
  restarted.Join(1, 100000, "a", kWideExecutor);
  restarted.Join(2, 100000, "b", kWideExecutor);
  restarted.Join(3, 100000, "c");
  restarted.Join(4, 100000, "d");
  restarted.Settle();
  ASSERT_TRUE(restarted.swarm.RouteReady());
  EXPECT_EQ(restarted.fakes[NodeId{1}].form, kNarrow);
  EXPECT_EQ(restarted.fakes[NodeId{2}].form, kWide);
  EXPECT_EQ(restarted.swarm.volunteers().at(NodeId{1}).span, (planner::Span{0, 3}));
  restarted.Ask(7, {5, 6, 7}, 60);
  for (int i = 0; i < 60; ++i) restarted.Deliver();
  ASSERT_EQ(restarted.swarm.sessions().size(), 1u);
  const Session& session = restarted.swarm.sessions().begin()->second;
  ASSERT_EQ(session.sets.size(), 6u);
  const NodeId head = session.route.back().node;
  // The other holder of the head's span has its set, and follows; of the first span's it has not.
  for (const auto& [node, warm] : session.warm) EXPECT_EQ(warm.span, (planner::Span{3, 6}));
  const std::vector<uint32_t> sets = session.sets;
  restarted.Kill(head.value);
  restarted.Settle();
  EXPECT_EQ(restarted.answers[SessionId{7}].tokens, restarted.Expected(7, 60));
  EXPECT_EQ(restarted.routes.size(), 2u);
  for (const RouteStage& stage : restarted.routes.back().stages) {
    const uint32_t form = restarted.fakes[stage.node].form;
    EXPECT_EQ(form, sets[stage.span.first]);
  }
}

}  // namespace
}  // namespace shoal::swarm
