#include "tensor/blocks.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "tensor/convert.h"

namespace shoal {

namespace {

using BlockValues = std::array<float, kBlockValues>;
// Sums run in this many lanes, in the same order on every machine, which compilers turn into
// vectors of any width.
constexpr size_t kLanes = 8;

int ZeroCode(BlockFormat format) { return format == BlockFormat::kQ4 ? 8 : 128; }

// To the nearest integer, ties to even: exact for magnitudes below 2^22.
float RoundSmall(float value) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: its neighbours are one apart.
  return (value + kShift) - kShift;
}

// Finds a block's scale.
class BlockSearch {
 public:
  BlockSearch(BlockFormat format, const BlockValues& values)
      : lowest_(static_cast<float>(-ZeroCode(format))), values_(values) {
    for (size_t i = 0; i < kBlockValues; ++i) magnitudes_[i] = std::fabs(values[i]);
    Try(0.0f);
  }

  // Considers a scale, rounded to f16.
  void Try(float scale) {
    const uint16_t bits = F32ToF16(scale);
    const float rounded = F16ToF32(bits);
    if (!std::isfinite(rounded)) return;
    const float error = ErrorUnder(rounded);
    if (first_ || error < error_) {
      first_ = false;
      error_ = error;
      bits_ = bits;
    }
  }

  // Considers the scale of least error for the codes that the best scale so far gives.
  void Refine() {
    const float scale = F16ToF32(bits_);
    const float inverse = Inverse(scale);
    std::array<float, kLanes> dot{};
    std::array<float, kLanes> norm{};
    for (size_t i = 0; i < kBlockValues; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const float code = CodeOf(values_[i + lane], inverse);
        const float weighed = magnitudes_[i + lane] * code;
        dot[lane] += weighed * values_[i + lane];
        norm[lane] += weighed * code;
      }
    }
    const float total = Sum(norm);
    if (total != 0) Try(Sum(dot) / total);
  }

  uint16_t scale_bits() const { return bits_; }
  // The codes under the best scale.
  void Encode(std::span<uint8_t, kBlockValues> codes) const {
    const float inverse = Inverse(F16ToF32(bits_));
    for (size_t i = 0; i < kBlockValues; ++i) {
      codes[i] = static_cast<uint8_t>(static_cast<int>(CodeOf(values_[i], inverse) - lowest_));
    }
  }

 private:
  static float Inverse(float scale) { return scale == 0 ? 0.0f : 1.0f / scale; }
  static float Sum(const std::array<float, kLanes>& lanes) {
    float sum = 0;
    for (const float lane : lanes) sum += lane;
    return sum;
  }

  // The nearest code, counted from the zero code.
  float CodeOf(float value, float inverse) const {
    return RoundSmall(std::clamp(value * inverse, lowest_, -lowest_ - 1));
  }

  // Squared differences, each weighed by the magnitude of its value.
  float ErrorUnder(float scale) const {
    const float inverse = Inverse(scale);
    std::array<float, kLanes> error{};
    for (size_t i = 0; i < kBlockValues; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const float value = values_[i + lane];
        const float difference = value - CodeOf(value, inverse) * scale;
        error[lane] += magnitudes_[i + lane] * difference * difference;
      }
    }
    return Sum(error);
  }

  const float lowest_;
  const BlockValues& values_;
  BlockValues magnitudes_;
  bool first_ = true;
  float error_ = 0;
  uint16_t bits_ = 0;
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
  const int steps = format == BlockFormat::kQ4 ? 4 : 2;
  const float width = format == BlockFormat::kQ4 ? 0.05f : 0.025f;
  for (int step = -steps; extreme != 0 && step <= steps; ++step) {
    const float stretch = 1.0f + width * static_cast<float>(step);
    search.Try(-extreme / reach * stretch);
    search.Try(extreme / (reach - 1) * stretch);
  }
  for (int round = 0; round < 2; ++round) search.Refine();
  scale = search.scale_bits();
  std::array<uint8_t, kBlockValues> codes;
  search.Encode(codes);
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
