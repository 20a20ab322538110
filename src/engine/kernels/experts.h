// The experts of a mixture (Shazeer et al., arXiv:1701.06538), of which each row passes only those
// that were chosen for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/block_kernels.h"
#include "engine/parallel.h"
#include "tensor/dtype.h"

namespace shoal::engine {

// The matrices of all experts: as floats, or as one matrix of blocks, [experts * outputs, inputs]
// with whole tiles for each expert.
struct ExpertStack {
  const uint8_t* data = nullptr;  // [experts, outputs, inputs] row-major; null with blocks.
  DType type = DType::kF32;       // f32, f16 or bf16.
  const BlockMatrix* blocks = nullptr;
  const float* bias = nullptr;  // [experts, outputs], or null.
};

// Expert e makes of a row x: with h = in[e] * x + bias, whose elements are a gate g and an up u in
// turns, out[e] * (g * sigmoid(alpha * g) * (u + beta)) + bias, where g is at most `limit` and u
// between it and its negative.
struct ExpertShape {
  size_t experts = 0;
  size_t hidden = 0;
  size_t inner = 0;
  size_t chosen = 0;  // Of each row: those with the largest scores.
  float alpha = 1.0f;
  float beta = 0.0f;
  float limit = 0.0f;  // 0: none.
};

// out [rows, hidden] = for every row the sum of its chosen experts' results, each times the softmax
// of its score over the scores of the chosen. x: [rows, hidden], scores: [rows, experts]. An expert
// whose share is below 1e-20 is not computed: it could not change the sum. A row's bits do not
// depend on the others. Blocks are multiplied by `kernels` with int8 activations, or exactly where
// that is null. Allocates scratch memory for the rows of one expert at a time.
void Experts(const ExpertShape& shape, const ExpertStack& in, const ExpertStack& out_stack,
             const BlockKernels* kernels, const float* x, const float* scores, size_t rows,
             float* out, Parallel& parallel);

}  // namespace shoal::engine
