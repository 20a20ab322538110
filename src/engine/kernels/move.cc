#include "engine/kernels/move.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "engine/kernels/widen.h"
#include "engine/shape.h"

namespace shoal::engine {

namespace {

using Index = std::array<size_t, kShapeRankMax>;

// Elements between neighbours in every dim of a row-major tensor.
Index Strides(std::span<const size_t> dims) {
  Index strides = {};
  size_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  return strides;
}

// Copies the box of `size` whose element [i0, i1, ...] lies at source[i0 * strides[0] + ...] to the
// consecutive elements of `out`.
float* CopyBox(const float* source, std::span<const size_t> size, const size_t* strides,
               float* out) {
  if (size.empty()) {
    *out = *source;
    return out + 1;
  }
  if (size.size() == 1) {
    for (size_t i = 0; i < size[0]; ++i) *out++ = source[i * strides[0]];
    return out;
  }
  for (size_t i = 0; i < size[0]; ++i) {
    out = CopyBox(source + i * strides[0], size.subspan(1), strides + 1, out);
  }
  return out;
}

}  // namespace

void Gather(const uint8_t* source, DType type, size_t outer, size_t axis, size_t inner,
            std::span<const int32_t> indices, float* out) {
  const size_t element = DTypeBytes(type);
  for (size_t o = 0; o < outer; ++o) {
    for (const int32_t index : indices) {
      CHECK(index >= 0 && static_cast<size_t>(index) < axis);
      const size_t at = (o * axis + static_cast<size_t>(index)) * inner;
      const float* values = Widen(type, source + at * element, inner, out);
      if (values != out) std::copy_n(values, inner, out);
      out += inner;
    }
  }
}

void Transpose(const float* x, std::span<const size_t> dims, std::span<const size_t> order,
               float* out) {
  CHECK(dims.size() == order.size() && dims.size() <= kShapeRankMax);
  const Index from = Strides(dims);
  Index size = {};
  Index strides = {};
  for (size_t d = 0; d < order.size(); ++d) {
    size[d] = dims[order[d]];
    strides[d] = from[order[d]];
  }
  CopyBox(x, std::span(size).first(order.size()), strides.data(), out);
}

void Slice(const float* x, std::span<const size_t> dims, std::span<const size_t> begin,
           std::span<const size_t> size, float* out) {
  CHECK(dims.size() == begin.size() && dims.size() == size.size() && dims.size() <= kShapeRankMax);
  const Index strides = Strides(dims);
  size_t start = 0;
  for (size_t d = 0; d < dims.size(); ++d) {
    CHECK(begin[d] + size[d] <= dims[d]);
    start += begin[d] * strides[d];
  }
  CopyBox(x + start, size, strides.data(), out);
}

void Place(const float* part, size_t outer, size_t part_inner, size_t inner, size_t offset,
           float* out) {
  CHECK(offset + part_inner <= inner);
  for (size_t o = 0; o < outer; ++o) {
    std::copy_n(part + o * part_inner, part_inner, out + o * inner + offset);
  }
}

}  // namespace shoal::engine
