// The text side of a model, as far as it has one: prompts to ids, ids to text.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "coordinator/api/errors.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/api/parse_request.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace shoal::api {

class Text {
 public:
  // Both may be null and must outlive this.
  Text(const tokenizer::Tokenizer* tokenizer, const tokenizer::ChatTemplate* chat_template)
      : tokenizer_(tokenizer), chat_template_(chat_template) {}

  // The ids of each prompt of a request, every one of them with room for an answer in the model's
  // context. `unix_seconds` is the time for templates that ask for it.
  std::expected<std::vector<std::vector<int32_t>>, ApiError> PromptIds(
      const CompletionRequest& request, const ModelFacts& model, int64_t unix_seconds) const;

  // Null without a tokenizer. `skip_special`: leaves special tokens out of the text.
  std::unique_ptr<tokenizer::StreamDecoder> NewDecoder(bool skip_special) const;
  // With special tokens; empty without a tokenizer.
  std::string Decode(std::span<const int32_t> ids) const;
  // One token by itself, for log-probabilities; "token_id:5" without a tokenizer.
  std::string TokenText(int32_t id) const;

 private:
  std::expected<std::vector<int32_t>, ApiError> ChatIds(const CompletionRequest& request,
                                                        const ModelFacts& model,
                                                        int64_t unix_seconds) const;
  std::expected<std::vector<int32_t>, ApiError> PromptToIds(const Prompt& prompt) const;

  const tokenizer::Tokenizer* tokenizer_;
  const tokenizer::ChatTemplate* chat_template_;
};

}  // namespace shoal::api
