// One choice of an answer: tokens in, pieces of it out, until it is finished.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/api/parse_request.h"
#include "coordinator/api/stop_sequences.h"
#include "coordinator/api/text.h"
#include "coordinator/api/tools.h"
#include "coordinator/generator.h"

namespace shoal::api {

// A token's log-probability, and those of the most probable at its place.
struct TokenLogprob {
  struct Alternative {
    std::string text;
    float logprob = 0;
  };
  std::string text;
  float logprob = 0;
  std::vector<Alternative> top;
};

// What one event adds to a choice. Text may lag behind the tokens: it is held back while it may
// still become a stop sequence or is half a character.
struct Piece {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<TokenLogprob> logprobs;  // Empty unless asked for.
  std::vector<ToolCall> calls;
  uint32_t first_call = 0;  // Index of the first of `calls` within the answer.
  // "stop", "length" or "tool_calls" in the last piece; else empty.
  std::string_view finish_reason;

  bool empty() const {
    return text.empty() && token_ids.empty() && logprobs.empty() && calls.empty() &&
           finish_reason.empty();
  }
  // Puts a later piece behind this one.
  void Append(Piece later);
};

class Choice {
 public:
  // The references must outlive the choice. `call_id_base`: as ToolCallReader wants it.
  Choice(const CompletionRequest& request, const ModelFacts& model, const Text& text,
         std::string call_id_base);

  // Not once finished() (CHECK). A stop sequence finishes the choice: its generation is then to be
  // cancelled.
  Piece OnToken(const GeneratedToken& token);
  Piece OnDone(FinishReason reason);

  bool finished() const { return finished_; }
  uint32_t tokens() const { return tokens_; }  // With the end token.

 private:
  TokenLogprob Logprob(const GeneratedToken& token) const;
  // Parts text and calls.
  void Take(ToolCallReader::Part part, Piece& piece);

  const CompletionRequest& request_;
  const ModelFacts& model_;
  const Text& text_;
  std::unique_ptr<tokenizer::StreamDecoder> decoder_;  // Null without a tokenizer.
  StopSequences stops_;
  ToolCallReader calls_;
  uint32_t calls_made_ = 0;
  uint32_t tokens_ = 0;
  bool finished_ = false;
};

}  // namespace shoal::api
