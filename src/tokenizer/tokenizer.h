// Text <-> token ids, as Hugging Face tokenizers does it from a tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/subword_model.h"

namespace shoal::tokenizer {

// The longest text that Encode takes.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

// Immutable; every method may be called from several threads at once.
class Tokenizer {
 public:
  // Reads the bytes of a tokenizer.json (a file may be at most 256 MiB). kInvalidArgument when
  // something in it is wrong, kUnimplemented when it asks for something that is not supported
  // (dropout, a model other than BPE and Unigram, ...); both name the field. The fields
  // "truncation" and "padding" are not applied: how long a text may be is the caller's business.
  static Result<std::unique_ptr<Tokenizer>> Load(std::string_view tokenizer_json);

  // The ids of `text`. Added tokens in it become their ids, special ones too. With `add_special`,
  // what the model wants around a text (such as a begin-of-text token) is added; a text made by a
  // chat template has it already. kInvalidArgument when `text` is not UTF-8, kResourceExhausted
  // when it is too long, kFailedPrecondition when the vocabulary cannot express it.
  Result<std::vector<int32_t>> Encode(std::string_view text, bool add_special) const;

  // The text of `ids`: always valid UTF-8, with U+FFFD where the ids' bytes are none. Ids that
  // stand for nothing are left out, with `skip_special` also those of special tokens.
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const;

  // One more than the largest id.
  int32_t vocab_size() const { return static_cast<int32_t>(tokens_.size()); }
  // By the token's name in the vocabulary ("Ġthe", "<|im_end|>").
  std::optional<int32_t> TokenToId(std::string_view token) const;
  std::optional<std::string_view> IdToToken(int32_t id) const;
  // Whether a token is special: never part of a text that people read.
  bool IsSpecial(int32_t id) const;

  // For whoever decodes ids one by one: the decoder, and what it is to be given for an id. Nothing
  // for an id that stands for nothing, and with `skip_special` for a special token.
  const Decoder& decoder() const { return decoder_; }
  std::optional<std::string_view> DecoderInput(int32_t id, bool skip_special) const;

 private:
  struct Token {
    std::optional<std::string> text;
    std::string decoded;  // What the decoder is given.
    bool is_special = false;
  };

  Tokenizer() = default;
  Status Read(const model::JsonObject& file);
  // Fills tokens_ and added_ids_ from the model's vocabulary and the added tokens.
  void IndexTokens();

  std::unique_ptr<SubwordModel> model_;
  std::unique_ptr<Normalizer> normalizer_;       // May be null.
  std::unique_ptr<PreTokenizer> pre_tokenizer_;  // May be null.
  PostProcessor post_processor_;
  Decoder decoder_;
  AddedTokens added_;
  TextMap<int32_t> added_ids_;
  std::vector<Token> tokens_;  // By id.
};

}  // namespace shoal::tokenizer
