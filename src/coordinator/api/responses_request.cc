#include "coordinator/api/responses_request.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <string>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/fields.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

// Has the same name, and nearly the same meaning, in both.
constexpr const char* kSameFields[] = {
    "model",       "temperature",          "top_p", "stream", "seed", "top_k", "min_p", "stop",
    "tool_choice", "chat_template_kwargs", "user"};

void RefuseUnsupported(Fields& fields) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.Find(name) != nullptr) {
      fields.Fail(name, "is not supported: this server keeps nothing; send the whole conversation");
    }
  }
  if (fields.Bool("background").value_or(false)) fields.Fail("background", "is not supported");
  if (fields.String("truncation").value_or("disabled") != "disabled") {
    fields.Fail("truncation", "supports only \"disabled\"");
  }
  if (fields.Integer("top_logprobs", 0, kMaxTopLogprobs).value_or(0) > 0) {
    fields.Fail("top_logprobs", "is not supported here; /v1/chat/completions has it");
  }
}

// Fields that change nothing, but are given back or promised to be of a type.
void CheckTypes(Fields& fields) {
  fields.Object("metadata");
  fields.String("user");
  fields.Bool("store");
}

std::optional<std::string> TextMember(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

// {"role", "content"}: a string, or parts of type input_text and output_text.
std::optional<json::value> Message(Fields& fields, const std::string& name,
                                   const json::object& item) {
  const auto role = TextMember(item, "role");
  const json::value* content = item.if_contains("content");
  if (!role || content == nullptr) {
    fields.Fail(name, "must have 'role' and 'content'");
    return std::nullopt;
  }
  json::object message = {{"role", *role == "developer" ? "system" : *role}};
  if (content->is_string()) {
    message["content"] = *content;
    return message;
  }
  json::array parts;
  if (!content->is_array()) {
    fields.Fail(name + ".content", "must be a string or an array of parts");
    return std::nullopt;
  }
  for (const json::value& part : content->get_array()) {
    const json::object* object = part.if_object();
    const std::string type = object == nullptr ? "" : TextMember(*object, "type").value_or("");
    const auto text = object == nullptr ? std::nullopt : TextMember(*object, "text");
    const bool is_text = type == "input_text" || type == "output_text" || type == "text";
    if (!is_text || !text) {
      fields.Fail(name + ".content", "has a part that is no text; others are not supported");
      return std::nullopt;
    }
    parts.push_back({{"type", "text"}, {"text", *text}});
  }
  message["content"] = std::move(parts);
  return message;
}

// A call that the model made: part of the assistant's message before it, where there is one.
bool AddCall(Fields& fields, const std::string& name, const json::object& item,
             json::array& messages) {
  const auto tool = TextMember(item, "name");
  const auto arguments = TextMember(item, "arguments");
  const auto id = TextMember(item, "call_id");
  if (!tool || !arguments || !id) {
    fields.Fail(name, "must have 'call_id', 'name' and 'arguments'");
    return false;
  }
  json::value call = {{"id", *id},
                      {"type", "function"},
                      {"function", {{"name", *tool}, {"arguments", *arguments}}}};
  const bool joins = !messages.empty() && messages.back().at("role") == "assistant";
  if (!joins) messages.push_back({{"role", "assistant"}, {"content", nullptr}});
  json::object& message = messages.back().get_object();
  if (!message.contains("tool_calls")) message["tool_calls"] = json::array();
  message["tool_calls"].get_array().push_back(std::move(call));
  return true;
}

bool AddItem(Fields& fields, const std::string& name, const json::value& value,
             json::array& messages) {
  const json::object* item = value.if_object();
  if (item == nullptr) {
    fields.Fail(name, StrCat("must be an object, not ", KindName(value)));
    return false;
  }
  const bool has_type = item->contains("type");
  const std::string type = has_type ? TextMember(*item, "type").value_or("") : "message";
  if (type == "message") {
    auto message = Message(fields, name, *item);
    if (message) messages.push_back(*std::move(message));
    return message.has_value();
  }
  if (type == "function_call") return AddCall(fields, name, *item, messages);
  const auto id = TextMember(*item, "call_id");
  const auto output = TextMember(*item, "output");
  if (type == "function_call_output" && id && output) {
    messages.push_back({{"role", "tool"}, {"tool_call_id", *id}, {"content", *output}});
    return true;
  }
  if (type == "reasoning") return true;  // What was thought before is not thought again.
  fields.Fail(name, type == "function_call_output"
                        ? "must have 'call_id' and 'output', both strings"
                        : "has a 'type' that is not supported");
  return false;
}

json::array Messages(Fields& fields) {
  json::array messages;
  if (const auto instructions = fields.String("instructions")) {
    messages.push_back({{"role", "system"}, {"content", *instructions}});
  }
  const json::value* input = fields.Find("input");
  if (input != nullptr && input->is_string()) {
    messages.push_back({{"role", "user"}, {"content", *input}});
    return messages;
  }
  if (input == nullptr || !input->is_array() || input->get_array().empty()) {
    fields.Fail("input", "must be a string, or an array of at least one item");
    return messages;
  }
  const json::array& items = input->get_array();
  for (size_t at = 0; at < items.size(); ++at) {
    if (!AddItem(fields, StrCat("input[", at, "]"), items[at], messages)) break;
  }
  return messages;
}

// {"type": "function", "name", ...} -> {"type": "function", "function": {"name", ...}}.
json::array Tools(Fields& fields) {
  json::array out;
  const json::array* tools = fields.Array("tools");
  if (tools == nullptr) return out;
  for (size_t at = 0; at < tools->size(); ++at) {
    const json::object* tool = (*tools)[at].if_object();
    const std::string type = tool == nullptr ? "" : TextMember(*tool, "type").value_or("");
    if (type != "function") {
      fields.Fail(StrCat("tools[", at, "]"),
                  "must be of type 'function'; others are not supported");
      break;
    }
    json::object function;
    for (const char* name : {"name", "description", "parameters"}) {
      const json::value* value = tool->if_contains(name);
      if (value != nullptr && !value->is_null()) function[name] = *value;
    }
    out.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

// text.format -> response_format.
std::optional<json::value> Format(Fields& fields) {
  const json::object* text = fields.Object("text");
  const json::value* format = text == nullptr ? nullptr : text->if_contains("format");
  if (format == nullptr || format->is_null()) return std::nullopt;
  const json::object* object = format->if_object();
  const auto type = object == nullptr ? std::nullopt : TextMember(*object, "type");
  if (!type) {
    fields.Fail("text.format", "must be an object with a 'type'");
    return std::nullopt;
  }
  if (*type != "json_schema") return *format;
  const json::value* schema = object->if_contains("schema");
  if (schema == nullptr) {
    fields.Fail("text.format", "of type json_schema must have a 'schema'");
    return std::nullopt;
  }
  return json::value{{"type", "json_schema"}, {"json_schema", {{"schema", *schema}}}};
}

// {"type": "function", "name"} -> with the name where chat has it.
json::value ChatToolChoice(const json::value& choice) {
  const json::object* object = choice.if_object();
  const auto name = object == nullptr ? std::nullopt : TextMember(*object, "name");
  if (!name) return choice;
  return {{"type", "function"}, {"function", {{"name", *name}}}};
}

json::value OrElse(const json::object& body, std::string_view name, json::value otherwise) {
  const json::value* value = body.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? std::move(otherwise) : *value;
}

// The shortest number that is this float: what was asked for, 0.7, and not 0.699999988.
double Shortest(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double shortest = 0;
  std::from_chars(text, end, shortest);
  return shortest;
}

json::object Echo(const json::object& body, const CompletionRequest& request) {
  return {{"instructions", OrElse(body, "instructions", nullptr)},
          {"max_output_tokens", OrElse(body, "max_output_tokens", nullptr)},
          {"metadata", OrElse(body, "metadata", json::object())},
          {"parallel_tool_calls", request.parallel_tool_calls},
          {"previous_response_id", nullptr},
          {"store", false},
          {"temperature", Shortest(request.sampling.temperature)},
          {"text", OrElse(body, "text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", OrElse(body, "tool_choice", "auto")},
          {"tools", OrElse(body, "tools", json::array())},
          {"top_p", Shortest(request.sampling.top_p)},
          {"truncation", "disabled"},
          {"user", OrElse(body, "user", nullptr)}};
}

// Name in the chat request, name in this one.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"messages", "input"},
    {"max_completion_tokens", "max_output_tokens"},
    {"max_tokens", "max_output_tokens"},
    {"response_format", "text.format"},
};

}  // namespace

ApiError AsResponsesError(ApiError error) {
  if (!error.param) return error;
  for (const auto& [chat, own] : kNames) {
    if (!error.param->starts_with(chat)) continue;
    // The messages are not numbered as the items are.
    const std::string name(own == "input" ? own : StrCat(own, error.param->substr(chat.size())));
    if (const size_t at = error.message.find(*error.param); at != std::string::npos) {
      error.message.replace(at, error.param->size(), name);
    }
    error.param = name;
    break;
  }
  return error;
}

std::expected<CompletionRequest, ApiError> ParseResponsesRequest(std::string_view text,
                                                                 const ModelFacts& model,
                                                                 json::object& echo) {
  const auto body = ParseBody(text);
  if (!body) return std::unexpected(body.error());
  Fields fields(*body);
  RefuseUnsupported(fields);
  CheckTypes(fields);
  json::object chat;
  for (const char* name : kSameFields) {
    if (const json::value* value = fields.Find(name)) chat[name] = *value;
  }
  if (const json::value* most = fields.Find("max_output_tokens")) {
    chat["max_completion_tokens"] = *most;
  }
  if (const json::value* parallel = fields.Find("parallel_tool_calls")) {
    chat["parallel_tool_calls"] = *parallel;
  }
  if (const json::value* choice = fields.Find("tool_choice")) {
    chat["tool_choice"] = ChatToolChoice(*choice);
  }
  chat["messages"] = Messages(fields);
  if (json::array tools = Tools(fields); !tools.empty()) chat["tools"] = std::move(tools);
  if (auto format = Format(fields)) chat["response_format"] = *std::move(format);
  if (fields.error()) return std::unexpected(*fields.error());
  auto request = ReadRequest(chat, Shape::kChat, model);
  if (!request) return std::unexpected(AsResponsesError(request.error()));
  echo = Echo(*body, *request);
  return request;
}

}  // namespace shoal::api
