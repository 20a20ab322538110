#include "sampler/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "sampler/exact_math.h"

namespace shoal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t count, uint64_t seed, double spread) {
  Random random(seed);
  std::vector<float> logits(count);
  for (float& logit : logits) {
    logit = static_cast<float>((random.NextDouble() + random.NextDouble() - 1) * spread);
  }
  return logits;
}

int32_t TokenOf(std::span<const float> logits, const SamplingParameters& parameters) {
  const auto sampled = Sample(logits, parameters);
  EXPECT_TRUE(sampled.has_value()) << (sampled ? "" : sampled.error().ToString());
  return sampled ? sampled->token : -1;
}

// The distribution that the header describes, computed in double with a full sort.
std::vector<double> ExactDistribution(std::span<const float> logits,
                                      const SamplingParameters& parameters) {
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < logits.size(); ++i) {
    order.push_back(
        {static_cast<double>(logits[i]) / static_cast<double>(parameters.temperature), i});
  }
  std::ranges::sort(order, std::greater());
  const double best = order.front().first;
  for (auto& [value, id] : order) value = std::exp(value - best);
  if (parameters.top_k > 0 && parameters.top_k < order.size()) order.resize(parameters.top_k);
  std::erase_if(
      order, [&](const auto& item) { return item.first < static_cast<double>(parameters.min_p); });
  const auto mass = [&order] {
    return std::accumulate(order.begin(), order.end(), 0.0,
                           [](double sum, const auto& item) { return sum + item.first; });
  };
  const double enough = mass() * static_cast<double>(parameters.top_p);
  double sum = 0;
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || sum < enough)) sum += order[kept++].first;
  order.resize(kept);
  std::vector<double> probabilities(logits.size());
  for (const auto& [weight, id] : order) probabilities[id] = weight / mass();
  return probabilities;
}

TEST(ExactMath, ExpIsWithinTwoUnitsInTheLastPlace) {
  EXPECT_EQ(exact::Exp(0.0f), 1.0f);
  EXPECT_EQ(exact::Exp(-kInfinity), 0.0f);
  EXPECT_EQ(exact::Exp(-88.0f), 0.0f);
  for (float x = -87.0f; x < 0; x += 0.00317f) {
    const double truth = std::exp(static_cast<double>(x));
    EXPECT_LT(std::abs(static_cast<double>(exact::Exp(x)) / truth - 1), 2 * 0x1.0p-23) << x;
  }
}

TEST(ExactMath, LogIsNearlyExact) {
  EXPECT_EQ(exact::Log(1.0), 0.0);
  for (double x = 1e-9; x < 1e9; x *= 1.0137) {
    EXPECT_NEAR(exact::Log(x), std::log(x), 1e-15 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
}

TEST(ExactMath, SumTakesEveryItemOnce) {
  for (size_t count = 0; count < 40; ++count) {
    EXPECT_EQ(exact::Sum(count, [](size_t i) { return static_cast<double>(i); }),
              static_cast<double>(count * (count - (count > 0 ? 1 : 0)) / 2));
  }
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualsTheFirst) {
  EXPECT_EQ(TokenOf(std::vector<float>{1, 5, 3, 5, -kInfinity}, {}), 1);
  const std::vector<uint8_t> mask = {0b11101};
  EXPECT_EQ(TokenOf(std::vector<float>{1, 5, 3, 5, -kInfinity}, {.mask = mask}), 3);
}

struct DistributionCase {
  std::string name;
  SamplingParameters parameters;
};

class Distribution : public testing::TestWithParam<DistributionCase> {};

// Pearson's statistic over 200,000 draws stays under the quantile that chance passes once in 10^6.
TEST_P(Distribution, DrawsFollowTheExactProbabilities) {
  const std::vector<float> logits = RandomLogits(24, 3, 4.0);
  SamplingParameters parameters = GetParam().parameters;
  const std::vector<double> expected = ExactDistribution(logits, parameters);
  constexpr int kDraws = 200'000;
  std::vector<int> counts(logits.size());
  for (int draw = 0; draw < kDraws; ++draw) {
    parameters.seed = static_cast<uint64_t>(draw / 1000);
    parameters.position = static_cast<uint32_t>(draw % 500);
    parameters.choice = static_cast<uint32_t>(draw / 500 % 2);
    ++counts[static_cast<size_t>(TokenOf(logits, parameters))];
  }
  double statistic = 0;
  int cells = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (expected[id] == 0) {
      EXPECT_EQ(counts[id], 0) << "token " << id << " was filtered out";
      continue;
    }
    const double want = expected[id] * kDraws;
    statistic += (counts[id] - want) * (counts[id] - want) / want;
    ++cells;
  }
  // Wilson and Hilferty's approximation of the chi-square quantile; 4.75 is the normal one.
  const double freedom = std::max(1, cells - 1);
  const double quantile =
      freedom * std::pow(1 - 2 / (9 * freedom) + 4.75 * std::sqrt(2 / (9 * freedom)), 3);
  EXPECT_LT(statistic, quantile) << cells << " tokens left";
}

INSTANTIATE_TEST_SUITE_P(
    Sampler, Distribution,
    testing::Values(DistributionCase{"plain", {.temperature = 1}},
                    DistributionCase{"hot", {.temperature = 2.5f}},
                    DistributionCase{"cold", {.temperature = 0.4f}},
                    DistributionCase{"top_k", {.temperature = 1, .top_k = 5}},
                    DistributionCase{"top_p", {.temperature = 1, .top_p = 0.7f}},
                    DistributionCase{"min_p", {.temperature = 1.2f, .min_p = 0.2f}},
                    DistributionCase{
                        "all", {.temperature = 1.5f, .top_k = 12, .top_p = 0.9f, .min_p = 0.05f}}),
    [](const auto& one) { return one.param.name; });

TEST(Sampler, FiltersThatLeaveOneTokenAreGreedy) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> logits = RandomLogits(300, seed, 3.0);
    const int32_t greedy = TokenOf(logits, {});
    EXPECT_EQ(TokenOf(logits, {.seed = seed, .temperature = 1, .top_k = 1}), greedy);
    EXPECT_EQ(TokenOf(logits, {.seed = seed, .temperature = 1, .top_p = 0}), greedy);
    EXPECT_EQ(TokenOf(logits, {.seed = seed, .temperature = 1, .min_p = 1}), greedy);
    EXPECT_EQ(TokenOf(logits, {.seed = seed, .temperature = 1e-30f}), greedy);
  }
}

