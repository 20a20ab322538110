// The visitor that says how large a body's bytes will be, without making them.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include "wire/codec.h"
#include "wire/traits.h"

namespace shoal::wire {

// At least as many as there will be: padding and what strings may grow to when they are mended are
// counted in full.
class FieldsSize {
 public:
  uint64_t bytes() const { return bytes_; }

  template <typename T>
  void operator()(std::string_view, const T& value) {
    Add(value);
  }
  void Payload(std::string_view, const ByteVector& payload) {
    bytes_ += sizeof(uint32_t) + 3 + payload.size();
  }

 private:
  template <typename T>
  void Add(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      bytes_ += sizeof(uint32_t) + std::min<uint64_t>(3 * value.size(), kLimits.string_bytes);
    } else if constexpr (kIsByteString<T>) {
      bytes_ += sizeof(uint32_t) + value.size();
    } else if constexpr (kIsList<T>) {
      bytes_ += sizeof(uint32_t);
      for (const auto& item : value) Add(item);
    } else if constexpr (std::is_class_v<T> && !kIsId<T> && !std::is_same_v<T, Sha256>) {
      T::Fields(*this, value);
    } else {
      bytes_ += sizeof(value);
    }
  }

  uint64_t bytes_ = 0;
};

}  // namespace shoal::wire
