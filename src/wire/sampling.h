// The sampler, asked and answered in terms of frames.
#pragma once

#include <span>

#include "base/result.h"
#include "wire/frames.h"

namespace shoal::wire {

// The token frame for one row that wants a token: `logits` [vocab] are those after `row`,
// `sampling` is its item of the step. The drawn token's position is row.position + 1. Errors as
// shoal::Sample.
Result<Token> SampleToken(std::span<const float> logits, const Row& row, const Sampling& sampling);

// As LargestNeeded: of the logits after the row that `sampling` belongs to.
uint32_t LargestNeeded(const Sampling& sampling);

}  // namespace shoal::wire
