#include "wire/fields_decode.h"

#include <cmath>
#include <cstring>

#include "base/str_cat.h"
#include "wire/utf8.h"

namespace shoal::wire {

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

void FieldsDecoder::CheckFinite(double value) {
  if (!std::isfinite(value)) path_.Fail(Code::kInvalidArgument, "not a finite number");
}

void FieldsDecoder::UnknownEnumerator(uint32_t number, const std::string& choices) {
  path_.Fail(Code::kInvalidArgument, StrCat(number, " is not known; known are ", choices));
}

}  // namespace shoal::wire
