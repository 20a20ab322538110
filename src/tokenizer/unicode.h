// UTF-8 and the character classes that tokenizer.json files speak of. Positions and sizes are in
// bytes. Functions that take a code point's position ask for text that IsValidUtf8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::tokenizer {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// What the bytes at the front of a text are.
struct Utf8Head {
  enum class Kind : uint8_t {
    kCharacter,   // One whole character of `size` bytes.
    kInvalid,     // `size` bytes that are no character whatever follows (a maximal subpart).
    kIncomplete,  // All the bytes there are; more may make them a character.
  };
  Kind kind = Kind::kIncomplete;
  uint8_t size = 0;
};
// `text` is not empty.
Utf8Head InspectUtf8(std::string_view text);

bool IsValidUtf8(std::string_view text);
// The position of the first byte that belongs to no character; npos when there is none.
size_t FindInvalidUtf8(std::string_view text);

// The code point at `at`, which is moved past it.
char32_t NextCodePoint(std::string_view text, size_t& at);
std::u32string ToCodePoints(std::string_view text);
void AppendUtf8(char32_t code_point, std::string& out);
std::string ToUtf8(std::u32string_view code_points);
// How many characters a text has.
size_t CountCodePoints(std::string_view text);

// Unicode's White_Space property.
bool IsWhitespace(char32_t c);
// What a regular expression's \w matches: letters, marks, digits, connectors, joiners.
bool IsWord(char32_t c);
// ASCII punctuation, or any of Unicode's categories P*.
bool IsPunctuation(char32_t c);
// Unicode's categories N*.
bool IsNumeric(char32_t c);
// Unicode's category Mn.
bool IsNonspacingMark(char32_t c);

std::string Lowercase(std::string_view text);

enum class NormalForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
// Unicode Standard Annex 15. Takes time n log n at worst, whatever the marks in `text`.
Result<std::string> Normalize(std::string_view text, NormalForm form);

// The text cut into extended grapheme clusters (Unicode Standard Annex 29): views into `text`.
std::vector<std::string_view> Graphemes(std::string_view text);

// Turns bytes that come in parts into text: whole characters as soon as they are whole, U+FFFD for
// every maximal invalid part once it is certain. The sum is what one pass over all bytes would
// give.
class Utf8Repairer {
 public:
  void Push(std::string_view bytes, std::string& out);
  // The end: what is held becomes U+FFFD.
  void Flush(std::string& out);

 private:
  std::string held_;  // At most three bytes, the beginning of a character.
};

}  // namespace shoal::tokenizer
