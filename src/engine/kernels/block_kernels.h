// The product of int8 rows with q4 or q8 weights: one kernel for every instruction set, and one
// result. For row r and column c
//
//   sum over blocks b = 0, 1, ... of float(dot) * (weight scale[b][c] * row scale[r][b])
//
// where dot, over the block's 32 inputs of (code - zero) * row code, is exact in 32-bit integers,
// and the floats are multiplied and added one after the other without contraction.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/block_matrix.h"
#include "engine/kernels/block_rows.h"
#include "engine/parallel.h"

namespace shoal::engine {

struct BlockKernels {
  const char* name;
  // One tile times rows [first_row, first_row + row_count), row_count <= kRowsMax:
  // out [row_count][kTileColumns], rows `out_stride` floats apart.
  void (*multiply_tile)(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                        size_t first_row, size_t row_count, float* out, size_t out_stride);

  static constexpr size_t kRowsMax = 8;
};

// Written out plainly; what the others are held against.
const BlockKernels& ScalarBlockKernels();
// All that this machine can run, the best one last; in WebAssembly, the best on most machines.
std::span<const BlockKernels* const> BlockKernelsHere();

// `count` neighbouring outputs of a matrix, the first of them at the start of a tile.
struct BlockOutputs {
  size_t first_tile = 0;
  size_t count = 0;

  size_t tiles() const { return (count + kTileColumns - 1) / kTileColumns; }
  static BlockOutputs All(const BlockMatrix& weight) { return {0, weight.n()}; }
};

// out [rows, n] = rows * weight; with `outputs`, of these alone: [rows, outputs.count].
void MultiplyBlocks(const BlockKernels& kernels, const BlockMatrix& weight,
                    const BlockOutputs& outputs, const BlockRows& rows, float* out,
                    Parallel& parallel);
inline void MultiplyBlocks(const BlockKernels& kernels, const BlockMatrix& weight,
                           const BlockRows& rows, float* out, Parallel& parallel) {
  MultiplyBlocks(kernels, weight, BlockOutputs::All(weight), rows, out, parallel);
}

// The same with float activations x [rows, k] and exact weights: every out[r][c] is the sum of
// x[r][i] * weight[c][i] for i = 0, 1, ... k-1 in this order.
void MultiplyBlocksExactly(const BlockMatrix& weight, const BlockOutputs& outputs, const float* x,
                           size_t rows, float* out, Parallel& parallel);
inline void MultiplyBlocksExactly(const BlockMatrix& weight, const float* x, size_t rows,
                                  float* out, Parallel& parallel) {
  MultiplyBlocksExactly(weight, BlockOutputs::All(weight), x, rows, out, parallel);
}

}  // namespace shoal::engine
