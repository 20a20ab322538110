#include "model/architecture.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/file.h"
#include "model/testing.h"
#include "model/weights.h"

namespace shoal::model {
namespace {

std::string Golden(const std::string& path) {
  auto content = ReadFile(std::string(SHOAL_SOURCE_DIR "/tests/golden/") + path, 1 << 20);
  EXPECT_TRUE(content) << content.error().ToString();
  return content.value_or("");
}

// Published totals of the full-size models.
TEST(Architecture, CountsTheParametersOfFullSizeModels) {
  const Architecture llama70 = MustParse(Golden("configs/llama-3.3-70b/config.json"));
  EXPECT_EQ(TotalParams(llama70), 70553706496u);
  EXPECT_EQ(CostsOf(llama70, 1).kv_values_per_token * 80 * 2, 327680u);  // in f16
  const Architecture llama1 = MustParse(Golden("configs/llama-3.2-1b/config.json"));
  EXPECT_EQ(TotalParams(llama1), 1235814400u);
  const Architecture qwen = MustParse(Golden("configs/qwen2.5-0.5b/config.json"));
  EXPECT_EQ(TotalParams(qwen), 494032768u);
  const Architecture r1 = MustParse(Golden("configs/deepseek-r1/config.json"));
  EXPECT_EQ(TotalParams(r1), 671026419200u);
  EXPECT_EQ(CostsOf(r1, 10).kv_values_per_token, 2u * 576);
  const Architecture k2 = MustParse(Golden("configs/kimi-k2/config.json"));
  EXPECT_NEAR(static_cast<double>(TotalParams(k2)), 1026.4e9, 0.05e9);
}

TEST(Architecture, ReadsALlamaOfTransformersFive) {
  const Architecture arch = MustParse(Golden("hf/llama3/config.json"));
  EXPECT_EQ(arch.family, "llama");
  EXPECT_EQ(arch.hidden, 64u);
  EXPECT_EQ(arch.block_count(), 6u);
  EXPECT_EQ(arch.attention.heads, 4u);
  EXPECT_EQ(arch.attention.kv_heads, 2u);
  EXPECT_EQ(arch.attention.head_size, 16u);
  EXPECT_EQ(arch.attention.scale, 0.25);
  EXPECT_EQ(arch.norm.epsilon, 1e-5);
  EXPECT_EQ(arch.ropes[0].scaling, RopeScaling::kLlama3);
  EXPECT_FALSE(arch.tied);
  EXPECT_TRUE(MustParse(Golden("hf/llama_tied/config.json")).tied);
}

TEST(Architecture, TellsTheFamiliesApart) {
  EXPECT_TRUE(MustParse(Golden("hf/qwen2/config.json")).attention.qkv_bias);
  EXPECT_EQ(MustParse(Golden("hf/qwen3/config.json")).attention.qk_norm, QkNorm::kPerHead);
  EXPECT_EQ(MustParse(Golden("hf/olmo2/config.json")).norm.placement, NormPlacement::kAfter);
  const Architecture smol = MustParse(Golden("hf/smollm3/config.json"));
  EXPECT_TRUE(smol.LayerOf(3).rope);
  EXPECT_FALSE(smol.LayerOf(4).rope);
  const Architecture gemma = MustParse(Golden("hf/gemma3/config.json"));
  EXPECT_EQ(gemma.LayerOf(1).window, 8u);
  EXPECT_EQ(gemma.LayerOf(1).rope, 1u);
  EXPECT_EQ(gemma.LayerOf(6).window, 0u);
  EXPECT_EQ(gemma.LayerOf(6).rope, 0u);
  EXPECT_EQ(gemma.embedding_scale, 8);
  const Architecture gpt2 = MustParse(Golden("hf/gpt2/config.json"));
  EXPECT_TRUE(gpt2.learned_positions);
  EXPECT_EQ(gpt2.mlp.intermediate, 256u);
  const Architecture deepseek = MustParse(Golden("hf/deepseek_v3/config.json"));
  EXPECT_FALSE(deepseek.LayerOf(1).mixture);
  EXPECT_TRUE(deepseek.LayerOf(2).mixture);
  EXPECT_EQ(deepseek.mixture->route_groups, 4u);
  EXPECT_EQ(deepseek.mixture->chosen_route_groups, 2u);
  EXPECT_EQ(deepseek.mixture->scores, Scores::kSigmoid);
}

// A small valid configuration with one field replaced (or removed, when `value` is empty).
std::string With(const std::string& field, const std::string& value) {
  const std::pair<std::string, std::string> fields[] = {
      {"model_type", "\"llama\""},  {"hidden_size", "64"},
      {"num_hidden_layers", "2"},   {"vocab_size", "100"},
      {"num_attention_heads", "4"}, {"intermediate_size", "96"},
      {"rms_norm_eps", "1e-5"},     {"max_position_embeddings", "128"},
  };
  std::string json = "{";
  bool found = false;
  for (const auto& [name, normal] : fields) {
    found |= name == field;
    const std::string& chosen = name == field ? value : normal;
    if (!chosen.empty()) json += (json.size() > 1 ? ", \"" : "\"") + name + "\": " + chosen;
  }
  if (!found && !value.empty()) json += ", \"" + field + "\": " + value;
  return json + "}";
}

// SmolLM3: layers that are rotated see everything, unless layer_types says otherwise.
TEST(Architecture, AWindowIsForLayersThatAreNotRotated) {
  const auto windows = [](const std::string& fields) {
    std::string json = With("model_type", "\"smollm3\"");
    json.insert(json.size() - 1, R"(, "sliding_window": 5, "no_rope_layers": [1, 0])" + fields);
    const Architecture arch = MustParse(json);
    return std::pair(arch.LayerOf(1).window, arch.LayerOf(2).window);
  };
  EXPECT_EQ(windows(R"(, "use_sliding_window": true)"), std::pair(0u, 5u));
  EXPECT_EQ(windows(R"(, "use_sliding_window": false)"), std::pair(0u, 0u));
  EXPECT_EQ(windows(R"(, "use_sliding_window": true,
                       "layer_types": ["sliding_attention", "full_attention"])"),
            std::pair(5u, 0u));
}

TEST(Architecture, RefusesWhatCannotBeRight) {
  ASSERT_TRUE(ParseArchitecture(With("", "")));
  const struct {
    const char* field;
    const char* value;
    const char* detail;
  } cases[] = {
      {"model_type", "\"mamba\"", "supported: llama"},
      {"model_type", "", "model_type: is missing"},
      {"model_type", "7", "expected a text"},
      {"hidden_size", "", "hidden_size: is missing"},
      {"hidden_size", "-64", "hidden_size"},
      {"hidden_size", "64.5", "hidden_size"},
      {"hidden_size", "66", "does not divide hidden_size 66"},
      {"num_hidden_layers", "1000000000", "from 1 to 1024"},
      {"num_hidden_layers", "0", "num_hidden_layers"},
      {"vocab_size", "\"100\"", "vocab_size"},
      {"num_attention_heads", "0", "num_attention_heads"},
      {"num_key_value_heads", "3", "does not divide"},
      {"num_key_value_heads", "8", "num_key_value_heads"},
      {"head_dim", "15", "an even number"},
      {"hidden_act", "\"relu\"", "supported: silu, gelu"},
      {"rms_norm_eps", "0", "rms_norm_eps"},
      {"model_type", "\"llama\", \"model_type\": \"llama\"", "occurs twice"},
  };
  for (const auto& [field, value, detail] : cases) {
    const auto arch = ParseArchitecture(With(field, value));
    ASSERT_FALSE(arch) << field << " " << value;
    EXPECT_NE(arch.error().detail.find(detail), std::string::npos) << arch.error().detail;
  }
  EXPECT_FALSE(ParseArchitecture("[]"));
  EXPECT_FALSE(ParseArchitecture(""));
  EXPECT_FALSE(ParseArchitecture(std::string(100000, '[')));
}

TEST(Generation, TakesTheGenerationFileOverTheConfiguration) {
  const auto merged = ParseGenerationDefaults(
      R"({"bos_token_id": 1, "eos_token_id": 2})",
      R"({"eos_token_id": [3, 4], "do_sample": true, "temperature": 0.7, "top_p": 0.9})", 10);
  ASSERT_TRUE(merged) << merged.error().ToString();
  EXPECT_EQ(merged->bos_id, 1u);
  EXPECT_EQ(merged->eos_ids, (std::vector<uint32_t>{3, 4}));
  EXPECT_TRUE(merged->sample);
  EXPECT_EQ(merged->temperature, 0.7);
  EXPECT_FALSE(ParseGenerationDefaults(R"({"eos_token_id": 10})", "", 10));
  EXPECT_FALSE(ParseGenerationDefaults("{}", R"({"top_p": 2})", 10));
  const auto nothing = ParseGenerationDefaults(R"({"bos_token_id": null})", "", 10);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(*nothing, GenerationDefaults{});
}

}  // namespace
}  // namespace shoal::model
