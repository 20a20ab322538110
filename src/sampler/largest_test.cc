// The choice from the largest logits against the choice from all of them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"
#include "sampler/sampler.h"

namespace shoal {
namespace {

struct Picked {
  std::vector<int32_t> ids;  // Rising.
  std::vector<float> logits;
};

// By a full sort; of equals any may be left out, and here those with the lowest ids are.
Picked PickLargest(const std::vector<float>& logits) {
  Picked picked;
  picked.ids.resize(logits.size());
  std::iota(picked.ids.begin(), picked.ids.end(), 0);
  const auto at = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  std::ranges::sort(
      picked.ids, [&](int32_t a, int32_t b) { return std::pair(at(a), a) > std::pair(at(b), b); });
  picked.ids.resize(std::min<size_t>(kLargestLogits, logits.size()));
  std::ranges::sort(picked.ids);
  for (const int32_t id : picked.ids) picked.logits.push_back(at(id));
  return picked;
}

bool Decides(const Picked& picked, size_t vocab, uint32_t needed) {
  const float least = std::ranges::min(picked.logits);
  const auto above = std::ranges::count_if(picked.logits, [&](float l) { return l > least; });
  return needed > 0 && (picked.ids.size() == vocab || above >= static_cast<int64_t>(needed));
}

std::vector<float> RandomLogits(Random& random, size_t count, bool coarse) {
  std::vector<float> logits(count);
  for (float& logit : logits) {
    const double value = (random.NextDouble() + random.NextDouble() - 1) * 12;
    logit = static_cast<float>(coarse ? std::round(value * 8) / 8 : value);
  }
  return logits;
}

TEST(LargestLogits, GiveWhatAllLogitsGiveWhereTheyDecide) {
  Random random(41);
  int decided = 0;
  for (uint32_t round = 0; round < 3000; ++round) {
    const size_t vocab = 1 + static_cast<size_t>(random.NextDouble() * 3000);
    const std::vector<float> logits = RandomLogits(random, vocab, round % 3 == 0);
    const SamplingParameters parameters{
        .seed = round,
        .position = round,
        .temperature = round % 4 == 0 ? 0.0f : static_cast<float>(random.NextDouble() * 3 + 1e-3),
        .top_k = 1 + static_cast<uint32_t>(random.NextDouble() * 127),
        .top_p = round % 2 == 0 ? 1.0f : static_cast<float>(random.NextDouble()),
        .min_p = round % 5 == 0 ? static_cast<float>(random.NextDouble() * 0.3) : 0.0f,
        .top_logprobs = static_cast<uint32_t>(random.NextDouble() * 30)};
    const Picked picked = PickLargest(logits);
    if (!Decides(picked, vocab, LargestNeeded(parameters))) continue;
    ++decided;
    const auto sampled = Sample(picked.logits, parameters);
    const auto expected = Sample(logits, parameters);
    ASSERT_TRUE(sampled.has_value() && expected.has_value());
    const auto id = [&](int32_t index) { return picked.ids[static_cast<size_t>(index)]; };
    EXPECT_EQ(id(sampled->token), expected->token) << "round " << round;
    ASSERT_EQ(sampled->top.size(), expected->top.size());
    for (size_t i = 0; i < sampled->top.size(); ++i) {
      EXPECT_EQ(id(sampled->top[i].token), expected->top[i].token);
    }
  }
  EXPECT_GT(decided, 2000);
}

TEST(LargestLogits, HowManyAreNeeded) {
  const std::vector<int32_t> history = {1};
  const std::vector<SamplingBias> biases = {{1, 1.0f}};
  const std::vector<uint8_t> mask = {0xff};
  EXPECT_EQ(LargestNeeded({}), 1u);
  EXPECT_EQ(LargestNeeded({.top_logprobs = 20}), 20u);
  EXPECT_EQ(LargestNeeded({.temperature = 1, .top_k = 40, .top_p = 0.9f}), 40u);
  EXPECT_EQ(LargestNeeded({.temperature = 1, .top_k = 40, .top_logprobs = 60}), 60u);
  EXPECT_EQ(LargestNeeded({.temperature = 1, .top_k = 127}), 127u);
  EXPECT_EQ(LargestNeeded({.temperature = 1, .top_k = 128}), 0u);
  EXPECT_EQ(LargestNeeded({.temperature = 1}), 0u);
  EXPECT_EQ(LargestNeeded({.temperature = 1, .min_p = 0.1f}), 0u);
  EXPECT_EQ(LargestNeeded({.repetition_penalty = 2, .history = history}), 0u);
  EXPECT_EQ(LargestNeeded({.biases = biases}), 0u);
  EXPECT_EQ(LargestNeeded({.mask = mask}), 0u);
}

}  // namespace
}  // namespace shoal
