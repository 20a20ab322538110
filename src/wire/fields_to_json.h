// The visitor that writes a struct's fields as a JSON object.
#pragma once

#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "wire/json.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {

// Appends to `out`. Floats that are not finite, which only a frame that was never encoded can have,
// become null.
class FieldsToJson {
 public:
  FieldsToJson(std::string& out, PayloadForm form) : out_(out), form_(form) {}

  template <typename T>
  void Object(const T& value) {
    Open('{');
    T::Fields(*this, value);
    Close('}');
  }

  template <typename T>
  void operator()(std::string_view name, const T& value) {
    Name(name);
    Put(value);
  }

  void Payload(std::string_view name, const ByteVector& bytes);

 private:
  void Open(char bracket);
  void Close(char bracket);
  void Name(std::string_view name);
  // A value, and the comma that Close takes away from the last.
  void Plain(std::string_view text);
  void Quoted(std::string_view plain);
  void Signed(int64_t value);
  void Unsigned(uint64_t value);
  void Float(float value);
  void Double(double value);

  template <typename T>
  void Put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      Plain(value ? "true" : "false");
    } else if constexpr (std::is_enum_v<T>) {
      Quoted(EnumName(value).value_or("unknown"));
    } else if constexpr (kIsId<T>) {
      Put(value.value);
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      Quoted(std::to_string(value));
    } else if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
      Signed(value);
    } else if constexpr (std::is_integral_v<T>) {
      Unsigned(value);
    } else if constexpr (std::is_same_v<T, float>) {
      Float(value);
    } else if constexpr (std::is_same_v<T, double>) {
      Double(value);
    } else if constexpr (std::is_same_v<T, Sha256> || kIsByteString<T>) {
      Quoted(ToHex(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      Plain(JsonQuote(value));
    } else if constexpr (kIsList<T>) {
      Open('[');
      for (const auto& item : value) Put(item);
      Close(']');
    } else {
      Object(value);
    }
  }

  std::string& out_;
  PayloadForm form_;
};

}  // namespace shoal::wire
