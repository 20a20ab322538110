#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::engine {

uint64_t KvBytesPerPosition(const KvLayout& layout) {
  uint64_t floats = 0;
  for (const size_t width : layout) floats += 2 * width;
  return floats * sizeof(float);
}

KvCache::KvCache(const KvLayout& layout, uint32_t capacity) : capacity_(capacity) {
  for (const size_t width : layout) layers_.push_back({width, {}, {}});
}

void KvCache::Reserve(uint32_t positions) {
  CHECK(positions <= capacity_);
  if (positions <= tier_) return;
  uint64_t tier = kFirstTier;
  while (tier < positions) tier *= 2;
  tier_ = static_cast<uint32_t>(std::min<uint64_t>(tier, capacity_));
  for (Layer& layer : layers_) {
    // Not resize: that may take twice the memory.
    for (std::vector<float>* rows : {&layer.keys, &layer.values}) {
      std::vector<float> grown(tier_ * layer.width);
      std::copy_n(rows->begin(), length_ * layer.width, grown.begin());
      *rows = std::move(grown);
    }
  }
}

void KvCache::Commit(uint32_t length) {
  CHECK(length <= length_ || length <= tier_);
  length_ = length;
}

ByteVector KvCache::Export(uint32_t from, uint32_t to) const {
  CHECK(from <= to && to <= length_);
  ByteVector bytes;
  for (uint32_t position = from; position < to; ++position) {
    for (const Layer& layer : layers_) {
      for (const std::vector<float>* rows : {&layer.keys, &layer.values}) {
        const auto* row = reinterpret_cast<const uint8_t*>(rows->data() + position * layer.width);
        bytes.insert(bytes.end(), row, row + layer.width * sizeof(float));
      }
    }
  }
  return bytes;
}

Status KvCache::Import(uint32_t to, Bytes bytes) {
  CHECK(length_ <= to);
  Reserve(to);
  for (uint32_t position = length_; position < to; ++position) {
    for (Layer& layer : layers_) {
      for (std::vector<float>* rows : {&layer.keys, &layer.values}) {
        const std::span<float> row(rows->data() + position * layer.width, layer.width);
        std::memcpy(row.data(), bytes.data(), row.size_bytes());
        bytes = bytes.subspan(row.size_bytes());
        if (!AllFinite(row)) {
          return Fail(Code::kInvalidArgument, StrCat("the cache of position ", position,
                                                     " holds a value that is not finite"));
        }
      }
    }
  }
  CHECK(bytes.empty());
  return {};
}

}  // namespace shoal::engine
