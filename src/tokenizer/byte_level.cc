#include "tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstSubstitute = 0x100;
constexpr size_t kCharacters = 0x100 + 0x44;  // 0x44 bytes do not stand for themselves.

struct Tables {
  std::array<char32_t, 256> character_of_byte{};
  std::array<int16_t, kCharacters> byte_of_character{};  // -1: none.
};

constexpr Tables MakeTables() {
  Tables tables;
  tables.byte_of_character.fill(-1);
  char32_t next = kFirstSubstitute;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t c = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
    tables.character_of_byte[static_cast<size_t>(byte)] = c;
    tables.byte_of_character[c] = static_cast<int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

std::string BytesToCharacters(std::string_view bytes) {
  std::string characters;
  characters.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) {
    AppendUtf8(kTables.character_of_byte[static_cast<uint8_t>(byte)], characters);
  }
  return characters;
}

bool AppendCharactersAsBytes(std::string_view characters, std::string& bytes) {
  const size_t before = bytes.size();
  for (size_t at = 0; at < characters.size();) {
    const char32_t c = NextCodePoint(characters, at);
    if (c >= kCharacters || kTables.byte_of_character[c] < 0) {
      bytes.resize(before);
      return false;
    }
    bytes += static_cast<char>(kTables.byte_of_character[c]);
  }
  return true;
}

}  // namespace shoal::tokenizer
