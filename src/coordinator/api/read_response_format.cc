#include "coordinator/api/read_response_format.h"

#include <boost/json/object.hpp>
#include <memory>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/grammar/json_grammar.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr const char* kField = "response_format";

}  // namespace

void ReadResponseFormat(Fields& fields, CompletionRequest& out) {
  const json::object* format = fields.Object(kField);
  if (format == nullptr) return;
  const json::value* type = format->if_contains("type");
  if (type != nullptr && *type == "text") return;
  if (!out.tools.empty()) {
    return fields.Fail(kField, "together with 'tools' is not supported");
  }
  if (type != nullptr && *type == "json_object") {
    out.grammar = std::make_shared<const grammar::Grammar>(grammar::GrammarOfAnyObject());
    return;
  }
  if (type == nullptr || *type != "json_schema") {
    return fields.Fail(kField,
                       "must have a 'type' of \"text\", \"json_object\" or \"json_schema\"");
  }
  const json::value* named = format->if_contains("json_schema");
  const json::object* description = named == nullptr ? nullptr : named->if_object();
  const json::value* schema = description == nullptr ? nullptr : description->if_contains("schema");
  if (schema == nullptr) {
    return fields.Fail(kField, "of type json_schema must have a 'json_schema' with a 'schema'");
  }
  auto compiled = grammar::GrammarOfSchema(*schema);
  if (!compiled) {
    return fields.Fail(kField,
                       StrCat("has a schema that cannot be kept to: ", compiled.error().detail));
  }
  out.grammar = std::make_shared<const grammar::Grammar>(*std::move(compiled));
}

}  // namespace shoal::api
