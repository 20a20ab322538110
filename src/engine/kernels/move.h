// Moving elements without changing them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace shoal::engine {

// out [outer, indices, inner] = source [outer, axis, inner] at source[o][indices[i]]. The source is
// f32, f16 or bf16 and is widened; every index is in [0, axis).
void Gather(const uint8_t* source, DType type, size_t outer, size_t axis, size_t inner,
            std::span<const int32_t> indices, float* out);

// out[...] = x with its dims in another order: dim d of the result is dim order[d] of x.
// dims: those of x.
void Transpose(const float* x, std::span<const size_t> dims, std::span<const size_t> order,
               float* out);

// out = the box of x [dims] that starts at begin and has the dims `size`.
void Slice(const float* x, std::span<const size_t> dims, std::span<const size_t> begin,
           std::span<const size_t> size, float* out);

// Puts `part` [outer, part_inner] into out [outer, inner] at column `offset` of every row: one part
// of a concatenation.
void Place(const float* part, size_t outer, size_t part_inner, size_t inner, size_t offset,
           float* out);

}  // namespace shoal::engine
