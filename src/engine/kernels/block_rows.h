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

// A block of a row, with all that a kernel wants of it at one address. `start` is what takes the
// zero of nibbles, 8, to where it belongs: -8 times the sums of codes, of the first two and of the
// last two in every four.
struct RowBlock {
  int8_t codes[kBlockValues];
  float scale;
  int16_t start[2];

  int32_t whole_start() const { return start[0] + start[1]; }
};

// The same for kernels that multiply 16-bit numbers: of every eight codes first those of even, then
// those of odd places.
struct WideRowBlock {
  int16_t codes[kBlockValues];
  float scale;
  int32_t start;

  int32_t whole_start() const { return start; }
};

class BlockRows {
 public:
  // Takes in x [rows, k], of finite values; a row's last block is filled up with zeros.
  void Assign(const float* x, size_t rows, size_t k, Parallel& parallel);

  size_t rows() const { return rows_; }
  size_t blocks() const { return blocks_; }
  // Of one row, [blocks].
  const RowBlock* Row(size_t row) const { return data_.data() + row * blocks_; }
  // Only in WebAssembly without relaxed SIMD.
  const WideRowBlock* WideRow(size_t row) const { return wide_.data() + row * blocks_; }

  // Bytes that one row of k values takes here.
  static uint64_t BytesPerRow(size_t k);

 private:
  void AssignRow(const float* x, size_t row, size_t k);

  size_t rows_ = 0;
  size_t blocks_ = 0;
  std::vector<RowBlock> data_;
  std::vector<WideRowBlock> wide_;
};

}  // namespace shoal::engine
