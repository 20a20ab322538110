// Reads a struct's fields from untrusted JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/field_path.h"
#include "wire/field_types.h"
#include "wire/json_scanner.h"

namespace shoal::wire {

// After the first thing that is wrong nothing more is read; path().error() says what it was.
// The nesting is that of the structs, so that no text can make it deep.
class FieldsFromJson {
 public:
  // `beside`: the bytes of a payload whose size alone is in the text.
  FieldsFromJson(JsonScanner& scanner, std::optional<Bytes> beside)
      : scanner_(scanner), beside_(beside) {}

  FieldPath& path() { return path_; }
  bool used_beside() const { return used_beside_; }

  void Get(const FieldType& type, void* value);

  template <typename T>
  void Get(T& value) {
    Get(kFieldType<T>, &value);
  }

 private:
  void Wrong(std::string_view what);
  void KeepScannerError();
  void GetValue(const FieldType& type, void* value);
  void GetUnsigned(const FieldType& type, void* value);
  void GetSigned(int32_t& value);
  void GetFloat(const FieldType& type, void* value);
  void GetEnum(const FieldType& type, uint8_t& value);
  void GetString(std::string& text);
  void GetHex(ByteVector& bytes);
  void GetHash(const FieldType& type, void* value);
  void GetBeside(ByteVector& bytes);
  void GetList(const ListType& type, void* list);
  void GetObject(const FieldType& type, void* value);
  // The value of the field that `key` names; `seen`, bit i: that of the i-th has been read.
  void GetMember(const FieldType& type, void* value, std::string_view key, uint64_t& seen);

  JsonScanner& scanner_;
  std::optional<Bytes> beside_;
  bool used_beside_ = false;
  FieldPath path_;
};

}  // namespace shoal::wire
