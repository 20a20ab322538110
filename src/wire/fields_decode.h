// The visitor that reads a body's fields from untrusted bytes.
#pragma once

#include "base/bytes.h"
#include "wire/field_path.h"
#include "wire/field_types.h"

namespace shoal::wire {

// After the first thing that is wrong nothing more is read; path().error() says what it was.
class FieldsDecoder final : public FieldVisitor {
 public:
  // `frame` is the whole frame, of which `header_bytes` are skipped.
  FieldsDecoder(Bytes frame, size_t header_bytes) : reader_(frame) {
    reader_.ReadBytes(header_bytes);
  }

  FieldPath& path() { return path_; }
  size_t remaining() const { return reader_.remaining(); }

  void Get(const FieldType& type, void* value);

  void Field(std::string_view name, const FieldType& type, void* value) override;
  void Payload(std::string_view name, ByteVector& bytes) override;

 private:
  // `size` bytes to `target`, which stays as it is when they are not there.
  void Take(void* target, size_t size);
  // A length of items that take at least `item_bytes` each; 0 when it cannot be.
  uint32_t TakeCount(uint32_t limit, size_t item_bytes);
  void TakeBytes(uint32_t size, ByteVector& bytes);
  void TakeString(std::string& text);
  void TakeBool(bool& value);
  void TakeFloat(const FieldType& type, void* value);
  void TakeEnum(const FieldType& type, void* value);
  void TakeList(const ListType& type, void* list);

  ByteReader reader_;
  FieldPath path_;
};

}  // namespace shoal::wire
