#include "coordinator/api/answer_json.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

namespace shoal::api {
namespace {

namespace json = boost::json;

json::array IdsJson(std::span<const int32_t> ids) { return json::array(ids.begin(), ids.end()); }

json::value FinishJson(std::string_view reason) {
  return reason.empty() ? json::value(nullptr)
                        : json::value(json::string_view(reason.data(), reason.size()));
}

// The bytes of a token's text; null where the token is only a part of a character, which shows as
// U+FFFD.
json::value BytesJson(const std::string& text) {
  if (text.find("\xef\xbf\xbd") != std::string::npos) return nullptr;
  json::array bytes;
  for (const char c : text) bytes.emplace_back(static_cast<unsigned char>(c));
  return bytes;
}

json::object ChatTokenJson(const std::string& text, float logprob) {
  return {{"token", text}, {"logprob", logprob}, {"bytes", BytesJson(text)}};
}

json::object ChatLogprobsJson(const std::vector<TokenLogprob>& logprobs) {
  json::array content;
  for (const TokenLogprob& entry : logprobs) {
    json::object token = ChatTokenJson(entry.text, entry.logprob);
    json::array top;
    for (const auto& other : entry.top) top.push_back(ChatTokenJson(other.text, other.logprob));
    token["top_logprobs"] = std::move(top);
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

json::object CompletionLogprobsJson(const std::vector<TokenLogprob>& logprobs) {
  json::array tokens;
  json::array values;
  json::array tops;
  for (const TokenLogprob& entry : logprobs) {
    tokens.emplace_back(entry.text);
    values.emplace_back(entry.logprob);
    json::object top;
    for (const auto& other : entry.top) top[other.text] = other.logprob;
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)}};
}

json::value LogprobsJson(Shape shape, const AnswerForm& form, const Piece& piece) {
  if (!form.has_logprobs) return nullptr;
  return shape == Shape::kChat ? ChatLogprobsJson(piece.logprobs)
                               : CompletionLogprobsJson(piece.logprobs);
}

json::object HeadJson(const AnswerHead& head, const char* object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

// `first`: index of the first call, where calls come one after the other; none in whole answers.
json::array CallsJson(const std::vector<ToolCall>& calls, std::optional<uint32_t> first) {
  json::array out;
  for (const ToolCall& call : calls) {
    json::object object;
    if (first) object["index"] = *first + out.size();
    object["id"] = call.id;
    object["type"] = "function";
    object["function"] = {{"name", call.name}, {"arguments", call.arguments}};
    out.push_back(std::move(object));
  }
  return out;
}

json::object MessageJson(const Piece& piece) {
  json::object message = {{"role", "assistant"}, {"content", piece.text}, {"refusal", nullptr}};
  if (!piece.calls.empty()) {
    if (piece.text.empty()) message["content"] = nullptr;
    message["tool_calls"] = CallsJson(piece.calls, std::nullopt);
  }
  return message;
}

const char* ChunkKind(Shape shape) {
  return shape == Shape::kChat ? "chat.completion.chunk" : "text_completion";
}

json::object UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

}  // namespace

json::object ChunkJson(const AnswerHead& head, const AnswerForm& form, uint32_t index,
                       const Piece& piece, const ChoicePrompt* prompt) {
  json::object choice = {{"index", index}};
  if (head.shape == Shape::kChat) {
    json::object delta;
    if (prompt != nullptr) delta["role"] = "assistant";
    if (prompt != nullptr || !piece.text.empty()) delta["content"] = piece.text;
    if (!piece.calls.empty()) delta["tool_calls"] = CallsJson(piece.calls, piece.first_call);
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = piece.text;
  }
  choice["logprobs"] =
      piece.logprobs.empty() ? json::value(nullptr) : LogprobsJson(head.shape, form, piece);
  choice["finish_reason"] = FinishJson(piece.finish_reason);
  json::object out = HeadJson(head, ChunkKind(head.shape));
  if (form.has_token_ids) {
    choice["token_ids"] = IdsJson(piece.token_ids);
    if (prompt != nullptr) {
      choice["prompt_token_ids"] = IdsJson(prompt->ids);
      if (prompt->is_only) out["prompt_token_ids"] = IdsJson(prompt->ids);
    }
  }
  out["choices"] = json::array{std::move(choice)};
  if (form.has_usage) out["usage"] = nullptr;
  return out;
}

json::object UsageChunkJson(const AnswerHead& head, const Usage& usage) {
  json::object out = HeadJson(head, ChunkKind(head.shape));
  out["choices"] = json::array();
  out["usage"] = UsageJson(usage);
  return out;
}

json::object WholeJson(const AnswerHead& head, const AnswerForm& form,
                       const std::vector<WholeChoice>& choices, const Usage& usage) {
  json::object out =
      HeadJson(head, head.shape == Shape::kChat ? "chat.completion" : "text_completion");
  json::array list;
  for (const WholeChoice& whole : choices) {
    json::object choice = {{"index", list.size()}};
    if (head.shape == Shape::kChat) {
      choice["message"] = MessageJson(whole.piece);
    } else {
      choice["text"] = whole.piece.text;
    }
    choice["logprobs"] = LogprobsJson(head.shape, form, whole.piece);
    choice["finish_reason"] = FinishJson(whole.piece.finish_reason);
    if (form.has_token_ids) {
      choice["token_ids"] = IdsJson(whole.piece.token_ids);
      choice["prompt_token_ids"] = IdsJson(whole.prompt.ids);
      if (whole.prompt.is_only) out["prompt_token_ids"] = IdsJson(whole.prompt.ids);
    }
    list.push_back(std::move(choice));
  }
  out["choices"] = std::move(list);
  out["usage"] = UsageJson(usage);
  return out;
}

}  // namespace shoal::api
