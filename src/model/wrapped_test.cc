// The decoders of models that also see, by what their config.json says and leaves out.
#include "model/wrapped.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/str_cat.h"
#include "model/architecture.h"
#include "model/testing.h"
#include "model/weights.h"

namespace shoal::model {
namespace {

std::string Gemma3(const std::string& text_config) {
  return StrCat(R"({"architectures": ["Gemma3ForConditionalGeneration"], "eos_token_id": [1, 106],
                    "image_token_index": 262144, "model_type": "gemma3", "text_config": )",
                text_config, R"(, "vision_config": {"model_type": "siglip_vision_model"}})");
}

// Of the published models: all that stands in their text_config.
constexpr std::string_view kScaled =
    R"("model_type": "gemma3_text", "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
       "sliding_window": 1024)";
const std::string kGemma4B =
    Gemma3(StrCat(R"({"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, )",
                  kScaled, "}"));
const std::string kGemma12B =
    Gemma3(StrCat(R"({"hidden_size": 3840, "intermediate_size": 15360, "num_attention_heads": 16,
               "num_hidden_layers": 48, "num_key_value_heads": 8, )",
                  kScaled, "}"));
const std::string kGemma27B =
    Gemma3(StrCat(R"({"head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
               "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16,
               "query_pre_attn_scalar": 168, )",
                  kScaled, "}"));

// In millions, without the embedding; as the technical report counts (arXiv:2503.19786, table 1).
TEST(Wrapped, CountsThePublishedParametersOfGemma3) {
  const std::pair<std::string, double> models[] = {
      {kGemma4B, 3209}, {kGemma12B, 10759}, {kGemma27B, 25600}};
  for (const auto& [json, millions] : models) {
    const Architecture arch = MustParse(json);
    const uint64_t others = TotalParams(arch) - uint64_t{arch.vocab} * arch.hidden;
    EXPECT_NEAR(static_cast<double>(others) / 1e6, millions, 0.5);
  }
}

TEST(Wrapped, WhatIsLeftOutIsWhatTheFamilyHas) {
  const Architecture arch = MustParse(kGemma4B);
  EXPECT_EQ(arch.family, "gemma3_text");
  EXPECT_EQ(arch.vocab, 262208u);
  EXPECT_EQ(arch.positions, 131072u);
  EXPECT_EQ(arch.attention.heads, 8u);
  EXPECT_EQ(arch.attention.kv_heads, 4u);
  EXPECT_EQ(arch.attention.head_size, 256u);
  EXPECT_EQ(arch.attention.scale, 1.0 / 16);
  EXPECT_TRUE(arch.tied);
  ASSERT_EQ(arch.ropes.size(), 2u);
  EXPECT_EQ(arch.ropes[0].theta, 1e6);
  EXPECT_EQ(arch.ropes[0].factor, 8);
  EXPECT_EQ(arch.ropes[1].theta, 1e4);
  EXPECT_EQ(arch.ropes[1].scaling, RopeScaling::kNone);
  EXPECT_EQ(arch.LayerOf(5).window, 1024u);
  EXPECT_EQ(arch.LayerOf(6).window, 0u);
  EXPECT_EQ(MustParse(kGemma27B).attention.scale, 1 / std::sqrt(168.0));
}

TEST(Wrapped, ANullIsNotLeftOut) {
  const auto mistral = [](const char* window) {
    return StrCat(R"({"model_type": "mistral3", "text_config": {"model_type": "mistral",
                      "sliding_window": )",
                  window, "}}");
  };
  EXPECT_EQ(MustParse(mistral("null")).LayerOf(1).window, 0u);
  EXPECT_EQ(MustParse(mistral("512")).LayerOf(1).window, 512u);
  const Architecture by_default =
      MustParse(R"({"model_type": "mistral3", "text_config": {"model_type": "mistral"}})");
  EXPECT_EQ(by_default.LayerOf(1).window, 4096u);
  EXPECT_FALSE(by_default.tied);
}

TEST(Wrapped, IdsOfTheWholeModelWin) {
  const auto whole = ParseGenerationDefaults(kGemma4B, "", 262208);
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_EQ(whole->bos_id, 2u);
  EXPECT_EQ(whole->eos_ids, (std::vector<uint32_t>{1, 106}));
}

TEST(Wrapped, RefusesOtherDecoders) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"model_type": "mistral3"})", "text_config: is missing"},
      {R"({"model_type": "mistral3", "text_config": 3})", "expected an object"},
      {R"({"model_type": "mistral3", "text_config": {"model_type": "ministral3"}})",
       "config.json: text_config: model_type: \"ministral3\" is not supported"},
      {R"({"model_type": "gemma3", "text_config": {"hidden_size": -1}})",
       "config.json: text_config: hidden_size"},
      {R"({"model_type": "llava", "text_config": {"model_type": "llama"}})",
       "model_type: \"llava\" is not supported"},
  };
  for (const auto& [json, detail] : cases) {
    const auto arch = ParseArchitecture(json);
    ASSERT_FALSE(arch) << json;
    EXPECT_NE(arch.error().detail.find(detail), std::string::npos) << arch.error().detail;
  }
}

TEST(Wrapped, TensorsGetTheNamesOfADecoderAlone) {
  const std::pair<const char*, const char*> names[] = {
      {"language_model.model.layers.3.mlp.up_proj.weight", "model.layers.3.mlp.up_proj.weight"},
      {"language_model.lm_head.weight", "lm_head.weight"},
      {"model.language_model.norm.weight", "model.norm.weight"},
      {"lm_head.weight", "lm_head.weight"},
      {"vision_tower.vision_model.embeddings.position_embedding.weight",
       "vision_tower.vision_model.embeddings.position_embedding.weight"},
  };
  for (const auto& [wrapped, alone] : names) EXPECT_EQ(UnwrappedName(wrapped), alone);
  EXPECT_TRUE(IsOfAnotherPart("model.vision_tower.patch_embed.weight"));
  EXPECT_TRUE(IsOfAnotherPart("multi_modal_projector.linear_1.weight"));
  EXPECT_FALSE(IsOfAnotherPart("language_model.model.norm.weight"));
}

}  // namespace
}  // namespace shoal::model
