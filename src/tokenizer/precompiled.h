// SentencePiece's precompiled character map: a double-array trie (Darts) of what is replaced, and
// the texts it is replaced with. Format: u32 size of the trie in bytes, the trie as u32 units, then
// zero-terminated UTF-8 texts; all little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::tokenizer {

// Immutable and safe to share between threads.
class CharacterMap {
 public:
  // kInvalidArgument when the text is not base64 or the map's parts do not fit together.
  static Result<CharacterMap> FromBase64(std::string_view encoded);

  // Replaces grapheme clusters of fewer than six bytes as a whole where the map knows a prefix of
  // them, and otherwise single characters: what Hugging Face tokenizers do, which is not exactly
  // what SentencePiece does. kInvalidArgument when a replacement is not UTF-8.
  Result<std::string> Apply(std::string_view text) const;

  // Replaces, from the beginning on, the longest piece that the map knows, or keeps a character:
  // what SentencePiece does. kInvalidArgument when a replacement is not UTF-8.
  Result<std::string> ApplyLongest(std::string_view text) const;

 private:
  struct Match {
    size_t bytes = 0;  // Of the text.
    std::string_view replacement;
  };
  enum class Which : uint8_t { kShortest, kLongest };
  // The known prefix of `text`.
  std::optional<Match> Find(std::string_view text, Which which) const;

  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace shoal::tokenizer
