#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shoal::model {
namespace {

Result<std::vector<Rope>> ReadAll(const char* config_json, uint32_t positions = 4096,
                                  uint32_t head_size = 64) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(config_json, "config.json"));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(value, "config.json"));
  return ReadRopes(config, positions, head_size);
}

Result<Rope> Read(const char* config_json, uint32_t positions = 4096) {
  ASSIGN_OR_RETURN(const std::vector<Rope> ropes, ReadAll(config_json, positions));
  EXPECT_EQ(ropes.size(), 1u);
  return ropes[0];
}

TEST(ReadRopes, BothSpellingsMeanTheSame) {
  const auto older = Read(R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3",
      "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192}})");
  const auto newer = Read(R"({"rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3",
      "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192}})");
  ASSERT_TRUE(older) << older.error().ToString();
  ASSERT_TRUE(newer) << newer.error().ToString();
  EXPECT_EQ(*older, *newer);
  EXPECT_EQ(older->theta, 500000.0);
  EXPECT_EQ(older->scaling, RopeScaling::kLlama3);

  const auto plain = Read(R"({"rope_theta": 10000, "rope_scaling": null})");
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, Rope{.dims = 64});
}

TEST(ReadRopes, RefusesWhatItDoesNotKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"rope_scaling": {"type": "dynamic", "factor": 2}})", "\"dynamic\" is not supported"},
      {R"({"rope_scaling": {"type": "longrope"}})", "short_factor: is missing"},
      {R"({"rope_scaling": {"type": "longrope", "short_factor": [1, 2]}})", "expected 32 numbers"},
      {R"({"rope_scaling": {"type": "linear"}})", "factor: is missing"},
      {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "factor"},
      {R"({"rope_theta": -1})", "rope_theta"},
      {R"({"rope_theta": 1e999})", ""},
      {R"({"rope_scaling": []})", "expected an object"},
      {R"({"partial_rotary_factor": 0.05})", "partial_rotary_factor: 3 of 64 values"},
      {R"({"partial_rotary_factor": 2})", "partial_rotary_factor"},
      {R"({"rope_parameters": {"full_attention": {"rope_theta": 10000}}})", "sliding_attention"},
  };
  for (const auto& [json, detail] : cases) {
    const auto rope = Read(json);
    ASSERT_FALSE(rope) << json;
    EXPECT_NE(rope.error().detail.find(detail), std::string::npos) << rope.error().detail;
  }
}

TEST(RopeFrequencies, Llama3KeepsFastAndDividesSlowOnes) {
  const Rope plain{.theta = 500000, .dims = 128};
  Rope scaled = plain;
  scaled.scaling = RopeScaling::kLlama3;
  scaled.factor = 8;
  scaled.low_frequency_factor = 1;
  scaled.high_frequency_factor = 4;
  scaled.original_positions = 8192;
  const auto before = RopeFrequencies(plain, 8192);
  const auto after = RopeFrequencies(scaled, 8192);
  for (size_t i = 0; i < before.size(); ++i) {
    const double turns = 8192 * before[i] / (2 * M_PI);
    if (turns > 4) {
      EXPECT_EQ(after[i], before[i]) << i;
    }
    if (turns < 1) {
      EXPECT_DOUBLE_EQ(after[i], before[i] / 8) << i;
    }
    EXPECT_LE(after[i], before[i]);
    EXPECT_GE(after[i], before[i] / 8 * (1 - 1e-12));
    if (i > 0) {
      EXPECT_LT(after[i], after[i - 1]);
    }
  }
  EXPECT_EQ(after[0], 1.0);
}

// DeepSeek R1: factor 40, equal mscales. Values from the formulas of the paper: dimensions below
// 10 keep their frequency, those from 23 on are divided.
TEST(RopeFrequencies, YarnRampsBetweenDimensions) {
  const auto rope = Read(R"({"rope_theta": 10000, "rope_scaling": {"type": "yarn", "factor": 40,
      "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
      "mscale_all_dim": 1.0}})");
  ASSERT_TRUE(rope) << rope.error().ToString();
  EXPECT_EQ(rope->magnitude, 1.0);
  const auto before = RopeFrequencies(Rope{.dims = 64}, 4096);
  const auto after = RopeFrequencies(*rope, 4096);
  for (size_t i = 0; i < before.size(); ++i) {
    if (i <= 10) {
      EXPECT_DOUBLE_EQ(after[i], before[i]) << i;
    }
    if (i >= 23) {
      EXPECT_DOUBLE_EQ(after[i], before[i] / 40) << i;
    }
  }
  EXPECT_NEAR(after[16], before[16] * (1 - 6.0 / 13) + before[16] / 40 * 6 / 13, 1e-15);

  const auto stretched = Read(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4}})");
  ASSERT_TRUE(stretched);
  EXPECT_DOUBLE_EQ(stretched->magnitude, 0.1 * std::log(4.0) + 1);
}

