// The keys and values of one session in one stage.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal::engine {

// Floats that one position takes in every layer of a stage: kv_heads * head_size, for the keys and
// again for the values.
using KvLayout = std::vector<size_t>;

// Bytes of one position, keys and values, all layers.
uint64_t KvBytesPerPosition(const KvLayout& layout);

// Memory comes in tiers of kFirstTier, twice, four times ... as many positions, up to the capacity,
// and grows by copying. Positions at and past length() may be written at will; Commit makes them
// count.
class KvCache {
 public:
  static constexpr uint32_t kFirstTier = 512;

  KvCache(const KvLayout& layout, uint32_t capacity);

  uint32_t length() const { return length_; }
  uint32_t capacity() const { return capacity_; }

  // Makes room for `positions`, at most capacity(). Invalidates pointers.
  void Reserve(uint32_t positions);
  // The rows [kv width] of a layer, one per position for which there is room.
  float* Keys(size_t layer) { return layers_[layer].keys.data(); }
  float* Values(size_t layer) { return layers_[layer].values.data(); }
  // Sets the length: more after writing, less to roll back.
  void Commit(uint32_t length);

  // See Stage::ExportKv and Stage::ImportKv for the layout. from <= to <= length().
  ByteVector Export(uint32_t from, uint32_t to) const;
  // Writes positions [length(), to) without committing them. `bytes` has their exact size, and to
  // is at most capacity(). kInvalidArgument for a value that is not finite.
  Status Import(uint32_t to, Bytes bytes);

 private:
  struct Layer {
    size_t width = 0;           // kv_heads * head_size
    std::vector<float> keys;    // [tier, width]
    std::vector<float> values;  // [tier, width]
  };

  std::vector<Layer> layers_;
  uint32_t capacity_ = 0;
  uint32_t tier_ = 0;
  uint32_t length_ = 0;
};

}  // namespace shoal::engine
