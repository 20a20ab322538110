// The exponential and what is made of it. The C library's differ in their last bits between
// platforms; these give the same bits natively and in WebAssembly, and the compiler can vectorise
// them. Polynomials are those of Cephes (Moshier), single precision.
#pragma once

#include <bit>
#include <cstdint>

namespace shoal::engine {

// e^x within two units in the last place; 0 below -104, infinity above 89; NaN stays NaN.
inline float Exp(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // x = n ln 2 + r with |r| <= ln 2 / 2: adding 1.5 * 2^23 rounds to the integer n, which then
  // stands in the low bits.
  constexpr float kRounder = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + kRounder;
  const int32_t n = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRounder);
  const float whole = shifted - kRounder;
  // ln 2 in two parts; the first has so few bits that its product with n is exact.
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors, since 2^128 and 2^-140 are no normal floats.
  const int32_t half = n >> 1;
  const auto power = [](int32_t e) {
    return std::bit_cast<float>((static_cast<uint32_t>(e) + 127u) << 23);
  };
  return p * power(half) * power(n - half);
}

inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

inline float Tanh(float x) {
  const float magnitude = x < 0 ? -x : x;
  if (magnitude < 0.625f) {
    const float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    return p * z * x + x;
  }
  const float result = 1.0f - 2.0f / (Exp(2.0f * magnitude) + 1.0f);
  return x < 0 ? -result : result;
}

// The error function within 2^-22.
inline float Erf(float x) {
  const float magnitude = x < 0 ? -x : x;
  if (magnitude < 1.0f) {
    const float z = x * x;
    float p = 7.853861353153693e-5f;
    p = p * z - 8.010193625184903e-4f;
    p = p * z + 5.188327685732524e-3f;
    p = p * z - 2.685381193529856e-2f;
    p = p * z + 1.128358514861418e-1f;
    p = p * z - 3.761262582423300e-1f;
    p = p * z + 1.128379165726710f;
    return p * x;
  }
  const float q = 1.0f / magnitude;
  const float y = q * q;
  float p = 0;
  if (magnitude < 2.0f) {
    p = 2.326819970068386e-2f;
    p = p * y - 1.387039388740657e-1f;
    p = p * y + 3.687424674597105e-1f;
    p = p * y - 5.824733027278666e-1f;
    p = p * y + 6.210004621745983e-1f;
    p = p * y - 4.944515323274145e-1f;
    p = p * y + 3.404879937665872e-1f;
    p = p * y - 2.741127028184656e-1f;
    p = p * y + 5.638259427386472e-1f;
  } else {
    p = -1.047766399936249e+1f;
    p = p * y + 1.297719955372516e+1f;
    p = p * y - 7.495518717768503f;
    p = p * y + 2.921019019210786f;
    p = p * y - 1.015265279202700f;
    p = p * y + 4.218463358204948e-1f;
    p = p * y - 2.820767439740514e-1f;
    p = p * y + 5.641895067754075e-1f;
  }
  const float result = 1.0f - Exp(-x * x) * q * p;
  return x < 0 ? -result : result;
}

// Gaussian error linear unit in its tanh form (Hendrycks and Gimpel, arXiv:1606.08415).
inline float GeluTanh(float x) {
  return 0.5f * x * (1.0f + Tanh(0.797884560802865f * (x + 0.044715f * x * x * x)));
}

}  // namespace shoal::engine
