// Rows of keys or values as a cache stores them: floats, f16, or int8 in blocks of kKvBlock.
//
//   f32   exact
//   f16   rounded to nearest even; magnitudes past 65,504 become that
//   q8    as activations (block_rows.h): code * scale, scale = the block's largest magnitude / 127,
//         so that a value is off by at most 1/254 of its block's largest
//
// A row's bytes: its values, or for q8 its codes and then a float scale a block.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace shoal::engine {

enum class KvFormat : uint8_t { kF32, kF16, kQ8 };

inline constexpr size_t kKvBlock = 32;

// Bytes of a row of `width` values, a multiple of 4.
size_t KvRowBytes(KvFormat format, size_t width);

// Stores one row of finite values at `row` [KvRowBytes].
void StoreKvRow(KvFormat format, std::span<const float> values, uint8_t* row);

// Finite f16 as a float, exactly: exponent and mantissa move to their places, which leaves the
// exponent 112 too small; a product with 2^112 mends that. In a form that compilers vectorise.
inline float KvF16ToF32(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t rest = (bits & 0x7fffu) << 13;
  return std::bit_cast<float>(sign | rest) * 0x1p112f;
}

// Rows of one format and width, one after the other.
struct KvRows {
  KvFormat format = KvFormat::kF32;
  const uint8_t* data = nullptr;
  size_t width = 0;
  size_t row_bytes = 0;

  // Values [from, from + count) of a row: where they are if they are floats, else in `scratch`.
  [[gnu::always_inline]] const float* Read(size_t row, size_t from, size_t count,
                                           float* scratch) const {
    const uint8_t* const at = data + row * row_bytes;
    if (format == KvFormat::kF32) return reinterpret_cast<const float*>(at) + from;
    if (format == KvFormat::kF16) {
      const auto* const bits = reinterpret_cast<const uint16_t*>(at) + from;
      for (size_t i = 0; i < count; ++i) scratch[i] = KvF16ToF32(bits[i]);
      return scratch;
    }
    const auto* const codes = reinterpret_cast<const int8_t*>(at);
    const auto* const scales =
        reinterpret_cast<const float*>(at + (width + kKvBlock - 1) / kKvBlock * kKvBlock);
    for (size_t i = from; i < from + count;) {
      const size_t block_end = (i / kKvBlock + 1) * kKvBlock;
      const size_t end = block_end < from + count ? block_end : from + count;
      const float scale = scales[i / kKvBlock];
      for (; i < end; ++i) scratch[i - from] = static_cast<float>(codes[i]) * scale;
    }
    return scratch;
  }
};

}  // namespace shoal::engine
