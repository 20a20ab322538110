// A q4 or q8 matrix in the order in which the kernels read it.
//
// Stored weights (tensor/blocks.h, the layout of ONNX Runtime's MatMulNBits) keep a row's codes
// together. Here kTileColumns rows of them, which are columns of the product, form a tile in which
// the columns lie side by side, so that a vector register of any width holds neighbouring columns
// and no sum ever crosses its lanes:
//
//   tile    codes [blocks][groups][kTileColumns][4 bytes], then scales [blocks][kTileColumns] f16
//   q4      4 groups of 8 inputs; byte j of a column holds input 8g + j in its low nibble and
//           input 8g + 4 + j in its high one
//   q8      8 groups of 4 inputs; byte j holds input 4g + j
//
// The last tile is filled up with columns of scale zero.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "tensor/blocks.h"

namespace shoal::engine {

inline constexpr size_t kTileColumns = 16;

class BlockMatrix {
 public:
  // codes: [n, BlocksPerRow(k), BlockCodeBytes(format)]; scales: f16 bits [n, BlocksPerRow(k)], all
  // finite. Both are copied.
  BlockMatrix(BlockFormat format, size_t n, size_t k, Bytes codes,
              std::span<const uint16_t> scales);
  // Every tile is to be filled before it is read.
  BlockMatrix(BlockFormat format, size_t n, size_t k);

  // Copies whole tiles in: `codes` and `scales` as above, of the outputs from first_tile *
  // kTileColumns on, as many as whole tiles have, or as are left.
  void FillTiles(size_t first_tile, Bytes codes, std::span<const uint16_t> scales);

  BlockFormat format() const { return format_; }
  size_t n() const { return n_; }            // Outputs.
  size_t k() const { return k_; }            // Inputs.
  size_t blocks() const { return blocks_; }  // Along the inputs.
  size_t tiles() const { return (n_ + kTileColumns - 1) / kTileColumns; }
  size_t bytes() const { return tiles() * tile_bytes_; }

  // Aligned to 64 bytes.
  const uint8_t* Codes(size_t tile) const { return data_.get() + tile * tile_bytes_; }
  const uint16_t* Scales(size_t tile) const {
    return reinterpret_cast<const uint16_t*>(Codes(tile) + blocks_ * block_bytes_);
  }
  // Bytes of one block's codes in a tile.
  size_t block_bytes() const { return block_bytes_; }

  // The weights of one block of a tile, exactly; zero in columns past n.
  void DequantizeBlock(size_t tile, size_t block, float (&out)[kBlockValues][kTileColumns]) const;
  // The weights of output `row`, exactly: out [k].
  void DequantizeRow(size_t row, float* out) const;

 private:
  struct Free {
    void operator()(uint8_t* data) const;
  };

  // codes and scales of the tile's `columns` outputs.
  void FillTile(size_t tile, size_t columns, const uint8_t* codes, const uint16_t* scales);

  BlockFormat format_;
  size_t n_;
  size_t k_;
  size_t blocks_;
  size_t block_bytes_;
  size_t tile_bytes_;
  std::unique_ptr<uint8_t[], Free> data_;
};

}  // namespace shoal::engine
