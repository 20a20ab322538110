// The body of a request -> what is asked for, every field checked. Nothing is tokenized here.
//
// Fields that are not known are ignored, as OpenAI does; fields that are known, not supported, and
// would change the answer (audio, functions, ...) are refused.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coordinator/api/errors.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/api/tools.h"
#include "coordinator/grammar/grammar.h"
#include "wire/frames.h"

namespace shoal::api {

// Limits on what one request may ask for.
inline constexpr size_t kMaxBodyBytes = 8u << 20;
inline constexpr size_t kMaxJsonDepth = 32;
inline constexpr uint32_t kMaxChoices = 128;  // Prompts times n.
inline constexpr uint32_t kMaxTopLogprobs = 20;
inline constexpr size_t kMaxStops = 16;
inline constexpr size_t kMaxStopBytes = 1024;
inline constexpr size_t kMaxBiases = 1024;
inline constexpr size_t kMaxMessages = 4096;

// What is asked, and the form of its answer. A kResponses request is read as the kChat one that it
// comes to.
enum class Shape { kChat, kCompletion, kResponses };

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest {
  Shape shape = Shape::kChat;

  boost::json::array messages;           // kChat: {role, content: string, ...}.
  boost::json::object template_fields;   // kChat: chat_template_kwargs.
  boost::json::array tools;              // kChat: those offered, as they came; empty: none.
  std::vector<std::string> tool_names;   // Of `tools`.
  ToolForm call_form = ToolForm::kNone;  // How calls are read; kNone without tools.
  std::string answer_prefix;             // Put behind the prompt: the answer goes on from there.
  bool parallel_tool_calls = true;       // More than one call in an answer.
  std::vector<Prompt> prompts;           // kCompletion: at least one.

  // kChat: what the answer must be, from response_format or a forced call; null: anything.
  std::shared_ptr<const grammar::Grammar> grammar;

  uint32_t choices_per_prompt = 1;
  std::optional<uint32_t> max_tokens;
  wire::Sampling sampling;  // Without seed and choice.
  std::optional<uint64_t> seed;
  std::vector<std::string> stops;
  bool wants_logprobs = false;
  bool ignores_end = false;  // ignore_eos.
  bool returns_token_ids = false;
  bool echoes_prompt = false;
  bool is_streamed = false;
  bool includes_usage = false;  // stream_options.include_usage.
};

// The body as an object, within the limits on its size and depth.
std::expected<boost::json::object, ApiError> ParseBody(std::string_view body);

std::expected<CompletionRequest, ApiError> ReadRequest(const boost::json::object& body, Shape shape,
                                                       const ModelFacts& model);

// Both in one.
std::expected<CompletionRequest, ApiError> ParseRequest(std::string_view body, Shape shape,
                                                        const ModelFacts& model);

}  // namespace shoal::api
