#include "wire/fields_decode.h"

#include <cmath>
#include <cstring>

#include "base/str_cat.h"
#include "wire/utf8.h"

namespace shoal::wire {

void FieldsDecoder::Field(std::string_view name, const FieldType& type, void* value) {
  if (path_.failed()) return;
  const FieldPath::Scope scope(path_, name);
  Get(type, value);
}

void FieldsDecoder::Get(const FieldType& type, void* value) {
  switch (type.field_class) {
    case FieldClass::kBool:
      return TakeBool(*static_cast<bool*>(value));
    case FieldClass::kUnsigned:
    case FieldClass::kSigned:
    case FieldClass::kHash:
      return Take(value, type.bytes);
    case FieldClass::kFloat:
      return TakeFloat(type, value);
    case FieldClass::kEnum:
      return TakeEnum(type, value);
    case FieldClass::kString:
      return TakeString(*static_cast<std::string*>(value));
    case FieldClass::kBytes:
      return TakeBytes(TakeCount(kLimits.list_items, 1), *static_cast<ByteVector*>(value));
    case FieldClass::kList:
      return TakeList(*type.list, value);
    case FieldClass::kStruct:
      return type.visit(*this, value);
  }
}

void FieldsDecoder::Payload(std::string_view name, ByteVector& bytes) {
  if (path_.failed()) return;
  const FieldPath::Scope scope(path_, name);
  uint32_t size = 0;
  Take(&size, sizeof(size));
  while (!path_.failed() && reader_.position() % 4 != 0) {
    uint8_t padding = 0;
    Take(&padding, sizeof(padding));
    if (padding != 0) path_.Fail(Code::kInvalidArgument, "padding is not zero");
  }
  TakeBytes(size, bytes);
}

void FieldsDecoder::Take(void* target, size_t size) {
  const Bytes view = reader_.ReadBytes(size);
  if (!reader_.ok()) return path_.Fail(Code::kInvalidArgument, "the frame ends here");
  std::memcpy(target, view.data(), size);
}

uint32_t FieldsDecoder::TakeCount(uint32_t limit, size_t item_bytes) {
  uint32_t count = 0;
  Take(&count, sizeof(count));
  if (count > limit) {
    path_.Fail(Code::kResourceExhausted, StrCat(count, " items or bytes, at most ", limit));
    return 0;
  }
  if (count > reader_.remaining() / item_bytes) {
    path_.Fail(Code::kInvalidArgument, StrCat(count, " items or bytes said, ", reader_.remaining(),
                                              " bytes left in the frame"));
    return 0;
  }
  return count;
}

void FieldsDecoder::TakeBytes(uint32_t size, ByteVector& bytes) {
  if (path_.failed()) return;
  const Bytes view = reader_.ReadBytes(size);
  if (!reader_.ok()) {
    path_.Fail(Code::kInvalidArgument,
               StrCat(size, " bytes said, ", reader_.remaining(), " left in the frame"));
    return;
  }
  bytes.assign(view.begin(), view.end());
}

void FieldsDecoder::TakeString(std::string& text) {
  const Bytes view = reader_.ReadBytes(TakeCount(kLimits.string_bytes, 1));
  if (!IsUtf8(AsText(view))) return path_.Fail(Code::kInvalidArgument, "not UTF-8");
  text = AsText(view);
}

void FieldsDecoder::TakeBool(bool& value) {
  uint8_t byte = 0;
  Take(&byte, sizeof(byte));
  if (byte > 1) path_.Fail(Code::kInvalidArgument, StrCat(byte, " is neither 0 nor 1"));
  value = byte == 1;
}

void FieldsDecoder::TakeFloat(const FieldType& type, void* value) {
  Take(value, type.bytes);
  const bool finite = type.bytes == sizeof(float) ? std::isfinite(*static_cast<float*>(value))
                                                  : std::isfinite(*static_cast<double*>(value));
  if (!finite) path_.Fail(Code::kInvalidArgument, "not a finite number");
}

void FieldsDecoder::TakeEnum(const FieldType& type, void* value) {
  uint8_t number = 0;
  Take(&number, sizeof(number));
  if (FindEnumerator(type.enumerators, number) == nullptr) {
    path_.Fail(Code::kInvalidArgument,
               StrCat(number, " is not known; known are ", EnumChoices(type.enumerators)));
  }
  std::memcpy(value, &number, sizeof(number));
}

void FieldsDecoder::TakeList(const ListType& type, void* list) {
  const size_t size = TakeCount(type.items_max, type.item_min_wire_bytes());
  type.resize(list, size);
  auto* item = static_cast<uint8_t*>(type.data(list));
  if (size == 0) return;
  if (type.item.IsPlain()) return Take(item, size * type.item_bytes);
  for (size_t i = 0; i < size && !path_.failed(); ++i, item += type.item_bytes) {
    const FieldPath::Scope scope(path_, i);
    Get(type.item, item);
  }
}

}  // namespace shoal::wire
