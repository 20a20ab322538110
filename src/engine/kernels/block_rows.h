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

// One block: x [kBlockValues] to codes; its scale.
float QuantizeBlock(const float* x, int8_t* codes);

// A block of a row, with all that a kernel wants of it at one address.
struct RowBlock {
  int8_t codes[kBlockValues];
  float scale;
  // Sums of codes: of the first two and of the last two in every four.
  int16_t halves[2];

  int32_t sum() const { return halves[0] + halves[1]; }
};

class BlockRows {
 public:
  // Takes in x [rows, k], of finite values; a row's last block is filled up with zeros.
  void Assign(const float* x, size_t rows, size_t k, Parallel& parallel);

  size_t rows() const { return rows_; }
  size_t blocks() const { return blocks_; }
  // Of one row, [blocks].
  const RowBlock* Row(size_t row) const { return data_.data() + row * blocks_; }
  // The codes of one row as 16-bit numbers [blocks][kBlockValues], every eight of them in the order
  // 0 2 4 6 1 3 5 7: only in WebAssembly without relaxed SIMD.
  const int16_t* WideCodes(size_t row) const { return wide_.data() + row * blocks_ * kBlockValues; }

  // Bytes that one row of k values takes here.
  static uint64_t BytesPerRow(size_t k);

 private:
  void AssignRow(const float* x, size_t row, size_t k);

  size_t rows_ = 0;
  size_t blocks_ = 0;
  std::vector<RowBlock> data_;
  std::vector<int16_t> wide_;
};

}  // namespace shoal::engine
