#include "coordinator/grammar/json_grammar.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/str_cat.h"
#include "coordinator/grammar/json_numbers.h"
#include "coordinator/grammar/json_rules.h"

namespace shoal::grammar {
namespace {

namespace json = boost::json;
using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

constexpr size_t kMaxSymbols = 200'000;
constexpr uint32_t kMaxRepeats = 512;  // Of items and characters that are counted.
constexpr size_t kMaxDepth = 64;

// What says nothing about which values are valid.
constexpr std::array<std::string_view, 12> kAnnotations = {
    "title",    "description", "default",  "examples",  "$schema", "$id",
    "$comment", "deprecated",  "readOnly", "writeOnly", "$defs",   "definitions"};

// What says something about the values of one type, and nothing about those of others.
struct TypeKeywords {
  std::string_view type;
  std::vector<std::string_view> names;
};
const std::vector<TypeKeywords>& KeywordsOfTypes() {
  static const std::vector<std::string_view> bounds = {"minimum", "maximum", "exclusiveMinimum",
                                                       "exclusiveMaximum"};
  static const std::vector<TypeKeywords> all = {
      {"object", {"properties", "required", "additionalProperties"}},
      {"array", {"items", "minItems", "maxItems"}},
      {"string", {"minLength", "maxLength"}},
      {"number", bounds},
      {"integer", bounds},
  };
  return all;
}

// Of a schema of that type.
std::vector<std::string_view> KeywordsOf(std::string_view type) {
  std::vector<std::string_view> keywords = {"type"};
  for (const TypeKeywords& one : KeywordsOfTypes()) {
    if (one.type == type) keywords.insert(keywords.end(), one.names.begin(), one.names.end());
  }
  return keywords;
}

bool IsForType(std::string_view keyword, std::string_view type) {
  bool is_known = false;
  for (const TypeKeywords& one : KeywordsOfTypes()) {
    if (std::ranges::find(one.names, keyword) == one.names.end()) continue;
    if (one.type == type) return true;
    is_known = true;
  }
  return !is_known;
}

std::unexpected<Error> Wrong(const std::string& where, std::string_view what) {
  return Fail(Code::kInvalidArgument, StrCat(where.empty() ? "the schema" : where, " ", what));
}

class Compiler {
 public:
  explicit Compiler(const json::value& root) : root_(root), rules_(grammar_) {}

  Result<Grammar> Compile() {
    ASSIGN_OR_RETURN(const Rule rule, Value(root_, "", 0));
    grammar_.set_root(rule);
    return std::move(grammar_);
  }

 private:
  Result<Rule> Value(const json::value& schema, const std::string& where, size_t depth);
  Result<Rule> OfObject(const json::object& schema, const std::string& where, size_t depth);
  Result<Rule> OfType(std::string_view type, const json::object& schema, const std::string& where,
                      size_t depth);
  Result<Rule> Reference(const json::value& name, const std::string& where, size_t depth);
  Result<Rule> AnyOf(const json::value& schemas, const std::string& where, size_t depth);
  Result<Rule> Types(const json::value& types, const json::object& schema, const std::string& where,
                     size_t depth);
  Result<Rule> Object(const json::object& schema, const std::string& where, size_t depth);
  Result<Rule> Members(const json::object& schema, const std::string& where, size_t depth);
  Result<Rule> Array(const json::object& schema, const std::string& where, size_t depth);
  Result<Rule> String(const json::object& schema, const std::string& where);
  Result<Rule> Numeric(bool is_whole, const json::object& schema, const std::string& where);
  Result<Rule> Values(const json::array& values, const std::string& where);
  Result<std::optional<uint32_t>> Count(const json::object& schema, const char* name,
                                        const std::string& where);
  Status CheckKeywords(const json::object& schema, const std::string& where,
                       const std::vector<std::string_view>& known);

