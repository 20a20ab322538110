// KV caches on the move: to another volunteer as kv-import frames, from one, or from session to
// session here. The engine keeps [position, layer, keys then values, head, value]; a kv-import
// frame has one block's keys [head, position, value], then its values alike.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// The part of `kv`, the engine's export of positions [from, to) of a stage with these slots, that
// belongs to slots[index], in f32.
wire::KvImport PartOf(const std::vector<wire::KvSlot>& slots, size_t index, Bytes kv, uint32_t from,
                      uint32_t to);

// Parts as they come in, until all blocks of a range are there.
class KvAssembly {
 public:
  explicit KvAssembly(const std::vector<wire::KvSlot>& slots) : slots_(slots) {}

  // What the engine imports, once the last block of the range has come. A part of another range
  // begins anew. kInvalidArgument for a block without a cache here or a payload that does not fit.
  Result<std::optional<ByteVector>> Add(const wire::KvImport& part);

 private:
  std::vector<wire::KvSlot> slots_;
  uint32_t from_ = 0;
  uint32_t to_ = 0;
  std::map<uint32_t, std::vector<float>> parts_;  // By block.
};

}  // namespace shoal::volunteer
