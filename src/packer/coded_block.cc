#include "packer/coded_block.h"

#include <algorithm>

#include "base/check.h"
#include "tensor/convert.h"

namespace shoal::packer {

CodedRow::CodedRow(const model::CodedMatrix& matrix, uint64_t row)
    : matrix_(matrix),
      codes_(matrix.columns()),
      scales_(matrix.groups_per_row()),
      zeros_(matrix.groups_per_row()) {
  matrix.ReadCodes(row, codes_);
  matrix.ReadScales(row, scales_, zeros_);
}

bool CodedRow::Copy(uint64_t block, BlockFormat format, std::span<uint8_t> codes,
                    uint16_t& scale) const {
  CHECK(codes.size() == BlockCodeBytes(format));
  const uint64_t first = block * kBlockValues;
  if (first + kBlockValues > matrix_.columns()) return false;
  const uint64_t group = first / matrix_.group();
  if ((first + kBlockValues - 1) / matrix_.group() != group) return false;
  const uint16_t bits = F32ToF16(scales_[group]);
  if (F16ToF32(bits) != scales_[group]) return false;

  const int middle = 1 << (BlockBits(format) - 1);
  int distances[kBlockValues];
  for (size_t i = 0; i < kBlockValues; ++i) {
    distances[i] = static_cast<int>(codes_[first + i]) - zeros_[group];
  }
  const auto [least, largest] = std::ranges::minmax(distances);
  // A code more lies below the middle than above it: a scale of the other sign turns them round.
  const bool as_is = least >= -middle && largest < middle;
  const bool turned = largest <= middle && least > -middle;
  if (!as_is && !turned) return false;
  scale = as_is ? bits : bits ^ 0x8000;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const auto code = static_cast<uint8_t>(middle + (as_is ? distances[i] : -distances[i]));
    if (format == BlockFormat::kQ8) {
      codes[i] = code;
    } else {
      codes[i / 2] = static_cast<uint8_t>(i % 2 == 0 ? code : codes[i / 2] | code << 4);
    }
  }
  return true;
}

}  // namespace shoal::packer
