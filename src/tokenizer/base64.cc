#include "tokenizer/base64.h"

#include <cstdint>

#include "base/str_cat.h"

namespace shoal::tokenizer {

namespace {

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

Result<std::string> DecodeBase64(std::string_view encoded) {
  const auto wrong = [](size_t at) {
    return Fail(Code::kInvalidArgument, StrCat("not base64 at byte ", at));
  };
  if (encoded.size() % 4 != 0) return wrong(encoded.size());
  size_t padding = 0;
  while (padding < 2 && padding < encoded.size() && encoded[encoded.size() - 1 - padding] == '=') {
    ++padding;
  }
  std::string bytes;
  bytes.reserve(encoded.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t i = 0; i < encoded.size(); ++i) {
    const bool is_padding = i >= encoded.size() - padding;
    const int digit = is_padding ? 0 : Base64Digit(encoded[i]);
    if (digit < 0) return wrong(i);
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    if (i % 4 == 3) {
      bytes += static_cast<char>(bits >> 16);
      bytes += static_cast<char>(bits >> 8);
      bytes += static_cast<char>(bits);
      bits = 0;
    }
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t three = 0;
    for (size_t i = 0; i < 3; ++i) {
      three = three << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += at + i > bytes.size() ? '=' : kDigits[(three >> (18 - 6 * i)) & 63];
    }
  }
  return out;
}

}  // namespace shoal::tokenizer
