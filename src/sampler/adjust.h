// What changes logits before a token is chosen from them.
#pragma once

#include <span>

#include "base/result.h"
#include "sampler/sampler.h"

namespace shoal {

// Whether AdjustLogits would change anything.
bool AdjustsLogits(const SamplingParameters& parameters);

// Mask (disallowed logits become -infinity), biases, then the penalties over `history`:
//   repetition  a logit above zero is divided by it, one below multiplied (Keskar et al., "CTRL",
//               2019, as Hugging Face applies it), once per token however often it occurred
//   frequency   subtracted as often as the token occurred
//   presence    subtracted once
// kInvalidArgument for ids out of the vocabulary and a mask of the wrong size.
Status AdjustLogits(const SamplingParameters& parameters, std::span<float> logits);

}  // namespace shoal
