#include "engine/kernels/widen.h"

#include <bit>

#include "base/check.h"

namespace shoal::engine {

namespace {

// Moving exponent and mantissa of binary16 into their places leaves the exponent 112 too small;
// one exact product puts that right, for subnormal numbers too.
float WidenF16(uint16_t half) {
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t special = magnitude | 0x7f800000u;  // Infinity and NaN.
  return std::bit_cast<float>(sign | (magnitude < 0x0f800000u ? finite : special));
}

}  // namespace

bool IsWeightType(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

const float* Widen(DType type, const uint8_t* data, size_t count, float* scratch) {
  if (type == DType::kF32) return reinterpret_cast<const float*>(data);
  const auto* halves = reinterpret_cast<const uint16_t*>(data);
  if (type == DType::kF16) {
    for (size_t i = 0; i < count; ++i) scratch[i] = WidenF16(halves[i]);
  } else {
    CHECK(type == DType::kBF16);
    for (size_t i = 0; i < count; ++i) {
      scratch[i] = std::bit_cast<float>(static_cast<uint32_t>(halves[i]) << 16);
    }
  }
  return scratch;
}

}  // namespace shoal::engine
