// Sums in a fixed order: eight interleaved partial sums, then their tree. The order depends on
// `count` alone, and the eight lanes let the compiler use vector registers of any width up to 256
// bits without changing it.
#pragma once

#include <cstddef>

namespace shoal::engine {

inline constexpr size_t kSumLanes = 8;

inline float SumOfLanes(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// sum over i of a[i] * b[i]
inline float Dot(const float* a, const float* b, size_t count) {
  float lanes[kSumLanes] = {};
  size_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (size_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += a[i] * b[i];
  return SumOfLanes(lanes);
}

}  // namespace shoal::engine
