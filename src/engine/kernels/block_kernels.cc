#include "engine/kernels/block_kernels.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "engine/kernels/block_kernels_neon.h"
#include "engine/kernels/block_kernels_wasm.h"
#include "engine/kernels/block_kernels_x86.h"
#include "tensor/convert.h"

namespace shoal::engine {

namespace {

// Rows that go through all of a task's tiles together, so that their codes stay in the second-level
// cache.
constexpr size_t kRowChunk = 64;
constexpr size_t kTasksPerThread = 4;

int32_t DotOfBlock(const BlockMatrix& weight, size_t tile, size_t block, size_t column,
                   const int8_t* row) {
  const uint8_t* const codes = weight.Codes(tile) + block * weight.block_bytes() + column * 4;
  int32_t dot = 0;
  for (size_t i = 0; i < kBlockValues; ++i) {
    int32_t code = 0;
    if (weight.format() == BlockFormat::kQ8) {
      code = codes[i / 4 * kTileColumns * 4 + i % 4] - 128;
    } else {
      const uint8_t byte = codes[i / 8 * kTileColumns * 4 + i % 4];
      code = (i % 8 < 4 ? byte & 15 : byte >> 4) - 8;
    }
    dot += code * row[i];
  }
  return dot;
}

void MultiplyTileScalar(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                        size_t first_row, size_t row_count, float* out, size_t out_stride) {
  for (size_t r = 0; r < row_count; ++r) {
    for (size_t column = 0; column < kTileColumns; ++column) {
      float sum = 0;
      for (size_t b = 0; b < weight.blocks(); ++b) {
        const int32_t dot = DotOfBlock(weight, tile, b, column, rows.Row(first_row + r)[b].codes);
        const float scale = F16ToF32(weight.Scales(tile)[b * kTileColumns + column]);
        sum += static_cast<float>(dot) * (scale * rows.Row(first_row + r)[b].scale);
      }
      out[r * out_stride + column] = sum;
    }
  }
}

constexpr BlockKernels kScalar{"scalar", MultiplyTileScalar};

struct KernelList {
  std::array<const BlockKernels*, 4> kernels{};
  size_t count = 0;

  void Add(const BlockKernels* kernel) {
    if (kernel != nullptr) kernels[count++] = kernel;
  }
};

KernelList FindKernels() {
  KernelList list;
  list.Add(&kScalar);
#if defined(__x86_64__)
  list.Add(Avx2BlockKernels());
  list.Add(Avx512BlockKernels());
#elif defined(__aarch64__)
  list.Add(NeonBlockKernels());
  list.Add(NeonDotBlockKernels());
#elif defined(__wasm_simd128__)
  for (const BlockKernels& kernels : WasmBlockKernels()) list.Add(&kernels);
#endif
  return list;
}

// out [columns] += values[0] * block[0] + ... + values[count - 1] * block[count - 1], in this
// order.
void AddExactly(const float (&block)[kBlockValues][kTileColumns], const float* values, size_t count,
                size_t columns, float* out) {
  float sums[kTileColumns] = {};
  std::copy_n(out, columns, sums);
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < kTileColumns; ++c) sums[c] += values[i] * block[i][c];
  }
  std::copy_n(sums, columns, out);
}

// Splits the tiles of a matrix into tasks of neighbouring ones.
template <typename Body>
void ForTiles(size_t tiles, Parallel& parallel, const Body& body) {
  const size_t threads = parallel.threads();
  const size_t tasks = threads == 1 ? 1 : std::min(tiles, threads * kTasksPerThread);
  parallel.For(tasks, [&](size_t task) { body(tiles * task / tasks, tiles * (task + 1) / tasks); });
}

}  // namespace

const BlockKernels& ScalarBlockKernels() { return kScalar; }

std::span<const BlockKernels* const> BlockKernelsHere() {
  static const KernelList list = FindKernels();
  return std::span(list.kernels).first(list.count);
}

void MultiplyBlocks(const BlockKernels& kernels, const BlockMatrix& weight,
                    const BlockOutputs& outputs, const BlockRows& rows, float* out,
                    Parallel& parallel) {
  CHECK(rows.blocks() == weight.blocks());
  CHECK(outputs.first_tile + outputs.tiles() <= weight.tiles());
  const size_t stride = outputs.count;
  ForTiles(outputs.tiles(), parallel, [&](size_t from, size_t to) {
    float edge[BlockKernels::kRowsMax * kTileColumns];
    for (size_t chunk = 0; chunk < rows.rows(); chunk += kRowChunk) {
      const size_t chunk_end = std::min(rows.rows(), chunk + kRowChunk);
      for (size_t i = from; i < to; ++i) {
        const size_t tile = outputs.first_tile + i;
        const size_t columns = std::min(kTileColumns, stride - i * kTileColumns);
        for (size_t row = chunk; row < chunk_end; row += BlockKernels::kRowsMax) {
          const size_t count = std::min(BlockKernels::kRowsMax, chunk_end - row);
          float* const at = out + row * stride + i * kTileColumns;
          if (columns == kTileColumns) {
            kernels.multiply_tile(weight, tile, rows, row, count, at, stride);
            continue;
          }
          kernels.multiply_tile(weight, tile, rows, row, count, edge, kTileColumns);
          for (size_t r = 0; r < count; ++r) {
            std::copy_n(edge + r * kTileColumns, columns, at + r * stride);
          }
        }
      }
    }
  });
}

void MultiplyBlocksExactly(const BlockMatrix& weight, const BlockOutputs& outputs, const float* x,
                           size_t rows, float* out, Parallel& parallel) {
  CHECK(outputs.first_tile + outputs.tiles() <= weight.tiles());
  const size_t stride = outputs.count;
  ForTiles(outputs.tiles(), parallel, [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      const size_t columns = std::min(kTileColumns, stride - i * kTileColumns);
      float* const tile_out = out + i * kTileColumns;
      for (size_t row = 0; row < rows; ++row) std::fill_n(tile_out + row * stride, columns, 0.0f);
      for (size_t b = 0; b < weight.blocks(); ++b) {
        float block[kBlockValues][kTileColumns];
        weight.DequantizeBlock(outputs.first_tile + i, b, block);
        const size_t count = std::min(kBlockValues, weight.k() - b * kBlockValues);
        for (size_t row = 0; row < rows; ++row) {
          AddExactly(block, x + row * weight.k() + b * kBlockValues, count, columns,
                     tile_out + row * stride);
        }
      }
    }
  });
}

}  // namespace shoal::engine
