// StrCat: joins strings and numbers, for error details in the portable core (fmt is native only).
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace shoal {

namespace internal {
inline void Append(std::string& out, std::string_view part) { out += part; }
// Only a bool itself: a pointer, such as a string literal, would convert to one.
template <typename T>
  requires std::same_as<T, bool>
void Append(std::string& out, T value) {
  out += value ? "true" : "false";
}
template <typename T>
  requires(std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>)
void Append(std::string& out, T value) {
  out += std::to_string(value);
}
template <std::floating_point T>
void Append(std::string& out, T value) {
  out += std::to_string(value);
}
inline void Append(std::string& out, char value) { out += value; }
}  // namespace internal

template <typename... Parts>
[[nodiscard]] std::string StrCat(const Parts&... parts) {
  std::string out;
  (internal::Append(out, parts), ...);
  return out;
}

}  // namespace shoal
