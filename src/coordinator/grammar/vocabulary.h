// What each token of a model adds to a text, as bytes, sorted so that a grammar can walk over all
// of them at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/grammar/grammar.h"
#include "tokenizer/tokenizer.h"

namespace shoal::grammar {

class Vocabulary {
 public:
  struct Token {
    std::string bytes;  // Not empty.
    int32_t id = 0;
  };
  // `size`: of the logits; ids from there on are left out.
  Vocabulary(std::vector<Token> tokens, uint32_t size);
  // Special tokens, and those that stand for nothing, are left out. So are tokens whose bytes
  // cannot be told: pieces of characters in other vocabularies than byte-level and byte-fallback
  // ones.
  static Vocabulary Of(const tokenizer::Tokenizer& tokenizer, uint32_t size);

  uint32_t size() const { return size_; }
  // The bytes of a token; empty for one that was left out.
  const std::string& BytesOf(int32_t id) const;

  // Sets bit id % 8 of byte id / 8 in `mask` for every token that may come at `state`.
  void Allow(const GrammarState& state, std::vector<uint8_t>& mask) const;

 private:
  // Of tokens [first, last), which share `depth` bytes that `state` has read.
  void Walk(size_t first, size_t last, size_t depth, const GrammarState& state,
            std::vector<uint8_t>& mask) const;

  std::vector<Token> tokens_;    // Sorted by bytes.
  std::vector<uint32_t> by_id_;  // Index into tokens_; tokens_.size(): left out.
  uint32_t size_;
};

}  // namespace shoal::grammar
