// Blocks that a checkpoint already stores as codes (GPTQ, AWQ, Q4_0, Q8_0, ...), taken over as they
// are instead of being rounded again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/encoding.h"
#include "tensor/blocks.h"

namespace shoal::packer {

// One row of a coded matrix.
class CodedRow {
 public:
  CodedRow(const model::CodedMatrix& matrix, uint64_t row);

  // Writes block `block` of the row (32 columns) in `format`: exactly the values that the codes
  // mean. False, and nothing written, where that is not possible: columns of several groups, a
  // scale that is no f16, or codes that lie so far from their zero point that the format has none
  // for them. `codes` has BlockCodeBytes places.
  bool Copy(uint64_t block, BlockFormat format, std::span<uint8_t> codes, uint16_t& scale) const;

 private:
  const model::CodedMatrix& matrix_;
  std::vector<uint8_t> codes_;
  std::vector<float> scales_;
  std::vector<uint8_t> zeros_;
};

}  // namespace shoal::packer
