#include "coordinator/api/parse_messages.h"

#include <boost/json/value.hpp>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/read_tools.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

// The text of `content`; null (an assistant's message may have none) is empty.
std::optional<std::string> ContentText(Fields& fields, const std::string& name,
                                       const json::value* content) {
  if (content == nullptr || content->is_null()) return "";
  if (content->is_string()) return std::string(content->get_string());
  if (!content->is_array()) {
    fields.Fail(name, StrCat("must be a string or an array of parts, not ", KindName(*content)));
    return std::nullopt;
  }
  std::string text;
  for (const json::value& part : content->get_array()) {
    const json::object* object = part.if_object();
    const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
    const json::value* part_text = object == nullptr ? nullptr : object->if_contains("text");
    if (type == nullptr || *type != "text") {
      fields.Fail(name, "has a part that is not of type 'text'; others are not supported");
      return std::nullopt;
    }
    if (part_text == nullptr || !part_text->is_string()) {
      fields.Fail(name, "has a text part without a 'text' string");
      return std::nullopt;
    }
    if (&part != content->get_array().begin()) text += '\n';
    text += std::string_view(part_text->get_string());
  }
  return text;
}

bool ReadMessage(Fields& fields, const std::string& name, const json::value& value,
                 json::array& out) {
  const json::object* message = value.if_object();
  if (message == nullptr) {
    fields.Fail(name, StrCat("must be an object, not ", KindName(value)));
    return false;
  }
  const json::value* role = message->if_contains("role");
  if (role == nullptr || !role->is_string() || role->get_string().empty()) {
    fields.Fail(name + ".role", "must be a string such as 'user'");
    return false;
  }
  const json::value* content = message->if_contains("content");
  if (content == nullptr && *role != "assistant") {
    fields.Fail(name + ".content", "is missing");
    return false;
  }
  auto text = ContentText(fields, name + ".content", content);
  if (!text) return false;
  json::object checked = *message;
  checked["content"] = std::move(*text);
  if (!ReadMessageCalls(fields, name + ".tool_calls", checked)) return false;
  out.push_back(std::move(checked));
  return true;
}

// Token ids; nothing, and an error, when `value` is anything else.
std::optional<std::vector<int32_t>> ReadIds(Fields& fields, const ModelFacts& model,
                                            const json::array& values) {
  std::vector<int32_t> ids;
  ids.reserve(values.size());
  for (const json::value& value : values) {
    const auto id = ExactInteger(value);
    if (!id || *id < 0 || *id >= static_cast<int64_t>(model.vocab_size)) {
      fields.Fail("prompt", StrCat("has a token id that is not an integer from 0 to ",
                                   static_cast<int64_t>(model.vocab_size) - 1));
      return std::nullopt;
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace

void ReadMessages(Fields& fields, CompletionRequest& out) {
  const json::array* messages = fields.Array("messages");
  if (fields.error()) return;
  if (messages == nullptr || messages->empty()) {
    return fields.Fail("messages", "must be an array of at least one message");
  }
  if (messages->size() > kMaxMessages) {
    return fields.Fail("messages", StrCat("may have at most ", kMaxMessages, " messages"));
  }
  for (size_t at = 0; at < messages->size(); ++at) {
    if (!ReadMessage(fields, StrCat("messages[", at, "]"), (*messages)[at], out.messages)) return;
  }
  if (const json::object* more = fields.Object("chat_template_kwargs")) {
    out.template_fields = *more;
  }
}

void ReadPrompts(Fields& fields, const ModelFacts& model, CompletionRequest& out) {
  constexpr const char* kWanted =
      "must be a string, an array of token ids, or an array of several of either";
  if (fields.error()) return;
  const json::value* prompt = fields.Find("prompt");
  if (prompt != nullptr && prompt->is_string()) {
    out.prompts.emplace_back(std::string(prompt->get_string()));
    return;
  }
  if (prompt == nullptr || !prompt->is_array() || prompt->get_array().empty()) {
    return fields.Fail("prompt", kWanted);
  }
  const json::array& items = prompt->get_array();
  if (items[0].is_number()) {
    if (auto ids = ReadIds(fields, model, items)) out.prompts.emplace_back(*std::move(ids));
    return;
  }
  if (items.size() * out.choices_per_prompt > kMaxChoices) {
    return fields.Fail("prompt", StrCat("asks for more than ", kMaxChoices, " choices"));
  }
  for (const json::value& item : items) {
    if (item.is_string() && items[0].is_string()) {
      out.prompts.emplace_back(std::string(item.get_string()));
    } else if (item.is_array() && items[0].is_array() && !item.get_array().empty()) {
      auto ids = ReadIds(fields, model, item.get_array());
      if (!ids) return;
      out.prompts.emplace_back(*std::move(ids));
    } else {
      return fields.Fail("prompt", kWanted);
    }
  }
}

}  // namespace shoal::api
