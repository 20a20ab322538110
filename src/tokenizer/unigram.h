// The unigram language model (Kudo, "Subword regularization", 2018): the division of a piece into
// tokens whose scores (log-probabilities) have the largest sum.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/subword_model.h"
#include "tokenizer/trie.h"

namespace shoal::tokenizer {

// A piece of n bytes takes time n times the longest token.
class Unigram : public SubwordModel {
 public:
  static Result<std::unique_ptr<SubwordModel>> FromJson(const model::JsonObject& object);

  // kFailedPrecondition when a character has no token and the model has no unknown token.
  Status Tokenize(std::string_view piece, std::vector<int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Unigram() = default;
  Status ReadVocabulary(const model::JsonObject& object);
  // The best division of `piece` as the sizes of its tokens, in order; a run of unknown characters
  // is one of them.
  Result<std::vector<size_t>> Divide(std::string_view piece) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;  // By id.
  Trie trie_;
  double unknown_score_ = 0;
  std::optional<int32_t> unknown_;
  ByteTokens byte_tokens_;
};

}  // namespace shoal::tokenizer
