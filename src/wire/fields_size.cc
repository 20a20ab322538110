#include "wire/fields_size.h"

#include <algorithm>

namespace shoal::wire {
namespace {

class FieldsSize final : public FieldVisitor {
 public:
  uint64_t bytes() const { return bytes_; }

  void Field(std::string_view, const FieldType& type, void* value) override { Add(type, value); }
  void Payload(std::string_view, ByteVector& payload) override {
    bytes_ += sizeof(uint32_t) + 3 + payload.size();
  }

  void Add(const FieldType& type, void* value) {
    switch (type.field_class) {
      case FieldClass::kString: {
        const uint64_t size = static_cast<const std::string*>(value)->size();
        bytes_ += sizeof(uint32_t) + std::min<uint64_t>(3 * size, kLimits.string_bytes);
        return;
      }
      case FieldClass::kBytes:
        bytes_ += sizeof(uint32_t) + static_cast<const ByteVector*>(value)->size();
        return;
      case FieldClass::kList:
        return AddList(*type.list, value);
      case FieldClass::kStruct:
        return type.visit(*this, value);
      default:
        bytes_ += type.bytes;
    }
  }

 private:
  void AddList(const ListType& type, void* list) {
    const size_t size = type.size(list);
    bytes_ += sizeof(uint32_t);
    if (type.item.bytes != 0) {
      bytes_ += uint64_t{size} * type.item.bytes;
      return;
    }
    auto* item = static_cast<std::byte*>(type.data(list));
    for (size_t i = 0; i < size; ++i, item += type.item_bytes) Add(type.item, item);
  }

  uint64_t bytes_ = 0;
};

}  // namespace

uint64_t WireBytesAtMost(FieldRef body) {
  FieldsSize size;
  size.Add(body.type, body.value);
  return size.bytes();
}

}  // namespace shoal::wire
