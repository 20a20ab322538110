#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::engine {

uint64_t KvBytesPerPosition(const KvLayout& layout, KvFormat format) {
  uint64_t bytes = 0;
  for (const size_t width : layout) bytes += 2 * uint64_t{KvRowBytes(format, width)};
  return bytes;
}

KvCache::KvCache(const KvLayout& layout, KvFormat format, uint32_t capacity)
    : format_(format), capacity_(capacity) {
  for (const size_t width : layout) layers_.push_back({width, KvRowBytes(format, width), {}, {}});
}

void KvCache::Reserve(uint32_t positions) {
  CHECK(positions <= capacity_);
  if (positions <= tier_) return;
  uint64_t tier = kFirstTier;
  while (tier < positions) tier *= 2;
  tier_ = static_cast<uint32_t>(std::min<uint64_t>(tier, capacity_));
  for (Layer& layer : layers_) {
    // Not resize: that may take twice the memory.
    for (std::vector<uint8_t>* rows : {&layer.keys, &layer.values}) {
      std::vector<uint8_t> grown(tier_ * layer.row_bytes);
      std::copy_n(rows->begin(), length_ * layer.row_bytes, grown.begin());
      *rows = std::move(grown);
    }
  }
}

void KvCache::Store(size_t layer, uint32_t position, const float* keys, const float* values) {
  Layer& own = layers_[layer];
  CHECK(position < tier_);
  StoreKvRow(format_, {keys, own.width}, own.keys.data() + position * own.row_bytes);
  StoreKvRow(format_, {values, own.width}, own.values.data() + position * own.row_bytes);
}

void KvCache::Commit(uint32_t length) {
  CHECK(length <= length_ || length <= tier_);
  length_ = length;
}

ByteVector KvCache::Export(uint32_t from, uint32_t to) const {
  CHECK(from <= to && to <= length_);
  ByteVector bytes;
  std::vector<float> scratch;
  for (uint32_t position = from; position < to; ++position) {
    for (const Layer& layer : layers_) {
      scratch.resize(layer.width);
      for (const std::vector<uint8_t>* rows : {&layer.keys, &layer.values}) {
        const auto* const row = reinterpret_cast<const uint8_t*>(
            RowsOf(layer, *rows).Read(position, 0, layer.width, scratch.data()));
        bytes.insert(bytes.end(), row, row + layer.width * sizeof(float));
      }
    }
  }
  return bytes;
}

Status KvCache::Import(uint32_t to, Bytes bytes) {
  CHECK(length_ <= to);
  Reserve(to);
  std::vector<float> row;
  for (uint32_t position = length_; position < to; ++position) {
    for (Layer& layer : layers_) {
      row.resize(layer.width);
      for (std::vector<uint8_t>* rows : {&layer.keys, &layer.values}) {
        std::memcpy(row.data(), bytes.data(), row.size() * sizeof(float));
        bytes = bytes.subspan(row.size() * sizeof(float));
        if (!AllFinite(row)) {
          return Fail(Code::kInvalidArgument, StrCat("the cache of position ", position,
                                                     " holds a value that is not finite"));
        }
        StoreKvRow(format_, row, rows->data() + position * layer.row_bytes);
      }
    }
  }
  CHECK(bytes.empty());
  return {};
}

}  // namespace shoal::engine
