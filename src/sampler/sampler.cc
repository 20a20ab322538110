#include "sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "base/str_cat.h"
#include "sampler/adjust.h"
#include "sampler/exact_math.h"
#include "sampler/ranking.h"

namespace shoal {
namespace {

constexpr size_t kVocabMax = 1u << 24;

Status Invalid(std::string detail) { return Fail(Code::kInvalidArgument, std::move(detail)); }

// Written so that NaN fails.
Status CheckBetween(std::string_view name, float value, int low, int high) {
  if (value >= static_cast<float>(low) && value <= static_cast<float>(high)) return {};
  return Invalid(StrCat(name, ": not between ", low, " and ", high));
}

Status CheckFinite(std::string_view name, float value) {
  if (std::isfinite(value)) return {};
  return Invalid(StrCat(name, ": not finite"));
}

Status CheckParameters(const SamplingParameters& parameters) {
  RETURN_IF_ERROR(CheckFinite("temperature", parameters.temperature));
  if (parameters.temperature < 0) {
    return Invalid("temperature: negative");
  }
  RETURN_IF_ERROR(CheckBetween("top_p", parameters.top_p, 0, 1));
  RETURN_IF_ERROR(CheckBetween("min_p", parameters.min_p, 0, 1));
  RETURN_IF_ERROR(CheckFinite("repetition_penalty", parameters.repetition_penalty));
  if (parameters.repetition_penalty <= 0) {
    return Invalid("repetition_penalty: not above zero");
  }
  RETURN_IF_ERROR(CheckFinite("frequency_penalty", parameters.frequency_penalty));
  RETURN_IF_ERROR(CheckFinite("presence_penalty", parameters.presence_penalty));
  for (const SamplingBias& bias : parameters.biases) {
    RETURN_IF_ERROR(CheckFinite("biases", bias.bias));
  }
  if (parameters.top_logprobs > kSamplingTopMax) {
    return Invalid(
        StrCat("top_logprobs: ", parameters.top_logprobs, ", at most ", kSamplingTopMax));
  }
  return {};
}

// The largest logit; the others may be -infinity, but none NaN or +infinite.
Result<float> CheckedMax(std::string_view what, std::span<const float> logits) {
  float max = -std::numeric_limits<float>::infinity();
  bool nan = false;
  for (const float logit : logits) {
    nan |= logit != logit;
    max = logit > max ? logit : max;
  }
  if (nan) return Fail(Code::kInvalidArgument, StrCat(what, ": not a number among them"));
  if (max == std::numeric_limits<float>::infinity()) {
    return Fail(Code::kInvalidArgument, StrCat(what, ": infinite"));
  }
  if (max == -std::numeric_limits<float>::infinity()) {
    return Fail(Code::kInvalidArgument, StrCat(what, ": no token is allowed"));
  }
  return max;
}

double LogSumExp(std::span<const float> logits, float max) {
  const double sum =
      exact::Sum(logits.size(), [logits, max](size_t i) { return exact::Exp(logits[i] - max); });
  return static_cast<double>(max) + exact::Log(sum);
}

std::vector<SampledToken::Alternative> MostProbable(std::span<const float> logits, uint32_t count,
                                                    double log_sum_exp) {
  std::vector<SampledToken::Alternative> top;
  if (count == 0) return top;
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  Ranking ranking(logits, std::move(ids));
  for (size_t rank = 0; rank < std::min<size_t>(count, ranking.size()); ++rank) {
    const int32_t id = ranking[rank];
    const double logprob = static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum_exp;
    if (!std::isfinite(logprob)) break;
    top.push_back({id, static_cast<float>(logprob)});
  }
  return top;
}

int32_t Greedy(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

// Uniform in [0, 1), a pure function of its arguments.
double Uniform(const SamplingParameters& parameters) {
  constexpr uint32_t kStream = 0x53414d50;  // "SAMP": the sampler's own counters.
  const auto words = Philox4x32(
      {parameters.position, parameters.choice, 0, kStream},
      {static_cast<uint32_t>(parameters.seed), static_cast<uint32_t>(parameters.seed >> 32)});
  const uint64_t bits = static_cast<uint64_t>(words[0]) << 32 | words[1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

// Draws one of the tokens that pass the filters. `max` is the largest of `logits`.
class Draw {
 public:
  Draw(std::span<const float> logits, float max, const SamplingParameters& parameters)
      : parameters_(parameters),
        weights_(Weights(logits, max, parameters.temperature)),
        ranking_(logits, Candidates(weights_, parameters.min_p)) {}

  int32_t Token() {
    size_t kept = ranking_.size();
    double mass = 0;
    if (parameters_.top_k > 0 && parameters_.top_k < kept) {
      kept = parameters_.top_k;
      for (size_t rank = 0; rank < kept; ++rank) mass += Weight(rank);
    } else {
      const float floor = parameters_.min_p;
      mass = exact::Sum(weights_.size(), [this, floor](size_t i) {
        return weights_[i] >= floor ? weights_[i] : 0.0f;
      });
    }
    if (parameters_.top_p < 1) {
      const double enough = static_cast<double>(parameters_.top_p) * mass;
      kept = RankWhere(kept, [enough](double sum) { return sum >= enough; }) + 1;
      mass = 0;
      for (size_t rank = 0; rank < kept; ++rank) mass += Weight(rank);
    }
    const double target = Uniform(parameters_) * mass;
    return ranking_[RankWhere(kept, [target](double sum) { return sum > target; })];
  }

 private:
  // Probabilities over that of the most probable token, at the temperature.
  static std::vector<float> Weights(std::span<const float> logits, float max, float temperature) {
    std::vector<float> weights(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) {
      weights[i] = exact::Exp((logits[i] - max) / temperature);
    }
    return weights;
  }

  static std::vector<int32_t> Candidates(const std::vector<float>& weights, float floor) {
    std::vector<int32_t> ids;
    ids.reserve(weights.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] > 0 && weights[i] >= floor) ids.push_back(static_cast<int32_t>(i));
    }
    return ids;
  }

  double Weight(size_t rank) {
    return static_cast<double>(weights_[static_cast<size_t>(ranking_[rank])]);
  }

  // The first rank at which `reached` holds of the weights up to it; the last of `kept` if rounding
  // let it hold nowhere.
  template <typename Predicate>
  size_t RankWhere(size_t kept, const Predicate& reached) {
    double sum = 0;
    for (size_t rank = 0; rank + 1 < kept; ++rank) {
      sum += Weight(rank);
      if (reached(sum)) return rank;
    }
    return kept - 1;
  }

  const SamplingParameters& parameters_;
  std::vector<float> weights_;
  Ranking ranking_;
};

}  // namespace

Result<SampledToken> Sample(std::span<const float> logits, const SamplingParameters& parameters) {
  if (logits.empty() || logits.size() > kVocabMax) {
    return Fail(Code::kInvalidArgument,
                StrCat("logits: ", logits.size(), ", must be 1 to ", kVocabMax));
  }
  RETURN_IF_ERROR(CheckParameters(parameters));
  ASSIGN_OR_RETURN(const float raw_max, CheckedMax("logits", logits));
  const double log_sum_exp = LogSumExp(logits, raw_max);

  std::vector<float> changed;
  std::span<const float> adjusted = logits;
  float max = raw_max;
  if (AdjustsLogits(parameters)) {
    changed.assign(logits.begin(), logits.end());
    RETURN_IF_ERROR(AdjustLogits(parameters, changed));
    ASSIGN_OR_RETURN(max, CheckedMax("logits after mask, biases and penalties", changed));
    adjusted = changed;
  }

  SampledToken sampled;
  sampled.token =
      parameters.temperature == 0 ? Greedy(adjusted) : Draw(adjusted, max, parameters).Token();
  const float logit = logits[static_cast<size_t>(sampled.token)];
  sampled.logprob = static_cast<float>(static_cast<double>(logit) - log_sum_exp);
  sampled.log_sum_exp = static_cast<float>(log_sum_exp);
  sampled.top = MostProbable(logits, parameters.top_logprobs, log_sum_exp);
  return sampled;
}

uint32_t LargestNeeded(const SamplingParameters& parameters) {
  if (AdjustsLogits(parameters)) return 0;
  const uint32_t drawn = parameters.temperature == 0 ? 1 : parameters.top_k;
  const uint32_t needed = drawn == 0 ? 0 : std::max(drawn, parameters.top_logprobs);
  return needed < kLargestLogits ? needed : 0;
}

}  // namespace shoal
