// Tokens that are found in the text itself, before the model sees it: special ones ("<|im_end|>")
// and whole words added after training.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // Only where no word character touches it.
  bool lstrip = false;       // Takes the whitespace before it along.
  bool rstrip = false;       // Takes the whitespace behind it along.
  bool normalized = false;   // Looked for, itself normalized, in the normalized text.
  bool special = false;
  std::string decoded;  // What the decoder is given: the content, normalized if `normalized`.
};

// Immutable once read, and safe to share between threads.
class AddedTokens {
 public:
  AddedTokens() = default;
  // The field "added_tokens" of tokenizer.json; `list` may be null. A token that `vocabulary` has
  // keeps the vocabulary's id.
  static Result<AddedTokens> FromJson(const boost::json::value* list, const Vocabulary& vocabulary,
                                      const Normalizer* normalizer);

  // Finds the added tokens in `text`, normalizes what lies between them and finds in that the
  // tokens that are looked for in normalized text. Where several begin, the longest counts.
  Result<std::vector<Piece>> Cut(std::string_view text, const Normalizer* normalizer) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  // Appends the pieces of `text`; those that are no token go through `keep(std::string, bool)`.
  template <typename Keep>
  Status Scan(std::string_view text, bool begins_input, const Trie& trie,
              std::vector<Piece>& pieces, const Keep& keep) const;

  std::vector<AddedToken> tokens_;
  Trie raw_;  // Values are indices into tokens_.
  Trie normalized_;
};

}  // namespace shoal::tokenizer
