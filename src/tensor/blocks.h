// Block formats of weights: 32 values share one f16 scale.
//
// The layout is the one that ONNX Runtime's MatMulNBits reads (contrib operator, block_size 32, no
// zero points): a row of K values becomes ceil(K / 32) blocks; a block's value i is
// (code[i] - zero) * scale with zero 8 for q4 and 128 for q8. q4 packs two codes a byte, the even
// index in the low nibble; q8 has one byte a code. A row that does not end with a block is filled
// up with zeros.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace shoal {

inline constexpr size_t kBlockValues = 32;

enum class BlockFormat : uint8_t { kQ4, kQ8 };

// Bits of one code: 4 or 8.
int BlockBits(BlockFormat format);
// Bytes of the codes of one block: 16 or 32.
size_t BlockCodeBytes(BlockFormat format);
// Blocks in a row of `columns` values.
inline size_t BlocksPerRow(size_t columns) { return (columns + kBlockValues - 1) / kBlockValues; }

// Quantises one row. The scale of each block is searched for the least error among f16 values near
// the one that maps the block's largest magnitude to the end of the code range, of either sign. The
// error is the sum of |x| (x - x')^2: what a large weight loses counts more, which measured better
// on trained models than plain squares (docs/pack-format.md). codes.size() == BlocksPerRow *
// BlockCodeBytes; scales.size() == BlocksPerRow (f16 bits). All values must be finite and below
// 65504 * 8 in magnitude.
void QuantizeRow(BlockFormat format, std::span<const float> row, std::span<uint8_t> codes,
                 std::span<uint16_t> scales);

// The inverse, exact: row.size() values from BlocksPerRow(row.size()) blocks.
void DequantizeRow(BlockFormat format, Bytes codes, std::span<const uint16_t> scales,
                   std::span<float> row);

}  // namespace shoal
