// One row of a softmax, for kernels that are compiled for several instruction sets.
#pragma once

#include <cstddef>

#include "engine/kernels/math.h"
#include "engine/kernels/sum.h"

namespace shoal::engine {

// out [width] = exp(x - max) / sum; the sum in the order of sum.h. `out` may be `x`.
[[gnu::always_inline]] inline void SoftmaxRow(const float* x, size_t width, float* out) {
  float largest[kSumLanes];
  for (float& lane : largest) lane = x[0];
  size_t i = 0;
  for (; i + kSumLanes <= width; i += kSumLanes) {
    for (size_t lane = 0; lane < kSumLanes; ++lane) {
      largest[lane] = x[i + lane] > largest[lane] ? x[i + lane] : largest[lane];
    }
  }
  for (; i < width; ++i) largest[0] = x[i] > largest[0] ? x[i] : largest[0];
  float max = largest[0];
  for (const float lane : largest) max = lane > max ? lane : max;
  float lanes[kSumLanes] = {};
  for (i = 0; i + kSumLanes <= width; i += kSumLanes) {
    for (size_t lane = 0; lane < kSumLanes; ++lane) {
      const float value = Exp(x[i + lane] - max);
      out[i + lane] = value;
      lanes[lane] += value;
    }
  }
  for (size_t lane = 0; i < width; ++i, ++lane) {
    out[i] = Exp(x[i] - max);
    lanes[lane] += out[i];
  }
  const float factor = 1.0f / SumOfLanes(lanes);
  for (i = 0; i < width; ++i) out[i] *= factor;
}

}  // namespace shoal::engine
