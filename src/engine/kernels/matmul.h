// The matrix product with stored weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/parallel.h"
#include "tensor/dtype.h"

namespace shoal::engine {

struct MatMulWeight {
  const uint8_t* data = nullptr;  // [k, n] row-major, aligned to its element size.
  DType type = DType::kF32;       // f32, f16 or bf16.
  size_t k = 0;
  size_t n = 0;
};

// out [rows, n] = a [rows, k] * weight [k, n].
//
// Every out[r][j] is the sum of a[r][i] * weight[i][j] for i = 0, 1, ... k-1 in this order, one
// float after the other, whatever `rows` is. Weights of 16 bits are widened tile by tile.
void MatMul(const float* a, const MatMulWeight& weight, size_t rows, float* out,
            Parallel& parallel);

}  // namespace shoal::engine
