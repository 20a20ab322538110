#include "coordinator/api/read_tools.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/tools.h"
#include "coordinator/grammar/json_grammar.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

const json::object* FunctionOf(const json::value& entry) {
  const json::object* object = entry.if_object();
  if (object == nullptr) return nullptr;
  const json::value* function = object->if_contains("function");
  return function == nullptr ? nullptr : function->if_object();
}

bool IsFunctionType(const json::value& tool) {
  const json::value* type = tool.get_object().if_contains("type");
  return type != nullptr && *type == "function";
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxToolNameBytes && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::optional<std::string> NameOf(const json::object& function) {
  const json::value* name = function.if_contains("name");
  if (name == nullptr || !name->is_string() || !IsName(name->get_string())) return std::nullopt;
  return std::string(name->get_string());
}

// tool_choice.
struct ToolChoice {
  bool is_offered = true;
  bool is_forced = false;
  std::string name;  // The tool that is to be called; empty: any.
};

ToolChoice ReadChoice(Fields& fields) {
  const json::value* choice = fields.Find("tool_choice");
  if (choice == nullptr || *choice == "auto") return {};
  if (*choice == "none") return {.is_offered = false, .is_forced = false, .name = ""};
  if (*choice == "required") return {.is_offered = true, .is_forced = true, .name = ""};
  const json::object* function = FunctionOf(*choice);
  if (const auto name = function == nullptr ? std::nullopt : NameOf(*function)) {
    return {.is_offered = true, .is_forced = true, .name = *name};
  }
  fields.Fail("tool_choice",
              "must be \"auto\", \"none\", \"required\" or {\"type\": \"function\", "
              "\"function\": {\"name\"}}");
  return {};
}

// Makes the model call: the tool that `choice` names, or any.
void Force(Fields& fields, const ToolChoice& choice, const ModelFacts& model,
           CompletionRequest& out) {
  json::array callable;
  for (size_t at = 0; at < out.tools.size(); ++at) {
    if (choice.name.empty() || out.tool_names[at] == choice.name) callable.push_back(out.tools[at]);
  }
  if (callable.empty()) {
    return fields.Fail("tool_choice", StrCat("names '", choice.name, "', which is not in 'tools'"));
  }
  ForcedCall forced = ForceCall(model.tool_form, callable);
  auto compiled = grammar::GrammarOfSchema(forced.schema);
  if (!compiled) {
    return fields.Fail("tool_choice",
                       StrCat("has tools that are too large to force: ", compiled.error().detail));
  }
  out.grammar = std::make_shared<const grammar::Grammar>(*std::move(compiled));
  out.answer_prefix = std::move(forced.prefix);
  out.call_form = ToolForm::kForced;
}

}  // namespace

void ReadTools(Fields& fields, const ModelFacts& model, CompletionRequest& out) {
  const json::array* tools = fields.Array("tools");
  const ToolChoice choice = ReadChoice(fields);
  out.parallel_tool_calls = fields.Bool("parallel_tool_calls").value_or(true);
  if (tools == nullptr || tools->empty()) {
    if (choice.is_forced) fields.Fail("tool_choice", "needs 'tools'");
    return;
  }
  if (tools->size() > kMaxTools) {
    return fields.Fail("tools", StrCat("may have at most ", kMaxTools, " tools"));
  }
  if (model.tool_form == ToolForm::kNone) {
    return fields.Fail("tools", StrCat("are not supported by the chat template of '", model.id,
                                       "', or in a form that this server cannot read"));
  }
  for (size_t at = 0; at < tools->size(); ++at) {
    const json::object* function = FunctionOf((*tools)[at]);
    if (function == nullptr || !IsFunctionType((*tools)[at])) {
      return fields.Fail(StrCat("tools[", at, "]"),
                         "must be {\"type\": \"function\", \"function\": {...}}");
    }
    auto name = NameOf(*function);
    if (!name) {
      return fields.Fail(StrCat("tools[", at, "].function.name"),
                         StrCat("must have 1 to ", kMaxToolNameBytes,
                                " letters, digits, dots, dashes and underscores"));
    }
    out.tool_names.push_back(*std::move(name));
  }
  if (!choice.is_offered) return out.tool_names.clear();
  out.tools = *tools;
  out.call_form = model.tool_form;
  if (choice.is_forced) Force(fields, choice, model, out);
}

bool ReadMessageCalls(Fields& fields, const std::string& name, json::object& message) {
  json::value* calls = message.if_contains("tool_calls");
  if (calls == nullptr) return true;
  if (calls->is_null() || (calls->is_array() && calls->get_array().empty())) {
    message.erase("tool_calls");
    return true;
  }
  if (!calls->is_array()) {
    fields.Fail(name, "must be an array");
    return false;
  }
  for (json::value& call : calls->get_array()) {
    const json::object* found = FunctionOf(call);
    if (found == nullptr || !NameOf(*found)) {
      fields.Fail(name,
                  "must have calls of the form {\"id\", \"type\": \"function\", \"function\": "
                  "{\"name\", \"arguments\"}}");
      return false;
    }
    json::object& function = call.get_object().at("function").get_object();
    const json::value* arguments = function.if_contains("arguments");
    if (arguments == nullptr || arguments->is_object()) continue;
    json::error_code error;
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::value parsed;
    if (arguments->is_string()) parsed = json::parse(arguments->get_string(), error, {}, options);
    if (error || !parsed.is_object()) {
      fields.Fail(name, "has arguments that are not a string of a JSON object");
      return false;
    }
    function["arguments"] = std::move(parsed);
  }
  return true;
}

json::array WithArgumentsAsText(const json::array& messages) {
  json::array out = messages;
  for (json::value& message : out) {
    json::value* calls = message.get_object().if_contains("tool_calls");
    if (calls == nullptr) continue;
    for (json::value& call : calls->get_array()) {
      json::object& function = call.get_object().at("function").get_object();
      json::value* arguments = function.if_contains("arguments");
      if (arguments != nullptr) *arguments = json::value(json::serialize(*arguments));
    }
  }
  return out;
}

}  // namespace shoal::api
