#include "engine/kernels/block_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace shoal::engine {

namespace {

constexpr float kSmallest = 1e-30f;

#if defined(__wasm_simd128__) && !defined(__wasm_relaxed_simd__)
constexpr bool kWidens = true;
#else
constexpr bool kWidens = false;
#endif

}  // namespace

float QuantizeBlock(const float* x, int8_t* codes) {
  // In lanes, which compilers make vectors of: the largest of floats is the same in any order.
  float lanes[8] = {};
  for (size_t i = 0; i < kBlockValues; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) {
      const float magnitude = std::fabs(x[i + lane]);
      lanes[lane] = magnitude > lanes[lane] ? magnitude : lanes[lane];
    }
  }
  float largest = 0;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  if (!(largest >= kSmallest)) {
    std::memset(codes, 0, kBlockValues);
    return 0;
  }
  // Adding 1.5 * 2^23 rounds to the nearest even integer, which then stands in the low bits.
  constexpr float kRounder = 12582912.0f;
  const float inverse = 127.0f / largest;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const int32_t code =
        std::bit_cast<int32_t>(x[i] * inverse + kRounder) - std::bit_cast<int32_t>(kRounder);
    codes[i] = static_cast<int8_t>(code);
  }
  return largest / 127.0f;
}

uint64_t BlockRows::BytesPerRow(size_t k) {
  return BlocksPerRow(k) * (sizeof(RowBlock) + (kWidens ? sizeof(WideRowBlock) : 0));
}

void BlockRows::Assign(const float* x, size_t rows, size_t k, Parallel& parallel) {
  rows_ = rows;
  blocks_ = BlocksPerRow(k);
  if (data_.size() < rows * blocks_) data_.resize(rows * blocks_);
  if (kWidens && wide_.size() < rows * blocks_) wide_.resize(rows * blocks_);
  if (rows == 1) {
    AssignRow(x, 0, k);
    return;
  }
  parallel.For(rows, [&](size_t row) { AssignRow(x + row * k, row, k); });
}

void BlockRows::AssignRow(const float* x, size_t row, size_t k) {
  for (size_t b = 0; b < blocks_; ++b) {
    const float* values = x + b * kBlockValues;
    float filled[kBlockValues] = {};
    if ((b + 1) * kBlockValues > k) {
      std::copy_n(values, k - b * kBlockValues, filled);
      values = filled;
    }
    RowBlock& block = data_[row * blocks_ + b];
    block.scale = QuantizeBlock(values, block.codes);
    int32_t sums[2] = {};
    for (size_t i = 0; i < kBlockValues; ++i) sums[i % 4 / 2] += block.codes[i];
    for (size_t half = 0; half < 2; ++half) {
      block.start[half] = static_cast<int16_t>(-8 * sums[half]);
    }
    if constexpr (kWidens) {
      WideRowBlock& wide = wide_[row * blocks_ + b];
      for (size_t i = 0; i < kBlockValues; ++i) {
        wide.codes[i] = block.codes[i / 8 * 8 + i % 4 * 2 + i % 8 / 4];
      }
      wide.scale = block.scale;
      wide.start = block.whole_start();
    }
  }
}

}  // namespace shoal::engine