  const json::value& root_;
  Grammar grammar_;
  JsonRules rules_;
  std::map<std::string, Rule> references_;
};

std::string Below(const std::string& where, std::string_view name) {
  return where.empty() ? std::string(name) : StrCat(where, ".", name);
}

Status Compiler::CheckKeywords(const json::object& schema, const std::string& where,
                               const std::vector<std::string_view>& known) {
  for (const auto& [key, value] : schema) {
    const std::string_view name = key;
    if (std::ranges::find(known, name) != known.end()) continue;
    if (std::ranges::find(kAnnotations, name) != kAnnotations.end()) continue;
    return Fail(Code::kUnimplemented,
                StrCat(Below(where, name), " is not supported here; it could not be enforced"));
  }
  return {};
}

Result<Rule> Compiler::Value(const json::value& schema, const std::string& where, size_t depth) {
  if (depth > kMaxDepth || grammar_.size() > kMaxSymbols) {
    return Fail(Code::kResourceExhausted, StrCat("the schema is too large or too deep at ", where));
  }
  if (schema.is_bool() && schema.get_bool()) return rules_.Any();
  if (!schema.is_object()) return Wrong(where, "must be an object, or true");
  return OfObject(schema.get_object(), where, depth);
}

Result<Rule> Compiler::OfObject(const json::object& schema, const std::string& where,
                                size_t depth) {
  if (const json::value* name = schema.if_contains("$ref")) {
    RETURN_IF_ERROR(CheckKeywords(schema, where, {"$ref"}));
    return Reference(*name, where, depth);
  }
  if (const json::value* value = schema.if_contains("const")) {
    RETURN_IF_ERROR(CheckKeywords(schema, where, {"const", "type"}));
    return Values({*value}, where);
  }
  if (const json::value* values = schema.if_contains("enum")) {
    RETURN_IF_ERROR(CheckKeywords(schema, where, {"enum", "type"}));
    if (!values->is_array()) return Wrong(Below(where, "enum"), "must be an array");
    return Values(values->get_array(), where);
  }
  for (const char* name : {"anyOf", "allOf"}) {
    const json::value* schemas = schema.if_contains(name);
    if (schemas == nullptr) continue;
    RETURN_IF_ERROR(CheckKeywords(schema, where, {name}));
    if (std::string_view(name) == "allOf" &&
        !(schemas->is_array() && schemas->get_array().size() == 1)) {
      return Fail(Code::kUnimplemented,
                  StrCat(Below(where, name), " is supported with one schema only"));
    }
    return AnyOf(*schemas, Below(where, name), depth);
  }
  if (const json::value* type = schema.if_contains("type")) {
    return Types(*type, schema, where, depth);
  }
  if (schema.contains("properties")) return OfType("object", schema, where, depth);
  RETURN_IF_ERROR(CheckKeywords(schema, where, {}));
  return rules_.Any();
}

Result<Rule> Compiler::Types(const json::value& types, const json::object& schema,
                             const std::string& where, size_t depth) {
  if (types.is_string()) {
    return OfType(std::string_view(types.get_string()), schema, where, depth);
  }
  if (!types.is_array() || types.get_array().empty()) {
    return Wrong(Below(where, "type"), "must be a type or a list of them");
  }
  // Each takes from the schema what is for it.
  const Rule rule = grammar_.NewRule();
  for (const json::value& type : types.get_array()) {
    if (!type.is_string()) return Wrong(Below(where, "type"), "must have strings only");
    const std::string_view name = type.get_string();
    json::object own;
    for (const auto& [key, value] : schema) {
      if (IsForType(key, name)) own[key] = value;
    }
    ASSIGN_OR_RETURN(const Rule one, OfType(name, own, where, depth + 1));
    grammar_.AddAlternative(rule, {Grammar::Ref(one)});
  }
  return rule;
}

Result<Rule> Compiler::OfType(std::string_view type, const json::object& schema,
                              const std::string& where, size_t depth) {
  RETURN_IF_ERROR(CheckKeywords(schema, where, KeywordsOf(type)));
  if (type == "object") return Object(schema, where, depth);
  if (type == "array") return Array(schema, where, depth);
  if (type == "string") return String(schema, where);
  if (type == "number" || type == "integer") return Numeric(type == "integer", schema, where);
  if (type == "boolean") return Values({true, false}, where);
  if (type == "null") return Values({nullptr}, where);
  return Wrong(Below(where, "type"), StrCat("is no type: ", type));
}

// "#" and "#/$defs/name"; recursion is a rule that refers to itself.
Result<Rule> Compiler::Reference(const json::value& name, const std::string& where, size_t depth) {
  if (!name.is_string()) return Wrong(Below(where, "$ref"), "must be a string");
  const std::string path(name.get_string());
  if (const auto at = references_.find(path); at != references_.end()) return at->second;
  const json::value* target = &root_;
  if (path != "#") {
    json::error_code error;
    target = path.starts_with("#/") ? root_.find_pointer(path.substr(1), error) : nullptr;
    if (target == nullptr) return Wrong(Below(where, "$ref"), "names nothing in the schema");
  }
  const Rule rule = grammar_.NewRule();
  references_.emplace(path, rule);
  ASSIGN_OR_RETURN(const Rule value, Value(*target, path, depth + 1));
  if (value == rule) return Wrong(Below(where, "$ref"), "refers to itself");
  grammar_.AddAlternative(rule, {Grammar::Ref(value)});
  return rule;
}

Result<Rule> Compiler::AnyOf(const json::value& schemas, const std::string& where, size_t depth) {
  if (!schemas.is_array() || schemas.get_array().empty()) {
    return Wrong(where, "must be an array of schemas");
  }
  const Rule rule = grammar_.NewRule();
  for (const json::value& schema : schemas.get_array()) {
    ASSIGN_OR_RETURN(const Rule one, Value(schema, where, depth + 1));
    grammar_.AddAlternative(rule, {Grammar::Ref(one)});
  }
  return rule;
}

Result<Rule> Compiler::Values(const json::array& values, const std::string& where) {
  if (values.empty()) return Wrong(Below(where, "enum"), "must not be empty");
  const Rule rule = grammar_.NewRule();
  for (const json::value& value : values) {
    grammar_.AddAlternative(rule, grammar_.Literal(json::serialize(value)));
  }
  return rule;
}

Result<std::optional<uint32_t>> Compiler::Count(const json::object& schema, const char* name,
                                                const std::string& where) {
  const json::value* value = schema.if_contains(name);
  if (value == nullptr) return std::nullopt;
  json::error_code error;
  const auto count = value->to_number<uint32_t>(error);
  if (error) return Wrong(Below(where, name), "must be a whole number");
  if (count > kMaxRepeats) {
    return Fail(Code::kResourceExhausted,
                StrCat(Below(where, name), " may be at most ", kMaxRepeats));
  }
  return count;
}

Result<Rule> Compiler::String(const json::object& schema, const std::string& where) {
  ASSIGN_OR_RETURN(const auto least, Count(schema, "minLength", where));
  ASSIGN_OR_RETURN(const auto most, Count(schema, "maxLength", where));
  if (least && most && *least > *most) return Wrong(where, "has minLength above maxLength");
  if (!least && !most) return rules_.String();
  const Rule body = rules_.Repeat({Grammar::Ref(rules_.Character())}, {}, least.value_or(0), most);
  const Sequence quote = grammar_.Literal("\"");
  return grammar_.NewRule({{quote[0], Grammar::Ref(body), quote[0]}});
}

Result<Rule> Compiler::Numeric(bool is_whole, const json::object& schema,
                               const std::string& where) {
  Bounds bounds;
  bool has_bounds = false;
  // The narrower of the two that may be given for each side.
  const auto read = [&](const char* name, bool is_least, bool excludes) -> Status {
    const json::value* value = schema.if_contains(name);
    if (value == nullptr) return {};
    json::error_code error;
    const auto bound = value->to_number<double>(error);
    if (error || !std::isfinite(bound)) return Wrong(Below(where, name), "must be a number");
    has_bounds = true;
    double& known = is_least ? bounds.least : bounds.most;
    bool& excludes_known = is_least ? bounds.excludes_least : bounds.excludes_most;
    const bool is_narrower = is_least ? bound > known : bound < known;
    if (is_narrower) excludes_known = excludes;
    if (bound == known) excludes_known = excludes_known || excludes;
    if (is_narrower) known = bound;
    return {};
  };
  RETURN_IF_ERROR(read("minimum", true, false));
  RETURN_IF_ERROR(read("exclusiveMinimum", true, true));
  RETURN_IF_ERROR(read("maximum", false, false));
  RETURN_IF_ERROR(read("exclusiveMaximum", false, true));
  if (!has_bounds) return is_whole ? rules_.Integer() : rules_.Number();
  Result<Rule> rule = is_whole ? WholeWithin(bounds, grammar_) : NumberWithin(bounds, grammar_);
  if (!rule) return Wrong(where, rule.error().detail);
  return rule;
}

Result<Rule> Compiler::Array(const json::object& schema, const std::string& where, size_t depth) {
  ASSIGN_OR_RETURN(const auto least, Count(schema, "minItems", where));
  ASSIGN_OR_RETURN(const auto most, Count(schema, "maxItems", where));
  if (least && most && *least > *most) return Wrong(where, "has minItems above maxItems");
  const json::value* items = schema.if_contains("items");
  Rule item = rules_.Any();
  if (items != nullptr) {
    ASSIGN_OR_RETURN(item, Value(*items, Below(where, "items"), depth + 1));
  }
  return rules_.Array(item, least.value_or(0), most);
}

Result<Rule> Compiler::Object(const json::object& schema, const std::string& where, size_t depth) {
  const json::value* properties = schema.if_contains("properties");
  const json::value* required = schema.if_contains("required");
  const auto says = [](const json::value* list) {
    if (list == nullptr) return false;
    const bool is_empty = (list->is_object() && list->get_object().empty()) ||
                          (list->is_array() && list->get_array().empty());
    return !is_empty;
  };
  const bool names_any = says(properties) || says(required);
  if (names_any) return Members(schema, where, depth);
  const json::value* more = schema.if_contains("additionalProperties");
  if (more == nullptr) return rules_.Map(rules_.Any());
  if (*more == false) return rules_.EmptyObject();
  ASSIGN_OR_RETURN(const Rule value, Value(*more, Below(where, "additionalProperties"), depth + 1));
  return rules_.Map(value);
}

// The named properties, in order; those that are required, and any of the others.
Result<Rule> Compiler::Members(const json::object& schema, const std::string& where, size_t depth) {
  std::vector<JsonRules::Member> members;
  std::set<std::string, std::less<>> required;
  if (const json::value* names = schema.if_contains("required")) {
    if (!names->is_array()) return Wrong(Below(where, "required"), "must be an array of names");
    for (const json::value& name : names->get_array()) {
      if (!name.is_string()) return Wrong(Below(where, "required"), "must be an array of names");
      required.emplace(name.get_string());
    }
  }
  if (const json::value* properties = schema.if_contains("properties")) {
    if (!properties->is_object()) return Wrong(Below(where, "properties"), "must be an object");
    for (const auto& [key, value] : properties->get_object()) {
      const std::string name(key);
      ASSIGN_OR_RETURN(const Rule rule,
                       Value(value, Below(where, StrCat("properties.", name)), depth + 1));
      members.push_back({json::serialize(json::string(name)), rule, required.erase(name) > 0});
    }
  }
  for (const std::string& name : required) {
    members.push_back({json::serialize(json::string(name)), rules_.Any(), true});
  }
  return rules_.Object(members);
}

}  // namespace

Result<Grammar> GrammarOfSchema(const json::value& schema) { return Compiler(schema).Compile(); }

Grammar GrammarOfAnyObject() {
  Grammar grammar;
  JsonRules rules(grammar);
  grammar.set_root(rules.Map(rules.Any()));
  return grammar;
}

}  // namespace shoal::grammar
