// Every instruction set against the plain kernel, to the bit; the plain one against float64 over
// dequantised weights.
#include "engine/kernels/block_kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "base/str_cat.h"
#include "engine/testing/inputs.h"
#include "tensor/convert.h"

namespace shoal::engine {
namespace {

using testing::Backwards;
using testing::kBlockFormats;
using testing::Noise;

struct Size {
  size_t rows, k, n;
};

// A matrix of random codes and scales, extremes among them, and its float weights [n, k].
struct RandomMatrix {
  RandomMatrix(BlockFormat format, size_t n, size_t k, uint64_t seed)
      : codes(n * BlocksPerRow(k) * BlockCodeBytes(format)), scales(n * BlocksPerRow(k)) {
    Random random(seed);
    for (uint8_t& code : codes) {
      const uint64_t pick = random.Below(8);
      code = static_cast<uint8_t>(pick == 0 ? 0 : pick == 1 ? 255 : random.Below(256));
    }
    for (uint16_t& scale : scales) {
      const auto value = static_cast<float>(random.NextDouble() - 0.5);
      const uint64_t pick = random.Below(16);
      scale = pick == 0   ? 0
              : pick == 1 ? static_cast<uint16_t>(random.Below(1024))
                          : F32ToF16(value);
    }
    floats.resize(n * k);
    for (size_t row = 0; row < n; ++row) {
      DequantizeRow(format,
                    Bytes(codes).subspan(row * BlocksPerRow(k) * BlockCodeBytes(format),
                                         BlocksPerRow(k) * BlockCodeBytes(format)),
                    std::span(scales).subspan(row * BlocksPerRow(k), BlocksPerRow(k)),
                    std::span(floats).subspan(row * k, k));
    }
  }
  ByteVector codes;
  std::vector<uint16_t> scales;
  std::vector<float> floats;
};

const Size kSizes[] = {{1, 32, 16},  {1, 64, 5},    {2, 100, 33}, {3, 1024, 40}, {4, 31, 17},
                       {5, 256, 64}, {8, 2048, 48}, {17, 96, 20}, {70, 64, 33},  {9, 33, 1}};

TEST(BlockMatrix, HoldsTheStoredWeights) {
  for (const BlockFormat format : kBlockFormats) {
    const RandomMatrix random(format, 37, 75, 1);
    const BlockMatrix matrix(format, 37, 75, random.codes, random.scales);
    std::vector<float> row(75);
    for (size_t r = 0; r < 37; ++r) {
      matrix.DequantizeRow(r, row.data());
      for (size_t i = 0; i < 75; ++i) ASSERT_EQ(row[i], random.floats[r * 75 + i]);
      for (size_t b = 0; b < matrix.blocks(); ++b) {
        float block[kBlockValues][kTileColumns];
        matrix.DequantizeBlock(r / kTileColumns, b, block);
        for (size_t i = 0; b * 32 + i < std::min<size_t>(75, b * 32 + 32); ++i) {
          ASSERT_EQ(block[i][r % kTileColumns], row[b * 32 + i]);
        }
      }
    }
  }
}

TEST(BlockRows, RoundsToTheNearestCodeOfTheBlock) {
  std::vector<float> x = Noise(70, 3, 4);
  for (size_t i = 32; i < 64; ++i) x[i] = 0;
  x[0] = 5;
  x[1] = -5;
  Serial serial;
  BlockRows rows;
  rows.Assign(x.data(), 1, 70, serial);
  EXPECT_EQ(rows.Row(0)[0].codes[0], 127);
  EXPECT_EQ(rows.Row(0)[0].codes[1], -127);
  EXPECT_EQ(rows.Row(0)[1].scale, 0);
  for (size_t b = 0; b < 3; ++b) {
    const RowBlock& block = rows.Row(0)[b];
    int32_t sums[2] = {};
    for (size_t i = 0; i < 32; ++i) {
      const float exact = b * 32 + i < 70 ? x[b * 32 + i] : 0;
      EXPECT_NEAR(float(block.codes[i]) * block.scale, exact, block.scale * 0.50001f);
      sums[i % 4 / 2] += block.codes[i];
    }
    EXPECT_EQ(block.start[0], -8 * sums[0]);
    EXPECT_EQ(block.start[1], -8 * sums[1]);
    EXPECT_EQ(block.whole_start(), -8 * (sums[0] + sums[1]));
  }
}

// The error of a product is that of the rounded activations: half a step each.
TEST(BlockKernels, ScalarIsTheProductWithinHalfAStep) {
  Serial serial;
  for (const BlockFormat format : kBlockFormats) {
    for (const Size& size : kSizes) {
      const RandomMatrix random(format, size.n, size.k, size.k);
      const BlockMatrix matrix(format, size.n, size.k, random.codes, random.scales);
      const std::vector<float> x = Noise(size.rows * size.k, 5, 4);
      BlockRows rows;
      rows.Assign(x.data(), size.rows, size.k, serial);
      std::vector<float> out(size.rows * size.n, NAN);
      MultiplyBlocks(ScalarBlockKernels(), matrix, rows, out.data(), serial);
      for (size_t r = 0; r < size.rows; ++r) {
        for (size_t c = 0; c < size.n; ++c) {
          double sum = 0, bound = 0;
          for (size_t i = 0; i < size.k; ++i) {
            const double w = random.floats[c * size.k + i];
            sum += w * x[r * size.k + i];
            bound += std::abs(w) * rows.Row(r)[i / 32].scale * 0.50001;
          }
          ASSERT_NEAR(out[r * size.n + c], sum, bound + 1e-3);
        }
      }
    }
  }
}

TEST(BlockKernels, EveryInstructionSetHasTheBitsOfTheScalarOne) {
  Serial serial;
  ASSERT_GE(BlockKernelsHere().size(), 2u);
  for (const BlockFormat format : kBlockFormats) {
    for (const Size& size : kSizes) {
      const RandomMatrix random(format, size.n, size.k, size.k + 1);
      const BlockMatrix matrix(format, size.n, size.k, random.codes, random.scales);
      const std::vector<float> x = Noise(size.rows * size.k, 7, 4);
      BlockRows rows;
      rows.Assign(x.data(), size.rows, size.k, serial);
      std::vector<float> expected(size.rows * size.n, NAN);
      MultiplyBlocks(ScalarBlockKernels(), matrix, rows, expected.data(), serial);
      for (const BlockKernels* kernels : BlockKernelsHere()) {
        for (const size_t threads : {1, 3}) {
          Backwards parallel(threads);
          std::vector<float> out(expected.size(), NAN);
          MultiplyBlocks(*kernels, matrix, rows, out.data(), parallel);
          ASSERT_EQ(out, expected)
              << kernels->name << " " << size.rows << " " << size.k << " " << size.n;
        }
      }
    }
  }
}

// Codes and scales at the ends of their ranges: no sum may wrap or saturate.
TEST(BlockKernels, HoldTheLargestSums) {
  Serial serial;
  for (const BlockFormat format : kBlockFormats) {
    for (const uint8_t fill : {0, 255}) {
      for (const float sign : {1.0f, -1.0f}) {
        const size_t k = 64;
        const ByteVector codes(16 * BlocksPerRow(k) * BlockCodeBytes(format), fill);
        const std::vector<uint16_t> scales(16 * BlocksPerRow(k), F32ToF16(1));
        const BlockMatrix matrix(format, 16, k, codes, scales);
        const std::vector<float> x(8 * k, sign * 127);
        BlockRows rows;
        rows.Assign(x.data(), 8, k, serial);
        const int code = fill == 0 ? (format == BlockFormat::kQ4 ? -8 : -128)
                                   : (format == BlockFormat::kQ4 ? 7 : 127);
        for (const BlockKernels* kernels : BlockKernelsHere()) {
          std::vector<float> out(8 * 16);
          MultiplyBlocks(*kernels, matrix, rows, out.data(), serial);
          for (const float value : out) {
            ASSERT_EQ(value, sign * 127 * static_cast<float>(code) * 64) << kernels->name;
          }
        }
      }
    }
  }
}

TEST(BlockKernels, ExactlySumsInThePromisedOrder) {
  for (const BlockFormat format : kBlockFormats) {
    for (const Size& size : kSizes) {
      const RandomMatrix random(format, size.n, size.k, 9);
      const BlockMatrix matrix(format, size.n, size.k, random.codes, random.scales);
      const std::vector<float> x = Noise(size.rows * size.k, 11, 4);
      std::vector<float> out(size.rows * size.n, NAN);
      Backwards parallel(2);
      MultiplyBlocksExactly(matrix, x.data(), size.rows, out.data(), parallel);
      for (size_t r = 0; r < size.rows; ++r) {
        for (size_t c = 0; c < size.n; ++c) {
          volatile float sum = 0;
          for (size_t i = 0; i < size.k; ++i) {
            const volatile float product = x[r * size.k + i] * random.floats[c * size.k + i];
            sum = sum + product;
          }
          ASSERT_EQ(out[r * size.n + c], sum);
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal::engine
