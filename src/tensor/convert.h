// Conversions between float formats, exact or rounded to nearest even. Portable scalar code: the
// same bits everywhere.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace shoal {

// IEEE binary16; exact.
float F16ToF32(uint16_t bits);
// IEEE binary16, round to nearest even; overflow gives infinity, NaN stays NaN.
uint16_t F32ToF16(float value);
// bfloat16; exact.
inline float BF16ToF32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
// bfloat16, round to nearest even.
uint16_t F32ToBF16(float value);

// Widens `source` (f32, f16 or bf16 elements, little-endian, any alignment) to floats.
// `out` must have room for exactly source.size() / DTypeBytes(type) values.
void ToF32(DType type, Bytes source, std::span<float> out);
// Narrows floats to `type` (f32, f16 or bf16); out.size() == values.size() * DTypeBytes(type).
void FromF32(DType type, std::span<const float> values, std::span<uint8_t> out);

// Whether no value is infinite or NaN.
bool AllFinite(std::span<const float> values);

}  // namespace shoal
