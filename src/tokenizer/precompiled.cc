#include "tokenizer/precompiled.h"

#include <cstring>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "tokenizer/base64.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kShortGraphemeBytes = 6;

// The fields of a Darts unit.
bool HasLeaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & (0x80000000u | 0xFF); }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

bool EndsACharacter(std::string_view text, size_t end) {
  return end == text.size() || (static_cast<uint8_t>(text[end]) & 0xC0) != 0x80;
}

Result<std::string> Checked(std::string text) {
  if (!IsValidUtf8(text)) {
    return Fail(Code::kInvalidArgument, "precompiled_charsmap: a replacement is not UTF-8");
  }
  return text;
}

}  // namespace

Result<CharacterMap> CharacterMap::FromBase64(std::string_view encoded) {
  Result<std::string> decoded = DecodeBase64(encoded);
  if (!decoded) return FailWithContext(std::move(decoded).error(), "precompiled_charsmap");
  ByteReader reader(AsBytes(*decoded));
  const uint32_t trie_bytes = reader.Read<uint32_t>();
  const Bytes units = reader.ReadBytes(trie_bytes);
  if (!reader.ok() || trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0) {
    return Fail(Code::kInvalidArgument, StrCat("precompiled_charsmap: a trie of ", trie_bytes,
                                               " bytes in a map of ", decoded->size(), " bytes"));
  }
  CharacterMap map;
  map.trie_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(map.trie_.data(), units.data(), trie_bytes);
  map.replacements_ = AsText(reader.ReadBytes(reader.remaining()));
  return map;
}

std::optional<CharacterMap::Match> CharacterMap::Find(std::string_view text, Which which) const {
  std::optional<Match> found;
  // Positions come from the file: each is checked before it is read.
  uint32_t position = Offset(trie_[0]);
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte == 0) break;
    position ^= byte;
    if (position >= trie_.size()) break;
    const uint32_t unit = trie_[position];
    if (Label(unit) != byte) break;
    position ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (position >= trie_.size()) break;
    const uint32_t begin = Value(trie_[position]);
    if (begin >= replacements_.size()) break;
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    found = Match{at + 1, rest.substr(0, rest.find('\0'))};
    if (which == Which::kShortest) break;
  }
  return found;
}

Result<std::string> CharacterMap::Apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (const std::string_view grapheme : Graphemes(text)) {
    if (grapheme.size() < kShortGraphemeBytes) {
      if (const std::optional<Match> match = Find(grapheme, Which::kShortest)) {
        out += match->replacement;
        continue;
      }
    }
    for (size_t at = 0; at < grapheme.size();) {
      const size_t begin = at;
      NextCodePoint(grapheme, at);
      const std::string_view character = grapheme.substr(begin, at - begin);
      const std::optional<Match> match = Find(character, Which::kShortest);
      out += match ? match->replacement : character;
    }
  }
  return Checked(std::move(out));
}

Result<std::string> CharacterMap::ApplyLongest(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const std::optional<Match> match = Find(text.substr(at), Which::kLongest);
    if (match && EndsACharacter(text, at + match->bytes)) {
      out += match->replacement;
      at += match->bytes;
      continue;
    }
    const size_t begin = at;
    NextCodePoint(text, at);
    out += text.substr(begin, at - begin);
  }
  return Checked(std::move(out));
}

}  // namespace shoal::tokenizer
