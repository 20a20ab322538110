#include "coordinator/api/tools.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "coordinator/grammar/json_grammar.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kOpenTag = "<tool_call>";
constexpr std::string_view kCloseTag = "</tool_call>";
constexpr std::string_view kListMark = "[TOOL_CALLS]";
constexpr std::string_view kBlanks = " \t\r\n";
constexpr size_t kMaxCallDepth = 32;
constexpr uint32_t kMaxCalls = 64;

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The length of the longest end of `text` that is a beginning of `mark`, but not all of it.
size_t HeldFor(std::string_view text, std::string_view mark) {
  for (size_t size = std::min(text.size(), mark.size() - 1); size > 0; --size) {
    if (text.ends_with(mark.substr(0, size))) return size;
  }
  return 0;
}

const json::value* Arguments(const json::object& call) {
  const json::value* arguments = call.if_contains("arguments");
  return arguments != nullptr ? arguments : call.if_contains("parameters");
}

// A call without its id.
std::optional<ToolCall> ReadCall(const json::value& value, const std::vector<std::string>& names) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  const json::value* name = object->if_contains("name");
  const json::value* arguments = Arguments(*object);
  if (name == nullptr || !name->is_string()) return std::nullopt;
  ToolCall call{"", std::string(name->get_string()), "{}"};
  if (std::ranges::find(names, call.name) == names.end()) return std::nullopt;
  if (arguments == nullptr) return call;
  if (!arguments->is_object()) return std::nullopt;
  call.arguments = json::serialize(*arguments);
  return call;
}

// The schema of a tool's arguments.
json::value ArgumentsSchema(const json::object& function) {
  const json::value any = {{"type", "object"}};
  const json::value* parameters = function.if_contains("parameters");
  if (parameters == nullptr || !parameters->is_object()) return any;
  // References are from the schema's own root, which is another one in here.
  const bool has_references = json::serialize(*parameters).find("\"$ref\"") != std::string::npos;
  if (has_references || !grammar::GrammarOfSchema(*parameters)) return any;
  return *parameters;
}

}  // namespace

ToolForm ToolFormOf(std::string_view chat_template) {
  const auto has = [&](std::string_view text) {
    return chat_template.find(text) != std::string_view::npos;
  };
  if (!has("tools")) return ToolForm::kNone;
  if (has(kOpenTag)) return ToolForm::kTagged;
  if (has(kListMark)) return ToolForm::kList;
  if (has("\"parameters\": dictionary")) return ToolForm::kBareJson;
  return ToolForm::kNone;
}

ForcedCall ForceCall(ToolForm form, const json::array& tools) {
  CHECK(form != ToolForm::kNone && !tools.empty());
  const char* const arguments = form == ToolForm::kBareJson ? "parameters" : "arguments";
  json::array calls;
  for (const json::value& tool : tools) {
    const json::object& function = tool.at("function").as_object();
    calls.push_back(
        {{"type", "object"},
         {"properties",
          {{"name", {{"const", function.at("name")}}}, {arguments, ArgumentsSchema(function)}}},
         {"required", {"name", arguments}},
         {"additionalProperties", false}});
  }
  const json::value call = {{"anyOf", std::move(calls)}};
  switch (form) {
    case ToolForm::kTagged:
      return {StrCat(kOpenTag, "\n"), call};
    case ToolForm::kList:
      return {std::string(kListMark),
              {{"type", "array"}, {"items", call}, {"minItems", 1}, {"maxItems", 1}}};
    default:
      return {"", call};
  }
}

ToolCallReader::ToolCallReader(ToolForm form, std::vector<std::string> names, std::string id_base)
    : form_(form), names_(std::move(names)), id_base_(std::move(id_base)) {
  CHECK(id_base_.size() >= 6);
}

// Nine letters and digits where templates of kList, which may be the forced one's, insist on that.
std::string ToolCallReader::NextId() {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  const uint32_t number = calls_++;
  const std::string tail = {'c', kDigits[number / kDigits.size() % kDigits.size()],
                            kDigits[number % kDigits.size()]};
  const bool is_short = form_ == ToolForm::kList || form_ == ToolForm::kForced;
  if (is_short) return id_base_.substr(id_base_.size() - 6) + tail;
  return StrCat("call_", id_base_, tail);
}

bool ToolCallReader::ReadCalls(std::string_view text, Part& out) {
  json::parse_options options;
  options.max_depth = kMaxCallDepth;
  json::error_code error;
  const std::string_view trimmed = Trimmed(text);
  const json::value value = json::parse({trimmed.data(), trimmed.size()}, error, {}, options);
  if (error) return false;
  std::vector<ToolCall> calls;
  const json::array one = {value};
  for (const json::value& each : value.is_array() ? value.get_array() : one) {
    auto call = ReadCall(each, names_);
    if (!call || calls_ + calls.size() >= kMaxCalls) return false;
    calls.push_back(*std::move(call));
  }
  for (ToolCall& call : calls) {
    call.id = NextId();
    out.calls.push_back(std::move(call));
  }
  return !calls.empty();
}

void ToolCallReader::PushTagged(Part& out) {
  for (;;) {
    const std::string_view mark = is_open_ ? kCloseTag : kOpenTag;
    const size_t at = held_.find(mark);
    if (at == std::string::npos) break;
    const std::string before = held_.substr(0, at);
    held_.erase(0, at + mark.size());
    if (!is_open_) {
      out.text += before;
    } else if (!ReadCalls(before, out)) {
      out.text += StrCat(kOpenTag, before, kCloseTag);
    }
    is_open_ = !is_open_;
  }
  if (is_open_) return;
  const size_t shown = held_.size() - HeldFor(held_, kOpenTag);
  out.text += held_.substr(0, shown);
  held_.erase(0, shown);
}

ToolCallReader::Part ToolCallReader::Push(std::string_view text) {
  Part out;
  held_ += text;
  switch (form_) {
    case ToolForm::kNone:
      out.text = std::exchange(held_, {});
      break;
    case ToolForm::kTagged:
      PushTagged(out);
      break;
    case ToolForm::kList: {
      if (is_open_) break;
      const size_t at = held_.find(kListMark);
      is_open_ = at != std::string::npos;
      const size_t shown = is_open_ ? at : held_.size() - HeldFor(held_, kListMark);
      out.text = held_.substr(0, shown);
      held_.erase(0, is_open_ ? at + kListMark.size() : shown);
      break;
    }
    case ToolForm::kBareJson: {
      const size_t first = held_.find_first_not_of(kBlanks);
      if (!is_plain_ && (first == std::string::npos || held_[first] == '{')) break;
      is_plain_ = true;
      out.text = std::exchange(held_, {});
      break;
    }
    case ToolForm::kForced:
      break;  // Until the end.
  }
  return out;
}

ToolCallReader::Part ToolCallReader::Flush() {
  Part out;
  const std::string rest = std::exchange(held_, {});
  const bool may_be_calls =
      is_open_ || form_ == ToolForm::kForced || (form_ == ToolForm::kBareJson && !is_plain_);
  if (may_be_calls && ReadCalls(rest, out)) return out;
  if (is_open_) out.text += form_ == ToolForm::kList ? kListMark : kOpenTag;
  out.text += rest;
  return out;
}

}  // namespace shoal::api
