#include "engine/kernels/kv_rows.h"

#include <algorithm>

#include "engine/kernels/block_rows.h"
#include "tensor/convert.h"

namespace shoal::engine {

namespace {

constexpr float kF16Max = 65'504.0f;

size_t BlocksOf(size_t width) { return (width + kKvBlock - 1) / kKvBlock; }

void StoreQ8(std::span<const float> values, uint8_t* row) {
  auto* const codes = reinterpret_cast<int8_t*>(row);
  auto* const scales = reinterpret_cast<float*>(row + BlocksOf(values.size()) * kKvBlock);
  for (size_t block = 0; block < BlocksOf(values.size()); ++block) {
    float filled[kKvBlock] = {};
    const size_t from = block * kKvBlock;
    std::copy_n(values.data() + from, std::min(kKvBlock, values.size() - from), filled);
    scales[block] = QuantizeBlock(filled, codes + from);
  }
}

}  // namespace

size_t KvRowBytes(KvFormat format, size_t width) {
  switch (format) {
    case KvFormat::kF32:
      return width * sizeof(float);
    case KvFormat::kF16:
      return (width + 1) / 2 * 2 * sizeof(uint16_t);
    case KvFormat::kQ8:
      return BlocksOf(width) * (kKvBlock + sizeof(float));
  }
  return 0;
}

void StoreKvRow(KvFormat format, std::span<const float> values, uint8_t* row) {
  switch (format) {
    case KvFormat::kF32:
      std::memcpy(row, values.data(), values.size_bytes());
      return;
    case KvFormat::kF16: {
      auto* const bits = reinterpret_cast<uint16_t*>(row);
      for (size_t i = 0; i < values.size(); ++i) {
        bits[i] = F32ToF16(std::clamp(values[i], -kF16Max, kF16Max));
      }
      return;
    }
    case KvFormat::kQ8:
      StoreQ8(values, row);
      return;
  }
}

}  // namespace shoal::engine
