// The natural logarithm, with the same bits natively and in WebAssembly (math.h says why). The
// polynomial is that of Cephes (Moshier), single precision.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace shoal::engine {

// ln(x) within two units in the last place; -infinity at 0, NaN below.
inline float Log(float x) {
  constexpr float kLeastNormal = 1.17549435e-38f;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (x < kLeastNormal) {
    if (x < 0) return std::numeric_limits<float>::quiet_NaN();
    return x == 0 ? -kInfinity : Log(x * 16777216.0f) - 16.6355323f;  // ln 2^24
  }
  if (!(x < kInfinity)) return x;
  const auto bits = std::bit_cast<uint32_t>(x);
  int32_t exponent = static_cast<int32_t>(bits >> 23) - 126;
  float m = std::bit_cast<float>((bits & 0x007fffffu) | 0x3f000000u);  // In [0.5, 1).
  if (m < 0.70710678f) {
    --exponent;
    m = m + m - 1.0f;
  } else {
    m = m - 1.0f;
  }
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const auto e = static_cast<float>(exponent);
  float y = p * m * z + e * -2.12194440e-4f;
  y -= 0.5f * z;
  return m + y + e * 0.693359375f;
}

}  // namespace shoal::engine
