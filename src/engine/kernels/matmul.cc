#include "engine/kernels/matmul.h"

#include <algorithm>

#include "engine/kernels/widen.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/matmul.cc"
#include "engine/kernels/targets.h"
// After targets.h:
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace shoal::engine {
namespace HWY_NAMESPACE {
namespace {

// A block of kRowBlock output rows by kTile columns (32 KiB) stays in the first-level cache while
// the weights of those columns stream by once, kUnroll weight rows at a time.
constexpr size_t kRowBlock = 16;
constexpr size_t kTile = 512;
constexpr size_t kUnroll = 4;

// out [width] += a[0] * w[0] [width] + ... + a[3] * w[3] [width], in this order.
void AddFourRows(const float* a, const float* const* w, size_t width, float* __restrict out) {
  const float a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
  const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
  for (size_t j = 0; j < width; ++j) {
    float sum = out[j];
    sum += a0 * w0[j];
    sum += a1 * w1[j];
    sum += a2 * w2[j];
    sum += a3 * w3[j];
    out[j] = sum;
  }
}

void AddOneRow(float a, const float* w, size_t width, float* __restrict out) {
  for (size_t j = 0; j < width; ++j) out[j] += a * w[j];
}

// One block: out [rows, width] at columns [column, column + width) of the result.
void MatMulBlock(const float* a, const MatMulWeight& weight, size_t rows, size_t column,
                 size_t width, float* out) {
  float scratch[kUnroll][kTile];
  const float* w[kUnroll];
  const size_t element = DTypeBytes(weight.type);
  for (size_t r = 0; r < rows; ++r) std::fill_n(out + r * weight.n, width, 0.0f);
  for (size_t i = 0; i < weight.k; i += kUnroll) {
    const size_t count = std::min(kUnroll, weight.k - i);
    for (size_t u = 0; u < count; ++u) {
      const uint8_t* stored = weight.data + ((i + u) * weight.n + column) * element;
      w[u] = Widen(weight.type, stored, width, scratch[u]);
    }
    for (size_t r = 0; r < rows; ++r) {
      const float* a_row = a + r * weight.k + i;
      float* out_row = out + r * weight.n;
      if (count == kUnroll) {
        AddFourRows(a_row, w, width, out_row);
      } else {
        for (size_t u = 0; u < count; ++u) AddOneRow(a_row[u], w[u], width, out_row);
      }
    }
  }
}

void MatMul(const float* a, const MatMulWeight& weight, size_t rows, size_t from, size_t to,
            float* out) {
  for (size_t row = 0; row < rows; row += kRowBlock) {
    const size_t block_rows = std::min(kRowBlock, rows - row);
    for (size_t column = from; column < to; column += kTile) {
      const size_t width = std::min(kTile, to - column);
      MatMulBlock(a + row * weight.k, weight, block_rows, column, width,
                  out + row * weight.n + column);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace shoal::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shoal::engine {

HWY_EXPORT(MatMul);
void MatMul(const float* a, const MatMulWeight& weight, size_t rows, float* out,
            Parallel& parallel) {
  // Tasks of at least 64 columns.
  const size_t threads = parallel.threads();
  const size_t tasks = threads == 1 ? 1 : std::max<size_t>(1, std::min(weight.n / 64, threads * 4));
  parallel.For(tasks, [&](size_t task) {
    HWY_DYNAMIC_DISPATCH(MatMul)
    (a, weight, rows, weight.n * task / tasks, weight.n * (task + 1) / tasks, out);
  });
}

}  // namespace shoal::engine
#endif
