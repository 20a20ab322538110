#include "base/bytes.h"

#include <cmath>
#include <cstdlib>

#include "base/str_cat.h"

namespace shoal {

Result<uint64_t> ParseSize(std::string_view text) {
  const auto bad = [&] {
    return Fail(Code::kInvalidArgument,
                StrCat("\"", text, "\" is not a size; write it like 65536, 512M or 1.5G"));
  };
  double value = 0;
  double place = 0;  // 0 before the point, then 0.1, 0.01, ...
  size_t digits = 0;
  size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') {
      if (place == 0) {
        value = value * 10 + (c - '0');
      } else {
        value += (c - '0') * place;
        place /= 10;
      }
      ++digits;
    } else if (c == '.' && place == 0) {
      place = 0.1;
    } else {
      break;
    }
  }
  if (digits == 0) return bad();
  double unit = 1;
  if (at < text.size()) {
    switch (text[at] | 0x20) {
      case 'k':
        unit = 1024.0;
        break;
      case 'm':
        unit = 1024.0 * 1024;
        break;
      case 'g':
        unit = 1024.0 * 1024 * 1024;
        break;
      case 't':
        unit = 1024.0 * 1024 * 1024 * 1024;
        break;
      default:
        return bad();
    }
    ++at;
  }
  if (at < text.size() || (place != 0 && unit == 1)) return bad();
  value *= unit;
  if (value >= 9.0e18) return bad();
  return static_cast<uint64_t>(std::llround(value));
}

std::string FormatSize(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return StrCat(bytes, " B");
  const auto tenths = static_cast<uint64_t>(std::llround(value * 10));
  return StrCat(tenths / 10, ".", tenths % 10, " ", kUnits[unit]);
}

std::string ToHex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Result<ByteVector> FromHex(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return Fail(Code::kInvalidArgument, "odd number of hex digits");
  ByteVector out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return Fail(Code::kInvalidArgument, "not a hex digit");
    out.push_back(static_cast<uint8_t>(high << 4 | low));
  }
  return out;
}

}  // namespace shoal
