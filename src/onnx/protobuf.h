// The protobuf wire format: as much of it as an ONNX file needs
// (https://protobuf.dev/programming-guides/encoding/).
//
// Why not protozero, which is what the toolchain has for this: it reports malformed input by
// throwing, from nearly every reading function, and the portable core is built without exceptions;
// there is no switch that turns its throws into return values, and replacing them by a trap would
// let a file from the network end the process. What remains to be done by hand is one loop over
// tags.
//
// Reading: a FieldReader walks the fields of one message and stops for good at the first malformed
// byte; ok() then is false. It never looks outside of its bytes, never recurses and allocates
// nothing. Groups (wire types 3 and 4) are malformed here: ONNX has none.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace shoal::onnx {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

class FieldReader {
 public:
  explicit FieldReader(Bytes message) : rest_(message) {}

  // Goes to the next field; false at the end of the message or at malformed bytes.
  bool Next();
  // Whether everything read so far was well formed.
  bool ok() const { return ok_; }

  // Of the current field.
  uint32_t number() const { return number_; }
  WireType type() const { return type_; }
  // The value of a kVarint, kFixed32 or kFixed64 field (its bits); 0 for kBytes.
  uint64_t scalar() const { return scalar_; }
  // The contents of a kBytes field, inside of the message given to the constructor.
  Bytes bytes() const { return bytes_; }

 private:
  bool Fail();

  Bytes rest_;
  bool ok_ = true;
  uint32_t number_ = 0;
  WireType type_ = WireType::kVarint;
  uint64_t scalar_ = 0;
  Bytes bytes_;
};

// Takes one varint (at most ten bytes) off the front of `bytes`; false if there is none.
bool TakeVarint(Bytes& bytes, uint64_t& value);

// Appends fields to a message. Signed numbers are written as int64 (two's complement), as ONNX
// declares them.
class FieldWriter {
 public:
  explicit FieldWriter(ByteVector& out) : out_(out) {}

  void Varint(uint32_t number, uint64_t value);
  void Int(uint32_t number, int64_t value) { Varint(number, static_cast<uint64_t>(value)); }
  void Float(uint32_t number, float value);
  void Data(uint32_t number, Bytes value);
  void Text(uint32_t number, std::string_view value) { Data(number, AsBytes(value)); }
  // As Text, but nothing for an empty string: the default value of a field.
  void TextIfAny(uint32_t number, std::string_view value) {
    if (!value.empty()) Text(number, value);
  }

 private:
  void Tag(uint32_t number, WireType type);
  void Raw(uint64_t value);

  ByteVector& out_;
};

}  // namespace shoal::onnx
