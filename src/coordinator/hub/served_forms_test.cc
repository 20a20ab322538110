// Forms of a pack's sets of weights, and what blocks cost in each.
#include "coordinator/hub/served_forms.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

using store::Activations;
using store::StageVariant;

store::Manifest TwoSets(const std::string& family) {
  store::Manifest manifest;
  manifest.model.family = family;
  manifest.model.hidden = 64;
  for (const auto& [weights, bytes] : {std::pair{"q4", 1000}, std::pair{"f32", 6400}}) {
    store::Variant& variant = manifest.variants.emplace_back();
    variant.weights = weights;
    store::Block& block = variant.blocks.emplace_back();
    block.kv = store::KvShape{.heads = 2, .head_size = 8};
    block.weight_bytes = static_cast<uint64_t>(bytes);
    block.params = 1600;
    block.flops_per_token = 3200;
  }
  return manifest;
}

TEST(ServedForms, AreTheFirstSetsUnlessMoreAreAskedFor) {
  const store::Manifest manifest = TwoSets("llama");
  const StageVariant q4{0, Activations::kF32};
  const StageVariant q4_f16{0, Activations::kF16};
  const StageVariant f32{1, Activations::kF32};
  using Forms = std::vector<StageVariant>;
  EXPECT_EQ(*ServedForms(manifest, ""), (Forms{q4, q4_f16}));
  EXPECT_EQ(*ServedForms(manifest, "q4"), (Forms{q4, q4_f16}));
  EXPECT_EQ(*ServedForms(manifest, "f32"), (Forms{f32}));
  EXPECT_EQ(*ServedForms(manifest, "auto"), (Forms{q4, q4_f16, f32}));
  EXPECT_EQ(*ServedForms(manifest, "f32,q4"), (Forms{f32, q4, q4_f16}));
  // Gemma's hidden states pass float16's range.
  EXPECT_EQ(*ServedForms(TwoSets("gemma2"), "auto"), (Forms{q4, f32}));
  EXPECT_EQ(ServedForms(manifest, "q8").error().code, Code::kNotFound);
  EXPECT_EQ(ServedForms(manifest, "q4,q4").error().code, Code::kInvalidArgument);
  for (const char* malformed : {"q4,", ",", ",q4", "q4,,f32"}) {
    EXPECT_EQ(ServedForms(manifest, malformed).error().code, Code::kInvalidArgument) << malformed;
  }
}

TEST(ServedForms, CostTheirOwnBytes) {
  const store::Manifest manifest = TwoSets("llama");
  swarm::Config config;
  DescribeForms(manifest, *ServedForms(manifest, "f32,q4"), 2, config);
  EXPECT_EQ(config.weights, "f32");
  EXPECT_EQ(config.blocks.front().weight_bytes, 6400u);
  EXPECT_EQ(config.blocks.front().kv_bytes_per_position, 2u * 2 * 8 * 4);
  EXPECT_EQ(config.blocks.front().hidden_bytes, 128u);
  ASSERT_EQ(config.other_forms.size(), 2u);
  EXPECT_EQ(config.other_forms[0].weights, "q4");
  EXPECT_FALSE(config.other_forms[0].is_f16);
  EXPECT_EQ(config.other_forms[0].blocks.front().weight_bytes, 1000u);
  EXPECT_TRUE(config.other_forms[1].is_f16);
  EXPECT_EQ(config.other_forms[1].blocks.front().kv_bytes_per_position, 2u * 2 * 8 * 4);
  EXPECT_EQ(config.other_forms[1].blocks.front().flops_per_token, 3200);
}

}  // namespace
}  // namespace shoal
