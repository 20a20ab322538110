// exp, log and sums whose bits depend on IEEE 754 addition, multiplication and division alone, not
// on a platform's mathematics library. (The build turns contraction to fused operations off.)
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace shoal::exact {

// e^x for x <= 0, within 2 units in the last place; 0 below -87. exp(0) is 1. Cody and Waite's
// reduction and Cephes' polynomial (expf.c); straight-line code, so that loops over it vectorise.
inline float Exp(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fraction bits.
  constexpr float kLowest = -87.0f;        // e^-87 is a normal number.
  const float clamped = std::max(x, kLowest);
  const float n = (clamped * kLog2E + kRounder) - kRounder;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
  const float power = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
  return x < kLowest ? 0.0f : p * power;
}

// ln x for a normal x > 0, within a few units in the last place: x = m * 2^e with m in
// [sqrt(1/2), sqrt(2)), and ln m = 2 artanh((m - 1) / (m + 1)) by its series.
inline double Log(double x) {
  constexpr double kLn2 = 0.6931471805599453094;
  constexpr uint64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const auto exponent = static_cast<int64_t>(bits - kSqrtHalfBits) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << 52));
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return 2 * s * sum + static_cast<double>(exponent) * kLn2;
}

// The sum of f(0), ..., f(count - 1) in double, in eight interleaved partial sums.
template <typename Function>
double Sum(size_t count, const Function& f) {
  constexpr size_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(f(i + lane));
  }
  for (size_t lane = 0; i + lane < count; ++lane) lanes[lane] += static_cast<double>(f(i + lane));
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace shoal::exact
