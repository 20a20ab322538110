// logits -> token, as a pure function: the same inputs give the same token on every machine, so a
// lost head stage changes no text.
//
// Order of operations (that of Hugging Face's and llama.cpp's default chains): mask and biases,
// repetition / frequency / presence penalties, then temperature 0 takes the largest logit (lowest
// id among equals); otherwise temperature, top-k, min-p, top-p, and a draw by a counter-based
// random number of (seed, choice, position). Each filter works on what the one before it left. The
// draw walks the tokens from the most probable down, so that the choice depends only on those above
// it and on the total.
//
// Nothing of the platform's mathematics library is used and every sum has a fixed order, so the
// bits are the same natively and in WebAssembly.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace shoal {

struct SamplingBias {
  int32_t token = 0;
  float bias = 0;
};

inline constexpr uint32_t kSamplingTopMax = 128;
// Of the largest logits, so many are picked out where they lie in a device's memory.
inline constexpr uint32_t kLargestLogits = 128;

// Temperature, penalties and biases are finite; temperature >= 0, repetition_penalty > 0, top_p and
// min_p in [0, 1]; the most probable token passes every filter.
struct SamplingParameters {
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint32_t position = 0;  // Of the token to be drawn.
  float temperature = 0;
  uint32_t top_k = 0;  // 0: no limit.
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  uint32_t top_logprobs = 0;             // At most kSamplingTopMax.
  std::span<const int32_t> history;      // Tokens that the penalties count, in any order.
  std::span<const SamplingBias> biases;  // Several for one token add up.
  // Bit i % 8 of byte i / 8 set: token i is allowed; ceil(vocab / 8) bytes. Empty: all are.
  std::span<const uint8_t> mask;
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0;      // Of `token` under the raw logits, at temperature 1.
  float log_sum_exp = 0;  // Of the raw logits.
  struct Alternative {
    int32_t token = 0;
    float logprob = 0;
  };
  // The most probable under the raw logits, sorted, lower ids first among equals; fewer than asked
  // for when fewer logits are above -infinity.
  std::vector<Alternative> top;
};

// `logits`: [vocab] floats, of which some may be -infinity (never chosen). kInvalidArgument for NaN
// or +infinite logits, parameters out of range, ids out of the vocabulary, or a mask that allows
// nothing.
Result<SampledToken> Sample(std::span<const float> logits, const SamplingParameters& parameters);

// How many of the largest logits decide on the token and its alternatives; 0 where all do: with a
// mask, biases or penalties, and to draw without a top_k that is under kLargestLogits. Sample gives
// the same from kLargestLogits of the largest, in order of their ids, as from all, if so many of
// them are larger than the least of them (others may equal that one); only log-sum-exp, which all
// logits have a part in, is then another.
uint32_t LargestNeeded(const SamplingParameters& parameters);

}  // namespace shoal
