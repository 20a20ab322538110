#include "tensor/blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "tensor/convert.h"

namespace shoal {
namespace {

struct Quantised {
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<float> back;
};

Quantised RoundTrip(BlockFormat format, const std::vector<float>& row) {
  Quantised out;
  out.codes.resize(BlocksPerRow(row.size()) * BlockCodeBytes(format));
  out.scales.resize(BlocksPerRow(row.size()));
  out.back.resize(row.size());
  QuantizeRow(format, row, out.codes, out.scales);
  DequantizeRow(format, out.codes, out.scales, out.back);
  return out;
}

// The error that the search minimises: squares weighed by the value's magnitude.
double WeighedError(std::span<const float> row, std::span<const float> back) {
  double sum = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    sum += std::fabs(row[i]) * std::pow(static_cast<double>(row[i]) - back[i], 2);
  }
  return sum;
}

// Plain round-to-nearest with scale = largest magnitude / 7 (or 127): the textbook quantiser.
double PlainError(BlockFormat format, std::span<const float> block) {
  const float reach = format == BlockFormat::kQ4 ? 7 : 127;
  float largest = 0;
  for (const float value : block) largest = std::max(largest, std::fabs(value));
  const float scale = F16ToF32(F32ToF16(largest / reach));
  double sum = 0;
  for (const float value : block) {
    const float code = scale == 0 ? 0 : std::clamp(std::nearbyint(value / scale), -reach, reach);
    sum += std::fabs(value) *
           std::pow(static_cast<double>(value) - static_cast<double>(code) * scale, 2);
  }
  return sum;
}

std::vector<float> RandomRow(Random& random, size_t size) {
  const double spread = std::pow(10.0, random.NextDouble() * 4 - 3);
  std::vector<float> row(size);
  for (float& value : row) {
    double normal = 0;
    for (int i = 0; i < 6; ++i) normal += random.NextDouble() - 0.5;
    value = static_cast<float>(normal * spread * (random.Below(50) == 0 ? 10 : 1));
  }
  return row;
}

TEST(Blocks, LayoutIsThatOfMatMulNBits) {
  // -8 * 0.5 .. 7 * 0.5 are exactly representable: the codes are known.
  std::vector<float> row(32);
  for (size_t i = 0; i < 32; ++i) row[i] = 0.5f * (static_cast<float>(i % 16) - 8);
  const Quantised q4 = RoundTrip(BlockFormat::kQ4, row);
  EXPECT_EQ(q4.back, row);
  EXPECT_EQ(q4.scales[0], F32ToF16(0.5f));
  EXPECT_EQ(q4.codes[0], 0x10);  // Codes 0 and 1, the even index in the low nibble.
  EXPECT_EQ(q4.codes[7], 0xfe);
}

TEST(Blocks, EveryBlockIsAtLeastAsGoodAsRoundToNearest) {
  Random random(3);
  for (const BlockFormat format : {BlockFormat::kQ4, BlockFormat::kQ8}) {
    double ours = 0;
    double plain = 0;
    for (int round = 0; round < 500; ++round) {
      const std::vector<float> row = RandomRow(random, 32);
      const double error = WeighedError(row, RoundTrip(format, row).back);
      const double reference = PlainError(format, row);
      EXPECT_LE(error, reference * (1 + 1e-5));
      ours += error;
      plain += reference;
    }
    EXPECT_LT(ours, plain * (format == BlockFormat::kQ4 ? 0.85 : 0.99));
  }
}

TEST(Blocks, ErrorIsBoundedByTheLargestValue) {
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    const std::vector<float> row = RandomRow(random, 1 + random.Below(200));
    for (const BlockFormat format : {BlockFormat::kQ4, BlockFormat::kQ8}) {
      const Quantised out = RoundTrip(format, row);
      for (size_t first = 0; first < row.size(); first += 32) {
        const size_t count = std::min<size_t>(32, row.size() - first);
        const auto block = std::span(row).subspan(first, count);
        const auto back = std::span(out.back).subspan(first, count);
        double largest = 0;
        double sum = 0;
        for (const float value : block) {
          largest = std::max<double>(largest, std::fabs(value));
          sum += std::fabs(value);
        }
        // Round to nearest is off by half a step at most, and the search by no more in all; the
        // slack is f16's, whose steps are 2^-24 at least.
        const double step = largest / (format == BlockFormat::kQ4 ? 7 : 127) * 1.001 + 1e-7;
        EXPECT_LE(WeighedError(block, back), sum * std::pow(0.5 * step, 2) * 1.2 + 1e-18);
        // No value, clipped ones included, is further off than the search may stretch the scale.
        for (size_t i = 0; i < count; ++i) {
          EXPECT_LE(std::fabs(block[i] - back[i]),
                    largest * (format == BlockFormat::kQ4 ? 0.25 : 0.06) + 1e-7);
        }
      }
    }
  }
}

TEST(Blocks, ZerosAndTinyValuesStayFinite) {
  for (const float value : {0.0f, 1e-30f, -1e-7f, 60000.0f}) {
    for (const BlockFormat format : {BlockFormat::kQ4, BlockFormat::kQ8}) {
      const std::vector<float> row(40, value);
      for (const float back : RoundTrip(format, row).back) {
        EXPECT_TRUE(std::isfinite(back));
        EXPECT_NEAR(back, value, std::fabs(value) * 0.01 + 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace shoal
