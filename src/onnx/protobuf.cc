#include "onnx/protobuf.h"

#include <cstring>

namespace shoal::onnx {

bool TakeVarint(Bytes& bytes, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const uint64_t byte = bytes[i];
    // The tenth byte holds the last of 64 bits.
    if (i == 9 && byte > 1) return false;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      bytes = bytes.subspan(i + 1);
      return true;
    }
  }
  return false;
}

bool FieldReader::Fail() {
  ok_ = false;
  rest_ = {};
  return false;
}

bool FieldReader::Next() {
  if (!ok_ || rest_.empty()) return false;
  uint64_t tag = 0;
  if (!TakeVarint(rest_, tag)) return Fail();
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return Fail();
  number_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<WireType>(tag & 7);
  scalar_ = 0;
  bytes_ = {};
  const auto fixed = [&](size_t size) {
    if (rest_.size() < size) return Fail();
    std::memcpy(&scalar_, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return true;
  };
  switch (type_) {
    case WireType::kVarint:
      return TakeVarint(rest_, scalar_) || Fail();
    case WireType::kFixed64:
      return fixed(8);
    case WireType::kFixed32:
      return fixed(4);
    case WireType::kBytes: {
      uint64_t size = 0;
      if (!TakeVarint(rest_, size) || size > rest_.size()) return Fail();
      bytes_ = rest_.first(static_cast<size_t>(size));
      rest_ = rest_.subspan(static_cast<size_t>(size));
      return true;
    }
  }
  return Fail();
}

void FieldWriter::Raw(uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<uint8_t>(value));
}

void FieldWriter::Tag(uint32_t number, WireType type) {
  Raw(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type));
}

void FieldWriter::Varint(uint32_t number, uint64_t value) {
  Tag(number, WireType::kVarint);
  Raw(value);
}

void FieldWriter::Float(uint32_t number, float value) {
  Tag(number, WireType::kFixed32);
  ByteWriter(out_).Write(value);
}

void FieldWriter::Data(uint32_t number, Bytes value) {
  Tag(number, WireType::kBytes);
  Raw(value.size());
  ByteWriter(out_).WriteBytes(value);
}

}  // namespace shoal::onnx
