#include "engine/kernels/block_matrix.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"
#include "tensor/convert.h"

namespace shoal::engine {

namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void BlockMatrix::Free::operator()(uint8_t* data) const { ::operator delete[](data, kAlignment); }

BlockMatrix::BlockMatrix(BlockFormat format, size_t n, size_t k, Bytes codes,
                         std::span<const uint16_t> scales)
    : BlockMatrix(format, n, k) {
  CHECK(scales.size() == n * blocks_);
  FillTiles(0, codes, scales);
}

BlockMatrix::BlockMatrix(BlockFormat format, size_t n, size_t k)
    : format_(format),
      n_(n),
      k_(k),
      blocks_(BlocksPerRow(k)),
      block_bytes_(kTileColumns * BlockCodeBytes(format)),
      tile_bytes_((blocks_ * (block_bytes_ + kTileColumns * sizeof(uint16_t)) + 63) / 64 * 64) {
  CHECK(n > 0 && k > 0);
  data_.reset(static_cast<uint8_t*>(::operator new[](bytes(), kAlignment)));
}

void BlockMatrix::FillTiles(size_t first_tile, Bytes codes, std::span<const uint16_t> scales) {
  const size_t rows = scales.size() / blocks_;
  CHECK(scales.size() == rows * blocks_ && codes.size() == scales.size() * BlockCodeBytes(format_));
  CHECK(first_tile * kTileColumns + rows <= n_);
  for (size_t row = 0; row < rows; row += kTileColumns) {
    FillTile(first_tile + row / kTileColumns, std::min(kTileColumns, rows - row),
             codes.data() + row * blocks_ * BlockCodeBytes(format_), scales.data() + row * blocks_);
  }
}

void BlockMatrix::FillTile(size_t tile, size_t columns, const uint8_t* codes,
                           const uint16_t* scales) {
  uint8_t* const tile_codes = data_.get() + tile * tile_bytes_;
  auto* const tile_scales = reinterpret_cast<uint16_t*>(tile_codes + blocks_ * block_bytes_);
  std::memset(tile_codes, 0, tile_bytes_);
  const size_t code_bytes = BlockCodeBytes(format_);
  for (size_t column = 0; column < columns; ++column) {
    const uint8_t* source = codes + column * blocks_ * code_bytes;
    for (size_t block = 0; block < blocks_; ++block, source += code_bytes) {
      uint8_t* const out = tile_codes + block * block_bytes_ + column * 4;
      if (format_ == BlockFormat::kQ8) {
        for (size_t group = 0; group < kBlockValues / 4; ++group) {
          std::memcpy(out + group * kTileColumns * 4, source + group * 4, 4);
        }
      } else {
        for (size_t group = 0; group < kBlockValues / 8; ++group) {
          // Eight codes in order, two a byte: the first four go to the low nibbles.
          uint8_t* const at = out + group * kTileColumns * 4;
          const uint8_t* const from = source + group * 4;
          at[0] = static_cast<uint8_t>((from[0] & 15) | (from[2] & 15) << 4);
          at[1] = static_cast<uint8_t>(from[0] >> 4 | (from[2] & 0xf0));
          at[2] = static_cast<uint8_t>((from[1] & 15) | (from[3] & 15) << 4);
          at[3] = static_cast<uint8_t>(from[1] >> 4 | (from[3] & 0xf0));
        }
      }
      tile_scales[block * kTileColumns + column] = scales[column * blocks_ + block];
    }
  }
}

void BlockMatrix::DequantizeBlock(size_t tile, size_t block,
                                  float (&out)[kBlockValues][kTileColumns]) const {
  const uint8_t* const codes = Codes(tile) + block * block_bytes_;
  float scales[kTileColumns];
  for (size_t c = 0; c < kTileColumns; ++c) {
    scales[c] = F16ToF32(Scales(tile)[block * kTileColumns + c]);
  }
  const bool is_q8 = format_ == BlockFormat::kQ8;
  for (size_t i = 0; i < kBlockValues; ++i) {
    const size_t group = is_q8 ? i / 4 : i / 8;
    const uint8_t* const bytes = codes + group * kTileColumns * 4 + i % 4;
    const bool is_high = !is_q8 && i % 8 >= 4;
    for (size_t c = 0; c < kTileColumns; ++c) {
      const int code = is_q8 ? bytes[c * 4] - 128 : (bytes[c * 4] >> (is_high ? 4 : 0) & 15) - 8;
      out[i][c] = static_cast<float>(code) * scales[c];
    }
  }
}

void BlockMatrix::DequantizeRow(size_t row, float* out) const {
  CHECK(row < n_);
  const size_t tile = row / kTileColumns;
  const size_t column = row % kTileColumns;
  for (size_t block = 0; block < blocks_; ++block) {
    const uint8_t* const codes = Codes(tile) + block * block_bytes_ + column * 4;
    const float scale = F16ToF32(Scales(tile)[block * kTileColumns + column]);
    const size_t count = std::min(kBlockValues, k_ - block * kBlockValues);
    for (size_t i = 0; i < count; ++i) {
      const size_t per_group = format_ == BlockFormat::kQ8 ? 4 : 8;
      const uint8_t byte = codes[i / per_group * kTileColumns * 4 + i % 4];
      const int code = format_ == BlockFormat::kQ8 ? byte - 128
                       : i % 8 < 4                 ? (byte & 15) - 8
                                                   : (byte >> 4) - 8;
      *out++ = static_cast<float>(code) * scale;
    }
  }
}

}  // namespace shoal::engine
