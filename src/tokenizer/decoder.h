// Tokens back to text: a chain of stages, each of which takes tokens one by one and passes on what
// is certain. Decoding a whole list at once is the same chain, pushed and flushed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace shoal::tokenizer {

// Takes a token in one part or several.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  // `begins_token`: `text` opens a new token; otherwise it continues the one before.
  virtual void Push(std::string_view text, bool begins_token) = 0;
  // No more tokens come.
  virtual void Flush() = 0;
};

// The state of decoding one row of tokens. Not thread-safe.
class DecoderChain {
 public:
  // Appends to the string given to Decoder::NewChain what `token` makes certain.
  void Push(std::string_view token) { stages_.back()->Push(token, true); }
  // Appends the rest.
  void Flush() { stages_.back()->Flush(); }

 private:
  friend class Decoder;
  std::vector<std::unique_ptr<TokenSink>> stages_;  // Each holds the one before; the last is first.
};

// What the field "decoder" of tokenizer.json says. Immutable and safe to share between threads.
class Decoder {
 public:
  // Without a decoder: tokens with a space between them.
  Decoder();
  // ByteLevel, ByteFallback, Metaspace, Replace, Fuse, Strip, Sequence; kUnimplemented for other
  // types.
  static Result<Decoder> FromJson(const model::JsonObject& object);

  // A chain that appends to `out`, which must outlive it, as must this decoder.
  DecoderChain NewChain(std::string& out) const;

  // Makes one stage that passes on to `next`; owned by whoever calls.
  class Step {
   public:
    virtual ~Step() = default;
    virtual std::unique_ptr<TokenSink> NewStage(TokenSink& next) const = 0;
    // Whether a token has to come in one part.
    virtual bool NeedsWholeTokens() const = 0;
    // Whether all the tokens that come out are parts of a single one.
    virtual bool MakesOneToken() const = 0;
  };

 private:
  Status Read(const model::JsonObject& object, int depth);

  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace shoal::tokenizer
