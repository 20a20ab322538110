// What kinds of fields a frame can have; visitors of `Fields` branch on these.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "wire/frames.h"

namespace shoal::wire {

template <typename T>
inline constexpr bool kIsId = requires { typename T::repr_type; };

template <typename T>
inline constexpr bool kIsList = false;
template <typename Item>
inline constexpr bool kIsList<std::vector<Item>> = true;

template <typename T>
inline constexpr bool kIsByteString = std::is_same_v<T, ByteVector>;

// The least bytes that a T takes on the wire.
template <typename T>
constexpr size_t MinWireBytes();

struct MinWireBytesVisitor {
  size_t bytes = 0;

  template <typename T>
  constexpr void operator()(std::string_view, const T&) {
    bytes += MinWireBytes<T>();
  }
  constexpr void Payload(std::string_view, const ByteVector&) { bytes += sizeof(uint32_t); }
};

template <typename T>
constexpr size_t MinWireBytes() {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || kIsId<T> ||
                std::is_same_v<T, Sha256>) {
    return sizeof(T);
  } else if constexpr (std::is_same_v<T, std::string> || kIsList<T>) {
    return sizeof(uint32_t);
  } else {
    MinWireBytesVisitor visitor;
    const T value{};
    T::Fields(visitor, value);
    return visitor.bytes;
  }
}

}  // namespace shoal::wire