TEST(Sampler, FiltersThatTakeNothingChangeNothing) {
  const std::vector<float> logits = RandomLogits(5000, 8, 6.0);
  for (uint32_t position = 0; position < 200; ++position) {
    const int32_t plain = TokenOf(logits, {.seed = 9, .position = position, .temperature = 1});
    EXPECT_EQ(TokenOf(logits, {.seed = 9, .position = position, .temperature = 1, .top_k = 5000}),
              plain);
  }
}

TEST(Sampler, RenumberingTheVocabularyRenumbersTheToken) {
  const std::vector<float> logits = RandomLogits(1000, 11, 5.0);
  std::vector<float> reversed(logits.rbegin(), logits.rend());
  for (uint32_t position = 0; position < 200; ++position) {
    const SamplingParameters parameters{
        .seed = 4, .position = position, .temperature = 0.9f, .top_k = 200, .top_p = 0.95f};
    EXPECT_EQ(TokenOf(reversed, parameters), 999 - TokenOf(logits, parameters));
  }
}

TEST(Sampler, SeedChoiceAndPositionEachGiveAnotherStream) {
  const std::vector<float> logits(1000, 0.0f);
  const auto stream = [&logits](uint64_t seed, uint32_t choice, uint32_t first) {
    std::vector<int32_t> tokens;
    for (uint32_t i = 0; i < 20; ++i) {
      tokens.push_back(TokenOf(
          logits, {.seed = seed, .choice = choice, .position = first + i, .temperature = 1}));
    }
    return tokens;
  };
  const auto base = stream(1, 0, 0);
  EXPECT_EQ(stream(1, 0, 0), base);
  EXPECT_NE(stream(2, 0, 0), base);
  EXPECT_NE(stream(1 + (uint64_t{1} << 32), 0, 0), base);
  EXPECT_NE(stream(1, 1, 0), base);
  EXPECT_NE(stream(1, 0, 20), base);
}

TEST(Sampler, PenaltiesAreThoseOfTheFormulas) {
  const std::vector<int32_t> history = {2, 0, 2, 1, 2};
  // 0: 2 -> 1, 1: -2 -> -4, 2: 6 -> 3; then minus 0.5 * count + 0.25; 3 unchanged.
  const std::vector<float> logits = {2, -2, 6, 2};
  const SamplingParameters penalised{.repetition_penalty = 2,
                                     .frequency_penalty = 0.5f,
                                     .presence_penalty = 0.25f,
                                     .history = history};
  EXPECT_EQ(TokenOf(logits, penalised), 3);  // 2 against 3 - 1.75 = 1.25
  const std::vector<SamplingBias> up = {{2, 1.0f}, {2, 0.25f}};
  SamplingParameters biased = penalised;
  biased.biases = up;
  EXPECT_EQ(TokenOf(logits, biased), 3);  // 2 against (6 + 1.25) / 2 - 1.75 = 1.875
  const std::vector<SamplingBias> more = {{2, 1.0f}, {2, 0.75f}};
  biased.biases = more;
  EXPECT_EQ(TokenOf(logits, biased), 2);  // (6 + 1.75) / 2 - 1.75 = 2.125
  const std::vector<int32_t> same_history = {2, 2, 2, 1, 0};
  biased.history = same_history;
  EXPECT_EQ(TokenOf(logits, biased), 2);
}