// Gemma 3 in both spellings: layers with a window turn faster.
TEST(ReadRopes, GivesLayersWithAWindowTheirOwn) {
  const auto newer = ReadAll(R"({"rope_parameters": {
      "full_attention": {"rope_theta": 1000000.0, "rope_type": "default"},
      "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}}})");
  const auto older = ReadAll(R"({"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0})");
  ASSERT_TRUE(newer) << newer.error().ToString();
  ASSERT_TRUE(older) << older.error().ToString();
  EXPECT_EQ(*newer, *older);
  ASSERT_EQ(newer->size(), 2u);
  EXPECT_EQ((*newer)[0].theta, 1e6);
  EXPECT_EQ((*newer)[1].theta, 1e4);
}

TEST(ReadRopes, TurnsAPartOfAHead) {
  const auto ropes = ReadAll(R"({"partial_rotary_factor": 0.75})", 4096, 128);
  ASSERT_TRUE(ropes) << ropes.error().ToString();
  EXPECT_EQ((*ropes)[0].dims, 96u);
}

// Phi-3: every frequency has a factor, of one list up to the original context and of another above.
TEST(RopeFrequencies, LongRopeChoosesByTheServedContext) {
  const auto rope = ReadAll(R"({"original_max_position_embeddings": 4096, "rope_scaling": {
      "type": "longrope", "short_factor": [1, 2], "long_factor": [4, 8]}})",
                            131072, 4);
  ASSERT_TRUE(rope) << rope.error().ToString();
  const Rope& scaled = (*rope)[0];
  EXPECT_DOUBLE_EQ(scaled.magnitude, std::sqrt(1 + std::log(32.0) / std::log(4096.0)));
  EXPECT_EQ(RopeFrequencies(scaled, 4096), (std::vector<double>{1, 0.01 / 2}));
  EXPECT_EQ(RopeFrequencies(scaled, 4097), (std::vector<double>{0.25, 0.01 / 8}));
  const auto older = ReadAll(R"({"original_max_position_embeddings": 4096, "rope_scaling": {
      "type": "su", "short_factor": [1, 2], "long_factor": [4, 8]}})",
                             131072, 4);
  ASSERT_TRUE(older) << older.error().ToString();
  EXPECT_EQ(*older, *rope);
}

// Ding et al., 2024: position n turns pair i by n / (theta^(2i / dims) * factor i), and what is
// turned grows by sqrt(1 + ln(context / original) / ln(original)), by which a score grows twice. A
// table for a longer context is another one from its first row on.
TEST(RopeTables, OfLongRopeHaveTheFactorsOfTheirContext) {
  const auto rope = ReadAll(R"({"original_max_position_embeddings": 16, "rope_scaling": {
      "type": "longrope", "short_factor": [1, 1.25, 1.5, 2, 2, 2, 2.5, 3],
      "long_factor": [1.5, 4, 7, 11, 20, 32, 48, 64]}})",
                            256, 16);
  ASSERT_TRUE(rope) << rope.error().ToString();
  const double size = std::sqrt(1 + std::log(256.0 / 16) / std::log(16.0));
  const double near[] = {1, 1.25, 1.5, 2, 2, 2, 2.5, 3};
  const double far[] = {1.5, 4, 7, 11, 20, 32, 48, 64};
  for (const uint32_t context : {15u, 16u, 17u, 256u}) {
    const auto& factors = context > 16 ? far : near;
    const RopeTables tables = MakeRopeTables((*rope)[0], context);
    ASSERT_EQ(tables.cos.size(), context * 8);
    for (uint32_t position = 0; position < context; ++position) {
      for (uint32_t i = 0; i < 8; ++i) {
        const double angle = position / (std::pow(10000.0, i / 8.0) * factors[i]);
        EXPECT_NEAR(tables.cos[position * 8 + i], size * std::cos(angle), 1e-6) << context;
        EXPECT_NEAR(tables.sin[position * 8 + i], size * std::sin(angle), 1e-6) << context;
      }
    }
  }
}

TEST(RopeTables, AreCosinesAndSinesOfTheAngles) {
  Rope rope;
  rope.scaling = RopeScaling::kLinear;
  rope.factor = 2;
  rope.dims = 16;
  const RopeTables tables = MakeRopeTables(rope, 5);
  ASSERT_EQ(tables.cos.size(), 5u * 8);
  for (uint32_t position = 0; position < 5; ++position) {
    for (uint32_t i = 0; i < 8; ++i) {
      const double angle = position / 2.0 / std::pow(10000.0, i / 8.0);
      EXPECT_NEAR(tables.cos[position * 8 + i], std::cos(angle), 1e-7);
      EXPECT_NEAR(tables.sin[position * 8 + i], std::sin(angle), 1e-7);
    }
  }
}

// A kernel that turns 16 values turns the six beyond ten by nothing.
TEST(RopeTables, TurnNothingBeyondTheirDims) {
  const Rope rope{.dims = 10};
  const RopeTables tables = MakeRopeTables(rope, 3);
  ASSERT_EQ(tables.cos.size(), 3u * 8);
  ASSERT_EQ(tables.sin.size(), 3u * 8);
  EXPECT_NEAR(tables.cos[2 * 8 + 4], std::cos(2 / std::pow(10000.0, 0.8)), 1e-7);
  for (uint32_t position = 0; position < 3; ++position) {
    for (uint32_t i = 5; i < 8; ++i) {
      EXPECT_EQ(tables.cos[position * 8 + i], 1);
      EXPECT_EQ(tables.sin[position * 8 + i], 0);
    }
  }
}

}  // namespace
}  // namespace shoal::model
