#include "volunteer/kv_moves.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"
#include "volunteer/hop_type.h"

namespace shoal::volunteer {

namespace {

size_t WidthOf(const wire::KvSlot& slot) { return size_t{slot.heads} * slot.head_size; }

// Floats of one position in all slots.
size_t PositionWidth(const std::vector<wire::KvSlot>& slots) {
  size_t width = 0;
  for (const wire::KvSlot& slot : slots) width += 2 * WidthOf(slot);
  return width;
}

// Calls copy(in the engine's order, in the frame's order, count) for every run of values that lie
// side by side in both. `offset`: of the slot in a position.
template <typename Copy>
void ForRuns(const wire::KvSlot& slot, size_t offset, size_t position_width, size_t positions,
             const Copy& copy) {
  const size_t plane = WidthOf(slot) * positions;
  for (size_t which = 0; which < 2; ++which) {
    for (size_t head = 0; head < slot.heads; ++head) {
      for (size_t p = 0; p < positions; ++p) {
        const size_t engine =
            p * position_width + offset + which * WidthOf(slot) + head * slot.head_size;
        const size_t frame = which * plane + (head * positions + p) * slot.head_size;
        copy(engine, frame, size_t{slot.head_size});
      }
    }
  }
}

}  // namespace

wire::KvImport PartOf(const std::vector<wire::KvSlot>& slots, size_t index, Bytes kv, uint32_t from,
                      uint32_t to) {
  const wire::KvSlot& slot = slots[index];
  const size_t positions = to - from;
  const size_t width = PositionWidth(slots);
  CHECK(kv.size() == positions * width * sizeof(float));
  size_t offset = 0;
  for (size_t i = 0; i < index; ++i) offset += 2 * WidthOf(slots[i]);
  wire::KvImport part{.block = slot.block, .from = from, .to = to};
  part.payload.resize(2 * WidthOf(slot) * positions * sizeof(float));
  ForRuns(slot, offset, width, positions, [&](size_t engine, size_t frame, size_t count) {
    std::memcpy(part.payload.data() + frame * sizeof(float), kv.data() + engine * sizeof(float),
                count * sizeof(float));
  });
  return part;
}

Result<std::optional<ByteVector>> KvAssembly::Add(const wire::KvImport& part) {
  const auto slot = std::ranges::find(slots_, part.block, &wire::KvSlot::block);
  if (slot == slots_.end()) {
    return Fail(Code::kInvalidArgument, StrCat("block ", part.block, " has no KV cache here"));
  }
  const size_t positions = part.to - part.from;
  const size_t count = 2 * WidthOf(*slot) * positions;
  const DType type = DTypeOf(part.type);
  if (part.payload.size() != count * DTypeBytes(type)) {
    return Fail(Code::kInvalidArgument,
                StrCat("KV of ", positions, " positions of block ", part.block, " takes ",
                       count * DTypeBytes(type), " bytes, not ", part.payload.size()));
  }
  if (part.from != from_ || part.to != to_) parts_.clear();
  from_ = part.from;
  to_ = part.to;
  std::vector<float>& values = parts_[part.block];
  values.resize(count);
  ToF32(type, part.payload, values);
  if (parts_.size() < slots_.size()) return std::optional<ByteVector>();
  const size_t width = PositionWidth(slots_);
  ByteVector all(positions * width * sizeof(float));
  size_t offset = 0;
  for (const wire::KvSlot& each : slots_) {
    const std::vector<float>& from = parts_.at(each.block);
    ForRuns(each, offset, width, positions, [&](size_t engine, size_t frame, size_t run) {
      std::memcpy(all.data() + engine * sizeof(float), from.data() + frame, run * sizeof(float));
    });
    offset += 2 * WidthOf(each);
  }
  parts_.clear();
  return std::optional<ByteVector>(std::move(all));
}

}  // namespace shoal::volunteer
