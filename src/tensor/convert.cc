#include "tensor/convert.h"

#include <cstring>

#include "base/check.h"

namespace shoal {

float F16ToF32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 31;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  // Zero and subnormals: mantissa * 2^-24, exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;  // 2^16 and above
  if (magnitude < 0x38800000) {                       // below 2^-14: subnormal or zero
    const uint32_t shift = 126 - (magnitude >> 23);   // value = mantissa * 2^(exponent - 150)
    if (shift > 24) return sign;
    const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    const uint32_t kept = mantissa >> shift;
    const uint32_t rest = mantissa & ((1u << shift) - 1);
    const uint32_t half = 1u << (shift - 1);
    const bool up = rest > half || (rest == half && (kept & 1) != 0);
    return static_cast<uint16_t>(sign + kept + (up ? 1 : 0));
  }
  // A carry out of the mantissa must reach the exponent, hence the additions.
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  if (rounded >= 0x47800000) return sign | 0x7c00;
  return static_cast<uint16_t>(sign + ((rounded - 0x38000000) >> 13));
}

uint16_t F32ToBF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void ToF32(DType type, Bytes source, std::span<float> out) {
  CHECK(source.size() == out.size() * DTypeBytes(type));
  if (type == DType::kF32) {
    if (!out.empty()) std::memcpy(out.data(), source.data(), source.size());
    return;
  }
  CHECK(type == DType::kF16 || type == DType::kBF16);
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, source.data() + 2 * i, 2);
    out[i] = type == DType::kF16 ? F16ToF32(bits) : BF16ToF32(bits);
  }
}

void FromF32(DType type, std::span<const float> values, std::span<uint8_t> out) {
  CHECK(out.size() == values.size() * DTypeBytes(type));
  if (type == DType::kF32) {
    if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
    return;
  }
  CHECK(type == DType::kF16 || type == DType::kBF16);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = type == DType::kF16 ? F32ToF16(values[i]) : F32ToBF16(values[i]);
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
}

bool AllFinite(std::span<const float> values) {
  uint32_t bad = 0;
  for (const float value : values) {
    bad |= (std::bit_cast<uint32_t>(value) & 0x7f800000) == 0x7f800000 ? 1u : 0u;
  }
  return bad == 0;
}

}  // namespace shoal
