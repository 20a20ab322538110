#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shoal::model {
namespace {

Result<Rope> Read(const char* config_json, uint32_t positions = 4096) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(config_json, "config.json"));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(value, "config.json"));
  return ReadRope(config, positions);
}

TEST(ReadRope, BothSpellingsMeanTheSame) {
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
  EXPECT_EQ(*plain, Rope{});
}

TEST(ReadRope, RefusesWhatItDoesNotKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"rope_scaling": {"type": "longrope", "factor": 2}})", "longrope"},
      {R"({"rope_scaling": {"type": "linear"}})", "factor: is missing"},
      {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "factor"},
      {R"({"rope_theta": -1})", "rope_theta"},
      {R"({"rope_theta": 1e999})", ""},
      {R"({"rope_scaling": []})", "expected an object"},
      {R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
      {R"({"rope_parameters": {"full_attention": {"rope_theta": 10000}}})", "full_attention"},
  };
  for (const auto& [json, detail] : cases) {
    const auto rope = Read(json);
    ASSERT_FALSE(rope) << json;
    EXPECT_NE(rope.error().detail.find(detail), std::string::npos) << rope.error().detail;
  }
}

TEST(RopeFrequencies, Llama3KeepsFastAndDividesSlowOnes) {
  const Rope plain{.theta = 500000};
  Rope scaled = plain;
  scaled.scaling = RopeScaling::kLlama3;
  scaled.factor = 8;
  scaled.low_frequency_factor = 1;
  scaled.high_frequency_factor = 4;
  scaled.original_positions = 8192;
  const auto before = RopeFrequencies(plain, 128);
  const auto after = RopeFrequencies(scaled, 128);
  for (size_t i = 0; i < before.size(); ++i) {
    const double turns = 8192 * before[i] / (2 * M_PI);
    if (turns > 4) EXPECT_EQ(after[i], before[i]) << i;
    if (turns < 1) EXPECT_DOUBLE_EQ(after[i], before[i] / 8) << i;
    EXPECT_LE(after[i], before[i]);
    EXPECT_GE(after[i], before[i] / 8 * (1 - 1e-12));
    if (i > 0) EXPECT_LT(after[i], after[i - 1]);
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
  const auto before = RopeFrequencies(Rope{}, 64);
  const auto after = RopeFrequencies(*rope, 64);
  for (size_t i = 0; i < before.size(); ++i) {
    if (i <= 10) EXPECT_DOUBLE_EQ(after[i], before[i]) << i;
    if (i >= 23) EXPECT_DOUBLE_EQ(after[i], before[i] / 40) << i;
  }
  EXPECT_NEAR(after[16], before[16] * (1 - 6.0 / 13) + before[16] / 40 * 6 / 13, 1e-15);

  const auto stretched = Read(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4}})");
  ASSERT_TRUE(stretched);
  EXPECT_DOUBLE_EQ(stretched->magnitude, 0.1 * std::log(4.0) + 1);
}

TEST(RopeTables, AreCosinesAndSinesOfTheAngles) {
  Rope rope;
  rope.scaling = RopeScaling::kLinear;
  rope.factor = 2;
  const RopeTables tables = MakeRopeTables(rope, 16, 5);
  ASSERT_EQ(tables.cos.size(), 5u * 8);
  for (uint32_t position = 0; position < 5; ++position) {
    for (uint32_t i = 0; i < 8; ++i) {
      const double angle = position / 2.0 / std::pow(10000.0, i / 8.0);
      EXPECT_NEAR(tables.cos[position * 8 + i], std::cos(angle), 1e-7);
      EXPECT_NEAR(tables.sin[position * 8 + i], std::sin(angle), 1e-7);
    }
  }
}

}  // namespace
}  // namespace shoal::model
