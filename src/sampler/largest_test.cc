// The choice from the largest logits against the choice from all of them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/random.h"
#include "sampler/sampler.h"

namespace shoal {
namespace {

struct Picked {
  std::vector<int32_t> ids;
  std::vector<float> logits;
  double log_sum_exp = 0;

  LargestLogits Of(size_t vocab) const {
    return {.ids = ids,
            .logits = logits,
            .log_sum_exp = log_sum_exp,
            .vocab = static_cast<uint32_t>(vocab)};
  }
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
  for (const int32_t id : picked.ids) picked.logits.push_back(at(id));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  picked.log_sum_exp = std::log(sum);
  return picked;
}

std::vector<float> RandomLogits(Random& random, size_t count, bool coarse) {
  std::vector<float> logits(count);
  for (float& logit : logits) {
    const double value = (random.NextDouble() + random.NextDouble() - 1) * 12;
    logit = static_cast<float>(coarse ? std::round(value * 8) / 8 : value);
  }
  return logits;
}

TEST(LargestLogits, GiveWhatAllLogitsGiveOrSayThatTheyDoNotDecide) {
  Random random(41);
  int decided = 0;
  int undecided = 0;
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
    const auto sampled = SampleLargest(PickLargest(logits).Of(vocab), parameters);
    if (!sampled) {
      ASSERT_EQ(sampled.error().code, Code::kFailedPrecondition) << sampled.error().detail;
      ++undecided;
      continue;
    }
    ++decided;
    const auto expected = Sample(logits, parameters);
    ASSERT_TRUE(expected.has_value());
    EXPECT_EQ(sampled->token, expected->token) << "round " << round;
    EXPECT_NEAR(sampled->logprob, expected->logprob, 1e-5);
    EXPECT_NEAR(sampled->log_sum_exp, expected->log_sum_exp, 1e-5);
    ASSERT_EQ(sampled->top.size(), expected->top.size());
    for (size_t i = 0; i < sampled->top.size(); ++i) {
      EXPECT_EQ(sampled->top[i].token, expected->top[i].token);
      EXPECT_NEAR(sampled->top[i].logprob, expected->top[i].logprob, 1e-5);
    }
  }
  EXPECT_GT(decided, 2000);
  EXPECT_GT(undecided, 10);
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

TEST(LargestLogits, RefusesWhatIsWrong) {
  Random random(5);
  const std::vector<float> logits = RandomLogits(random, 500, false);
  const Picked picked = PickLargest(logits);
  const auto code = [](const Picked& of, size_t vocab, const SamplingParameters& parameters) {
    const auto sampled = SampleLargest(of.Of(vocab), parameters);
    return sampled ? std::nullopt : std::optional(sampled.error().code);
  };
  EXPECT_EQ(code(picked, 500, {}), std::nullopt);
  EXPECT_EQ(code(picked, 500, {.temperature = 1}), Code::kFailedPrecondition);
  EXPECT_EQ(code(picked, 100, {}), Code::kInvalidArgument);
  Picked outside = picked;
  outside.ids[3] = 500;
  EXPECT_EQ(code(outside, 500, {}), Code::kInvalidArgument);
  Picked infinite = picked;
  infinite.log_sum_exp = std::nan("");
  EXPECT_EQ(code(infinite, 500, {}), Code::kInvalidArgument);
  Picked unequal = picked;
  unequal.logits.pop_back();
  EXPECT_EQ(code(unequal, 500, {}), Code::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
