// The JSON of answers: one engine's pieces in the shapes of chat and of plain completions.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "coordinator/api/choice.h"
#include "coordinator/api/parse_request.h"

namespace shoal::api {

struct Usage {
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
};

// What is the same in every chunk of an answer.
struct AnswerHead {
  Shape shape = Shape::kChat;
  std::string id;  // "chatcmpl-...", "cmpl-..." or "resp_..."
  int64_t created = 0;
  std::string model;
  std::string fingerprint;
};

// A choice's prompt, for the places where it is reported.
struct ChoicePrompt {
  std::span<const int32_t> ids;
  bool is_only = true;  // The request has one prompt: its ids stand beside `choices` as well.
};

// What of the request decides about the form.
struct AnswerForm {
  bool has_logprobs = false;
  bool has_token_ids = false;
  bool has_usage = false;  // Chunks say "usage": null, until the last one.
};

// One chunk of a stream. `prompt` is set in the first chunk of a choice, which also names the role.
boost::json::object ChunkJson(const AnswerHead& head, const AnswerForm& form, uint32_t index,
                              const Piece& piece, const ChoicePrompt* prompt);
// The last chunk of a stream whose client wants to know: usage and no choices.
boost::json::object UsageChunkJson(const AnswerHead& head, const Usage& usage);

struct WholeChoice {
  Piece piece;  // All pieces, put together.
  ChoicePrompt prompt;
};
boost::json::object WholeJson(const AnswerHead& head, const AnswerForm& form,
                              const std::vector<WholeChoice>& choices, const Usage& usage);

}  // namespace shoal::api
