// The visitor that writes a body's fields as bytes.
#pragma once

#include <type_traits>

#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/traits.h"
#include "wire/utf8.h"

namespace shoal::wire {

// Appends to `out`, which holds the frame from its header on.
class FieldsEncoder {
 public:
  explicit FieldsEncoder(ByteVector& out) : out_(out), writer_(out) {}

  template <typename T>
  void operator()(std::string_view, const T& value) {
    Put(value);
  }

  // Length, zero to three zero bytes, then the bytes at a multiple of 4 from the frame's start.
  void Payload(std::string_view, const ByteVector& bytes) {
    writer_.Write(static_cast<uint32_t>(bytes.size()));
    while (out_.size() % 4 != 0) out_.push_back(0);
    writer_.WriteBytes(bytes);
  }

 private:
  template <typename T>
  void Put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      writer_.Write(static_cast<uint8_t>(value ? 1 : 0));
    } else if constexpr (std::is_enum_v<T>) {
      writer_.Write(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_arithmetic_v<T>) {
      writer_.Write(value);
    } else if constexpr (kIsId<T>) {
      writer_.Write(value.value);
    } else if constexpr (std::is_same_v<T, Sha256>) {
      writer_.WriteBytes(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      const std::string text = CleanUtf8(value, kLimits.string_bytes);
      writer_.Write(static_cast<uint32_t>(text.size()));
      writer_.WriteBytes(AsBytes(text));
    } else if constexpr (kIsByteString<T>) {
      writer_.Write(static_cast<uint32_t>(value.size()));
      writer_.WriteBytes(value);
    } else if constexpr (kIsList<T>) {
      writer_.Write(static_cast<uint32_t>(value.size()));
      for (const auto& item : value) Put(item);
    } else {
      T::Fields(*this, value);
    }
  }

  ByteVector& out_;
  ByteWriter writer_;
};

}  // namespace shoal::wire
