#include "tensor/blocks.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "tensor/convert.h"

namespace shoal {

namespace {

using BlockValues = std::array<float, kBlockValues>;
using Codes = std::array<uint8_t, kBlockValues>;

int ZeroCode(BlockFormat format) { return format == BlockFormat::kQ4 ? 8 : 128; }

// The codes nearest to `values` under `scale`, and the error that they leave: squared differences,
// each weighed by the magnitude of its value.
double Encode(BlockFormat format, const BlockValues& values, float scale, Codes& codes) {
  const int zero = ZeroCode(format);
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  double error = 0;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const float code = std::clamp(std::nearbyint(values[i] * inverse), static_cast<float>(-zero),
                                  static_cast<float>(zero - 1));
    codes[i] = static_cast<uint8_t>(static_cast<int>(code) + zero);
    const double difference = static_cast<double>(values[i]) - static_cast<double>(code) * scale;
    error += std::fabs(values[i]) * difference * difference;
  }
  return error;
}

// For fixed codes, the scale of least error.
float BestScaleFor(BlockFormat format, const BlockValues& values, const Codes& codes) {
  double dot = 0;
  double norm = 0;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const double code = codes[i] - ZeroCode(format);
    const double weight = std::fabs(values[i]);
    dot += weight * code * values[i];
    norm += weight * code * code;
  }
  return norm == 0 ? 0.0f : static_cast<float>(dot / norm);
}

class BlockSearch {
 public:
  BlockSearch(BlockFormat format, const BlockValues& values) : format_(format), values_(values) {
    Try(0.0f);
  }
  // Considers a scale, rounded to f16.
  void Try(float scale) {
    const uint16_t bits = F32ToF16(scale);
    const float rounded = F16ToF32(bits);
    if (!std::isfinite(rounded)) return;
    Codes codes;
    const double error = Encode(format_, values_, rounded, codes);
    if (first_ || error < error_) {
      first_ = false;
      error_ = error;
      bits_ = bits;
      codes_ = codes;
    }
  }
  const Codes& codes() const { return codes_; }
  uint16_t scale_bits() const { return bits_; }

 private:
  const BlockFormat format_;
  const BlockValues& values_;
  bool first_ = true;
  double error_ = 0;
  uint16_t bits_ = 0;
  Codes codes_{};
};

void QuantizeBlock(BlockFormat format, const BlockValues& values, std::span<uint8_t> out,
                   uint16_t& scale) {
  float extreme = 0;
  for (const float value : values) {
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  }
  BlockSearch search(format, values);
  // The range is one code longer below zero: the extreme value goes there first.
  const auto reach = static_cast<float>(ZeroCode(format));
  // Steps around the scales that map the extreme value to an end of the range; wider for q4, where
  // clipping an outlier can pay for finer steps for the rest.
  const int steps = format == BlockFormat::kQ4 ? 9 : 2;
  for (int step = -steps; step <= steps; ++step) {
    const float stretch = 1.0f + 0.025f * static_cast<float>(step);
    search.Try(-extreme / reach * stretch);
    search.Try(extreme / (reach - 1) * stretch);
  }
  for (int round = 0; round < 2; ++round) {
    const Codes codes = search.codes();
    search.Try(BestScaleFor(format, values, codes));
  }
  scale = search.scale_bits();
  const Codes& codes = search.codes();
  if (format == BlockFormat::kQ8) {
    std::ranges::copy(codes, out.begin());
    return;
  }
  for (size_t i = 0; i < kBlockValues / 2; ++i) {
    out[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
  }
}

}  // namespace

int BlockBits(BlockFormat format) { return format == BlockFormat::kQ4 ? 4 : 8; }

size_t BlockCodeBytes(BlockFormat format) {
  return kBlockValues * static_cast<size_t>(BlockBits(format)) / 8;
}

void QuantizeRow(BlockFormat format, std::span<const float> row, std::span<uint8_t> codes,
                 std::span<uint16_t> scales) {
  const size_t blocks = BlocksPerRow(row.size());
  const size_t code_bytes = BlockCodeBytes(format);
  CHECK(codes.size() == blocks * code_bytes && scales.size() == blocks);
  for (size_t block = 0; block < blocks; ++block) {
    BlockValues values{};
    const size_t first = block * kBlockValues;
    const size_t count = std::min(kBlockValues, row.size() - first);
    std::ranges::copy(row.subspan(first, count), values.begin());
    QuantizeBlock(format, values, codes.subspan(block * code_bytes, code_bytes), scales[block]);
  }
}

void DequantizeRow(BlockFormat format, Bytes codes, std::span<const uint16_t> scales,
                   std::span<float> row) {
  const size_t blocks = BlocksPerRow(row.size());
  const size_t code_bytes = BlockCodeBytes(format);
  CHECK(codes.size() == blocks * code_bytes && scales.size() == blocks);
  const int zero = ZeroCode(format);
  for (size_t i = 0; i < row.size(); ++i) {
    const size_t block = i / kBlockValues;
    const size_t within = i % kBlockValues;
    const uint8_t* const base = codes.data() + block * code_bytes;
    const int code =
        format == BlockFormat::kQ8 ? base[within] : base[within / 2] >> (within % 2 * 4) & 15;
    row[i] = static_cast<float>(code - zero) * F16ToF32(scales[block]);
  }
}

}  // namespace shoal
