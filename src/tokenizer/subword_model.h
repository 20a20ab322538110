// The model of a tokenizer: turns one pre-tokenized piece of text into token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

// Safe to use from several threads at once.
class SubwordModel {
 public:
  virtual ~SubwordModel() = default;

  // Appends the ids of `piece` (valid UTF-8).
  virtual Status Tokenize(std::string_view piece, std::vector<int32_t>& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

// The field "model" of tokenizer.json: BPE, Unigram or RankedBPE (bpe.h). kUnimplemented for other
// types.
Result<std::unique_ptr<SubwordModel>> ParseSubwordModel(const model::JsonObject& object);

// The ids of "<0x00>" to "<0xFF>", which stand for the bytes of characters that have no token.
class ByteTokens {
 public:
  ByteTokens() = default;
  explicit ByteTokens(const Vocabulary& vocabulary);
  // Appends one id per byte; false, and nothing appended, when one of the bytes has no token.
  bool Append(std::string_view bytes, std::vector<int32_t>& ids) const;

 private:
  std::vector<int32_t> ids_;  // 256 ids, -1 where there is none; empty: none at all.
};

}  // namespace shoal::tokenizer
