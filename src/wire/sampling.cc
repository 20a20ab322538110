#include "wire/sampling.h"

#include <vector>

#include "sampler/sampler.h"

namespace shoal::wire {
namespace {

static_assert(kTopLogprobsMax == kSamplingTopMax);

std::vector<SamplingBias> BiasesOf(const Sampling& sampling) {
  std::vector<SamplingBias> biases;
  biases.reserve(sampling.biases.size());
  for (const TokenBias& bias : sampling.biases) biases.push_back({bias.token, bias.bias});
  return biases;
}

// Views of `sampling` and `biases`.
SamplingParameters ParametersOf(const Sampling& sampling, std::span<const SamplingBias> biases,
                                uint32_t position) {
  return {.seed = sampling.seed,
          .choice = sampling.choice,
          .position = position,
          .temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .repetition_penalty = sampling.repetition_penalty,
          .frequency_penalty = sampling.frequency_penalty,
          .presence_penalty = sampling.presence_penalty,
          .top_logprobs = sampling.top_logprobs,
          .history = sampling.history,
          .biases = biases,
          .mask = sampling.mask};
}

}  // namespace

Result<Token> SampleToken(std::span<const float> logits, const Row& row, const Sampling& sampling) {
  const std::vector<SamplingBias> biases = BiasesOf(sampling);
  ASSIGN_OR_RETURN(const SampledToken sampled,
                   Sample(logits, ParametersOf(sampling, biases, row.position + 1)));
  Token token{.session = row.session,
              .epoch = row.epoch,
              .position = row.position + 1,
              .token = sampled.token,
              .logprob = sampled.logprob,
              .log_sum_exp = sampled.log_sum_exp,
              .top = {}};
  for (const auto& [id, logprob] : sampled.top) token.top.push_back({id, logprob});
  return token;
}

uint32_t LargestNeeded(const Sampling& sampling) {
  const std::vector<SamplingBias> biases = BiasesOf(sampling);
  return shoal::LargestNeeded(ParametersOf(sampling, biases, 0));
}

}  // namespace shoal::wire
