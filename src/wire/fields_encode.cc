#include "wire/fields_encode.h"

#include "wire/utf8.h"

namespace shoal::wire {
namespace {

class FieldsEncoder final : public FieldVisitor {
 public:
  explicit FieldsEncoder(ByteVector& out) : out_(out), writer_(out) {}

  void Field(std::string_view, const FieldType& type, void* value) override { Put(type, value); }

  // Length, zero to three zero bytes, then the bytes at a multiple of 4 from the frame's start.
  void Payload(std::string_view, ByteVector& bytes) override {
    PutCount(bytes.size());
    while (out_.size() % 4 != 0) out_.push_back(0);
    writer_.WriteBytes(bytes);
  }

  void Put(const FieldType& type, void* value) {
    switch (type.field_class) {
      case FieldClass::kBool:
        writer_.Write(static_cast<uint8_t>(*static_cast<const bool*>(value) ? 1 : 0));
        return;
      case FieldClass::kString: {
        const std::string text =
            CleanUtf8(*static_cast<const std::string*>(value), kLimits.string_bytes);
        PutCount(text.size());
        writer_.WriteBytes(AsBytes(text));
        return;
      }
      case FieldClass::kBytes: {
        const auto& bytes = *static_cast<const ByteVector*>(value);
        PutCount(bytes.size());
        writer_.WriteBytes(bytes);
        return;
      }
      case FieldClass::kList:
        return PutList(*type.list, value);
      case FieldClass::kStruct:
        return type.visit(*this, value);
      default:
        writer_.WriteBytes({static_cast<const uint8_t*>(value), type.bytes});
    }
  }

 private:
  void PutCount(size_t count) { writer_.Write(static_cast<uint32_t>(count)); }

  void PutList(const ListType& type, void* list) {
    const size_t size = type.size(list);
    auto* item = static_cast<uint8_t*>(type.data(list));
    PutCount(size);
    if (type.item.IsPlain()) return writer_.WriteBytes({item, size * type.item_bytes});
    for (size_t i = 0; i < size; ++i, item += type.item_bytes) Put(type.item, item);
  }

  ByteVector& out_;
  ByteWriter writer_;
};

}  // namespace

void EncodeFields(FieldRef body, ByteVector& out) { FieldsEncoder(out).Put(body.type, body.value); }

}  // namespace shoal::wire
