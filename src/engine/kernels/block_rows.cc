#include "engine/kernels/block_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace shoal::engine {

namespace {

constexpr float kSmallest = 1e-30f;

}  // namespace

float QuantizeBlock(const float* x, int8_t* codes, int32_t& sum) {
  float largest = 0;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    largest = magnitude > largest ? magnitude : largest;
  }
  sum = 0;
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
    sum += code;
  }
  return largest / 127.0f;
}

uint64_t BlockRows::BytesPerRow(size_t k) {
  const uint64_t values = BlocksPerRow(k) * kBlockValues;
  return values * (kWidens ? 3 : 1) + BlocksPerRow(k) * (sizeof(float) + sizeof(int32_t));
}

void BlockRows::Assign(const float* x, size_t rows, size_t k, Parallel& parallel) {
  rows_ = rows;
  blocks_ = BlocksPerRow(k);
  const size_t values = rows * blocks_ * kBlockValues;
  if (codes_.size() < values) codes_.resize(values);
  if (kWidens && wide_.size() < values) wide_.resize(values);
  if (scales_.size() < rows * blocks_) {
    scales_.resize(rows * blocks_);
    sums_.resize(rows * blocks_);
  }
  if (rows == 1) {
    AssignRow(x, 0, k);
    return;
  }
  parallel.For(rows, [&](size_t row) { AssignRow(x + row * k, row, k); });
}

void BlockRows::AssignRow(const float* x, size_t row, size_t k) {
  int8_t* codes = codes_.data() + row * blocks_ * kBlockValues;
  for (size_t block = 0; block < blocks_; ++block, codes += kBlockValues) {
    const float* values = x + block * kBlockValues;
    float filled[kBlockValues] = {};
    if ((block + 1) * kBlockValues > k) {
      std::copy_n(values, k - block * kBlockValues, filled);
      values = filled;
    }
    const size_t at = row * blocks_ + block;
    scales_[at] = QuantizeBlock(values, codes, sums_[at]);
    if constexpr (kWidens) {
      int16_t* const wide = wide_.data() + at * kBlockValues;
      for (size_t i = 0; i < kBlockValues; ++i) wide[i] = codes[i / 8 * 8 + i % 4 * 2 + i % 8 / 4];
    }
  }
}

}  // namespace shoal::engine
