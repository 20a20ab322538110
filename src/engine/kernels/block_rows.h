// Rows of activations in int8, for products with q4 and q8 weights.
//
// Every kBlockValues neighbours of a row share a scale, as the weights do: value i is code[i] *
// scale with scale = largest magnitude / 127 and codes rounded to nearest even. A block whose
// largest magnitude is under 1e-30 is zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/parallel.h"
#include "tensor/blocks.h"

namespace shoal::engine {

// One block: x [kBlockValues] to codes; its scale. The sum of the codes goes to `sum`.
float QuantizeBlock(const float* x, int8_t* codes, int32_t& sum);

class BlockRows {
 public:
  // Takes in x [rows, k], of finite values; a row's last block is filled up with zeros.
  void Assign(const float* x, size_t rows, size_t k, Parallel& parallel);

  size_t rows() const { return rows_; }
  size_t blocks() const { return blocks_; }
  // Of one row, [blocks][kBlockValues].
  const int8_t* Codes(size_t row) const { return codes_.data() + row * blocks_ * kBlockValues; }
  // The same as 16-bit numbers, every eight of them in the order 0 2 4 6 1 3 5 7: only where
  // kWidens.
  const int16_t* WideCodes(size_t row) const { return wide_.data() + row * blocks_ * kBlockValues; }
  const float* Scales(size_t row) const { return scales_.data() + row * blocks_; }
  // Of each block the sum of its codes.
  const int32_t* Sums(size_t row) const { return sums_.data() + row * blocks_; }

  // Bytes that one row of k values takes here.
  static uint64_t BytesPerRow(size_t k);

#if defined(__wasm_simd128__) && !defined(__wasm_relaxed_simd__)
  static constexpr bool kWidens = true;
#else
  static constexpr bool kWidens = false;
#endif

 private:
  void AssignRow(const float* x, size_t row, size_t k);

  size_t rows_ = 0;
  size_t blocks_ = 0;
  std::vector<int8_t> codes_;
  std::vector<int16_t> wide_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
};

}  // namespace shoal::engine
