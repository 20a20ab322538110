// Byte-pair encoding (Sennrich et al., "Neural machine translation of rare words with subword
// units", 2016): byte-level (GPT-2, Llama 3, Qwen) and with SentencePiece's byte fallback (Llama
// 2).
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/subword_model.h"
#include "tokenizer/word_cache.h"

namespace shoal::tokenizer {

// A piece of n characters takes time n log n.
class Bpe : public SubwordModel {
 public:
  // kInvalidArgument when a field is wrong or a merge names a token that the vocabulary lacks;
  // kUnimplemented for dropout, which makes the ids random.
  static Result<std::unique_ptr<SubwordModel>> FromJson(const model::JsonObject& object);
  // A model of type "RankedBPE", of Shoal's own (convert/convert.h makes it): instead of "merges"
  // there is a rank for each token, "ranks" by id with -1 for none, or, without that field, its id.
  // Of all neighbours that make a token together, those of the lowest rank merge first, however the
  // token is divided, and of equal ranks the leftmost: tiktoken and SentencePiece do so.
  static Result<std::unique_ptr<SubwordModel>> FromRankedJson(const model::JsonObject& object);

  Status Tokenize(std::string_view piece, std::vector<int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  // What two neighbouring tokens become, and how early.
  struct Merge {
    uint32_t rank = 0;
    int32_t id = 0;
  };
  static uint64_t PairKey(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

  Bpe() = default;
  Status ReadOptions(const model::JsonObject& object);
  Status ReadVocabulary(const model::JsonObject& object);
  Status ReadMerges(const model::JsonObject& object);
  Status ReadRanks(const model::JsonObject& object);
  // Every division of a token into two others.
  void AddDivisions(const std::string& token, Merge merge);
  Status AddMerge(std::string_view left, std::string_view right, uint32_t rank);

  // The ids of the single characters of `piece`: where merging begins.
  std::vector<int32_t> Characters(std::string_view piece) const;
  std::optional<int32_t> CharacterId(std::string_view character, bool first, bool last) const;
  // Merges `ids` in place until nothing merges.
  void MergeAll(std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  boost::unordered_flat_map<uint64_t, Merge> merges_;
  ByteTokens byte_tokens_;
  std::optional<int32_t> unknown_;
  std::string continuing_prefix_;  // Before every character of a piece but the first.
  std::string end_suffix_;         // Behind the last character of a piece.
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;  // A piece that is a token is that token, whatever the merges say.
  mutable WordCache cache_;
};

}  // namespace shoal::tokenizer
