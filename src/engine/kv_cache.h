// The keys and values of one session in one stage.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/kernels/kv_rows.h"

namespace shoal::engine {

// Floats that one position takes in every layer of a stage: kv_heads * head_size, for the keys and
// again for the values.
using KvLayout = std::vector<size_t>;

// Bytes of one position as a cache of this format stores it: keys and values, all layers.
uint64_t KvBytesPerPosition(const KvLayout& layout, KvFormat format);

// Memory comes in tiers of kFirstTier, twice, four times ... as many positions, up to the capacity,
// and grows by copying. Positions at and past length() may be written at will; Commit makes them
// count.
class KvCache {
 public:
  static constexpr uint32_t kFirstTier = 512;

  KvCache(const KvLayout& layout, KvFormat format, uint32_t capacity);

  uint32_t length() const { return length_; }
  uint32_t capacity() const { return capacity_; }

  // Makes room for `positions`, at most capacity(). Invalidates pointers.
  void Reserve(uint32_t positions);
  // The rows [kv width] of a layer, one per position for which there is room.
  KvRows Keys(size_t layer) const { return RowsOf(layers_[layer], layers_[layer].keys); }
  KvRows Values(size_t layer) const { return RowsOf(layers_[layer], layers_[layer].values); }
  // Stores both rows of one position, for which there must be room.
  void Store(size_t layer, uint32_t position, const float* keys, const float* values);
  // Sets the length: more after writing, less to roll back.
  void Commit(uint32_t length);

  // See Stage::ExportKv and Stage::ImportKv for the layout. from <= to <= length().
  ByteVector Export(uint32_t from, uint32_t to) const;
  // Writes positions [length(), to) without committing them. `bytes` has their exact size, and to
  // is at most capacity(). kInvalidArgument for a value that is not finite.
  Status Import(uint32_t to, Bytes bytes);

 private:
  struct Layer {
    size_t width = 0;  // kv_heads * head_size
    size_t row_bytes = 0;
    std::vector<uint8_t> keys;    // [tier, row_bytes]
    std::vector<uint8_t> values;  // [tier, row_bytes]
  };

  KvRows RowsOf(const Layer& layer, const std::vector<uint8_t>& rows) const {
    return {format_, rows.data(), layer.width, layer.row_bytes};
  }

  KvFormat format_ = KvFormat::kF32;
  std::vector<Layer> layers_;
  uint32_t capacity_ = 0;
  uint32_t tier_ = 0;
  uint32_t length_ = 0;
};

}  // namespace shoal::engine