TEST(Sampler, LogProbabilitiesAreOfTheRawLogits) {
  std::vector<float> logits = RandomLogits(2000, 5, 8.0);
  logits[17] = -kInfinity;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  const std::vector<uint8_t> mask = [] {
    std::vector<uint8_t> bits(250, 0);
    bits[3] = 0x10;
    return bits;
  }();
  const auto sampled = Sample(logits, {.temperature = 3, .top_logprobs = 128, .mask = mask});
  ASSERT_TRUE(sampled.has_value());
  EXPECT_EQ(sampled->token, 28);
  EXPECT_NEAR(sampled->log_sum_exp, std::log(sum), 2e-6);
  EXPECT_NEAR(sampled->logprob, logits[28] - std::log(sum), 2e-6);
  std::vector<int32_t> ids(2000);
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::sort(ids, [&](int32_t a, int32_t b) {
    return std::pair(-logits[static_cast<size_t>(a)], a) <
           std::pair(-logits[static_cast<size_t>(b)], b);
  });
  ASSERT_EQ(sampled->top.size(), 128u);
  for (size_t i = 0; i < 128; ++i) {
    EXPECT_EQ(sampled->top[i].token, ids[i]);
    EXPECT_NEAR(sampled->top[i].logprob, logits[static_cast<size_t>(ids[i])] - std::log(sum), 2e-6);
  }
}

TEST(Sampler, AlternativesThatCannotBeAreLeftOut) {
  const auto sampled = Sample(std::vector<float>{-kInfinity, 1, -kInfinity}, {.top_logprobs = 3});
  ASSERT_TRUE(sampled.has_value());
  ASSERT_EQ(sampled->top.size(), 1u);
  EXPECT_EQ(sampled->top[0].token, 1);
  EXPECT_EQ(sampled->top[0].logprob, 0);
}

struct RefusedCase {
  std::string name;
  std::vector<float> logits;
  SamplingParameters parameters;
  std::string message;
};

TEST(Sampler, RefusesWhatIsWrong) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> good = {1, 2, 3};
  const std::vector<int32_t> strange = {3};
  const std::vector<SamplingBias> bias_out = {{-1, 1}};
  const std::vector<SamplingBias> bias_nan = {{1, nan}};
  const std::vector<SamplingBias> bias_huge = {{1, 3e38f}, {1, 3e38f}};
  const std::vector<uint8_t> none = {0};
  const std::vector<uint8_t> long_mask = {7, 7};
  const std::vector<RefusedCase> cases = {
      {"empty", {}, {}, "logits"},
      {"nan", {1, nan}, {}, "not a number"},
      {"infinite", {1, kInfinity}, {}, "infinite"},
      {"all minus infinite", {-kInfinity}, {}, "no token"},
      {"negative temperature", good, {.temperature = -1}, "temperature"},
      {"nan temperature", good, {.temperature = nan}, "temperature"},
      {"top_p", good, {.top_p = 1.5f}, "top_p"},
      {"top_p nan", good, {.top_p = nan}, "top_p"},
      {"min_p", good, {.min_p = -0.1f}, "min_p"},
      {"repetition", good, {.repetition_penalty = 0}, "repetition_penalty"},
      {"frequency", good, {.frequency_penalty = kInfinity}, "frequency_penalty"},
      {"presence", good, {.presence_penalty = nan}, "presence_penalty"},
      {"top_logprobs", good, {.top_logprobs = 129}, "top_logprobs"},
      {"history", good, {.presence_penalty = 1, .history = strange}, "history"},
      {"bias token", good, {.biases = bias_out}, "biases"},
      {"bias value", good, {.biases = bias_nan}, "biases"},
      {"bias overflow", good, {.biases = bias_huge}, "infinite"},
      {"mask of nothing", good, {.mask = none}, "no token is allowed"},
      {"mask size", good, {.mask = long_mask}, "mask"},
  };
  for (const RefusedCase& refused : cases) {
    const auto sampled = Sample(refused.logits, refused.parameters);
    ASSERT_FALSE(sampled.has_value()) << refused.name;
    EXPECT_EQ(sampled.error().code, Code::kInvalidArgument) << refused.name;
    EXPECT_NE(sampled.error().detail.find(refused.message), std::string::npos)
        << refused.name << ": " << sampled.error().detail;
  }
}

}  // namespace
}  // namespace shoal
