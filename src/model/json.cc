#include "model/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <unordered_set>

#include "base/str_cat.h"

namespace shoal::model {

namespace {

namespace json = boost::json;

constexpr size_t kMaxDepth = 32;

// A handler of the event parser that keeps the names seen in the open objects, and the numbers that
// are no integers, as the text has them: Boost's own are sometimes off in the last bit.
struct Scanner {
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;
  using error_code = json::error_code;
  using string_view = json::string_view;

  std::vector<std::unordered_set<std::string>> open;
  std::string key;
  std::optional<std::string> duplicate;
  std::string number;
  std::vector<double> doubles;  // In the order of the text.

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(size_t, error_code&) {
    open.pop_back();
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(size_t, error_code&) { return true; }
  bool on_key_part(string_view part, size_t, error_code&) {
    key.append(part.data(), part.size());
    return true;
  }
  bool on_key(string_view part, size_t, error_code& error) {
    key.append(part.data(), part.size());
    if (!open.back().insert(key).second) {
      duplicate = key;
      error = json::error::syntax;
      return false;
    }
    key.clear();
    return true;
  }
  bool on_string_part(string_view, size_t, error_code&) { return true; }
  bool on_string(string_view, size_t, error_code&) { return true; }
  bool on_number_part(string_view part, error_code&) {
    number.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t, string_view, error_code&) {
    number.clear();
    return true;
  }
  bool on_uint64(uint64_t, string_view, error_code&) {
    number.clear();
    return true;
  }
  bool on_double(double value, string_view part, error_code&) {
    number.append(part.data(), part.size());
    // Where the number is too large or small for a double the value stays what Boost makes of it.
    std::from_chars(number.data(), number.data() + number.size(), value);
    doubles.push_back(value);
    number.clear();
    return true;
  }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

// Puts `doubles` in the place of a value's, in their order.
void SetDoubles(json::value& value, std::vector<double>::const_iterator& next) {
  if (json::object* object = value.if_object()) {
    for (auto& entry : *object) SetDoubles(entry.value(), next);
  } else if (json::array* array = value.if_array()) {
    for (json::value& entry : *array) SetDoubles(entry, next);
  } else if (double* number = value.if_double()) {
    *number = *next++;
  }
}

// A short rendering of a value, for errors.
std::string Show(const json::value& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = json::serialize(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// As people write it: 0, 0.001, 1000000.
std::string Plain(double number) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.10g", number);
  return text;
}

std::optional<uint64_t> WholeNumber(const json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64()) {
    if (value.get_int64() < 0) return std::nullopt;
    return static_cast<uint64_t>(value.get_int64());
  }
  if (value.is_double()) {
    const double number = value.get_double();
    if (number >= 0 && number < 0x1p53 && std::floor(number) == number) {
      return static_cast<uint64_t>(number);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<json::value> ParseJson(std::string_view text, std::string_view where) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code error;
  json::basic_parser<Scanner> scanner(options);
  const size_t read = scanner.write_some(false, text.data(), text.size(), error);
  if (scanner.handler().duplicate) {
    return Fail(Code::kInvalidArgument,
                StrCat(where, ": the name \"", *scanner.handler().duplicate, "\" occurs twice"));
  }
  if (!error && read < text.size()) error = json::error::extra_data;
  if (error) {
    return Fail(Code::kInvalidArgument,
                StrCat(where, ": not valid JSON: ", error.message(), " near byte ", read));
  }
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) {
    return Fail(Code::kInvalidArgument, StrCat(where, ": not valid JSON: ", error.message()));
  }
  auto next = scanner.handler().doubles.cbegin();
  SetDoubles(value, next);
  return value;
}

Result<JsonObject> JsonObject::From(const json::value& value, std::string where) {
  if (!value.is_object()) {
    return Fail(Code::kInvalidArgument, StrCat(where, ": expected an object, found ", Show(value)));
  }
  return JsonObject(value.get_object(), std::move(where));
}

const json::value* JsonObject::Find(std::string_view name) const {
  const json::value* value = object_->if_contains({name.data(), name.size()});
  return value != nullptr && !value->is_null() ? value : nullptr;
}

bool JsonObject::Has(std::string_view name) const { return Find(name) != nullptr; }

std::unexpected<Error> JsonObject::Wrong(std::string_view name, std::string_view detail) const {
  return Fail(Code::kInvalidArgument, StrCat(where_, ": ", name, ": ", detail));
}

Result<const json::value*> JsonObject::Need(std::string_view name) const {
  const json::value* value = Find(name);
  if (value == nullptr) return Wrong(name, "is missing");
  return value;
}

Result<uint64_t> JsonObject::Uint(std::string_view name, uint64_t min, uint64_t max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  const std::optional<uint64_t> number = WholeNumber(*value);
  if (!number || *number < min || *number > max) {
    return Wrong(
        name, StrCat("expected a whole number from ", min, " to ", max, ", found ", Show(*value)));
  }
  return *number;
}

Result<double> JsonObject::Number(std::string_view name, double min, double max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  double number = std::nan("");
  if (value->is_double()) number = value->get_double();
  if (value->is_int64()) number = static_cast<double>(value->get_int64());
  if (value->is_uint64()) number = static_cast<double>(value->get_uint64());
  if (!(number >= min && number <= max)) {
    return Wrong(name, StrCat("expected a number from ", Plain(min), " to ", Plain(max), ", found ",
                              Show(*value)));
  }
  return number;
}

Result<bool> JsonObject::Bool(std::string_view name) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  if (!value->is_bool()) {
    return Wrong(name, StrCat("expected true or false, found ", Show(*value)));
  }
  return value->get_bool();
}

Result<std::string> JsonObject::Text(std::string_view name, size_t max_bytes) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  if (!value->is_string()) return Wrong(name, StrCat("expected a text, found ", Show(*value)));
  const json::string& text = value->get_string();
  if (text.size() > max_bytes) {
    return Wrong(name, StrCat("a text of ", text.size(), " bytes; at most ", max_bytes));
  }
  return std::string(text.data(), text.size());
}

Result<JsonObject> JsonObject::Object(std::string_view name) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  return From(*value, StrCat(where_, ": ", name));
}

Result<std::vector<JsonObject>> JsonObject::Objects(std::string_view name, size_t max_count) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  if (!value->is_array() || value->get_array().size() > max_count) {
    return Wrong(name, StrCat("expected a list of at most ", max_count, " objects"));
  }
  std::vector<JsonObject> objects;
  for (const json::value& element : value->get_array()) {
    ASSIGN_OR_RETURN(JsonObject object,
                     From(element, StrCat(where_, ": ", name, "[", objects.size(), "]")));
    objects.push_back(std::move(object));
  }
  return objects;
}

Result<std::vector<uint64_t>> JsonObject::Uints(std::string_view name, uint64_t max,
                                                size_t max_count) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  std::vector<uint64_t> numbers;
  const auto add = [&](const json::value& element) -> Status {
    const std::optional<uint64_t> number = WholeNumber(element);
    if (!number || *number > max) {
      return Wrong(name,
                   StrCat("expected whole numbers from 0 to ", max, ", found ", Show(element)));
    }
    numbers.push_back(*number);
    return {};
  };
  if (!value->is_array()) {
    RETURN_IF_ERROR(add(*value));
    return numbers;
  }
  if (value->get_array().size() > max_count) {
    return Wrong(name, StrCat("a list longer than ", max_count));
  }
  for (const json::value& element : value->get_array()) RETURN_IF_ERROR(add(element));
  return numbers;
}

Result<std::vector<double>> JsonObject::Numbers(std::string_view name, double min, double max,
                                                size_t count) const {
  ASSIGN_OR_RETURN(const boost::json::value* value, Need(name));
  std::vector<double> numbers;
  if (value->is_array() && value->get_array().size() == count) {
    for (const boost::json::value& entry : value->get_array()) {
      const double number = entry.is_number() ? entry.to_number<double>() : min - 1;
      if (number >= min && number <= max) numbers.push_back(number);
    }
  }
  if (numbers.size() == count) return numbers;
  return Wrong(name, StrCat("expected ", count, " numbers from ", Plain(min), " to ", Plain(max)));
}

Result<std::vector<std::string>> JsonObject::Texts(std::string_view name, size_t max_count) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(name));
  if (!value->is_array() || value->get_array().size() > max_count) {
    return Wrong(name, StrCat("expected a list of at most ", max_count, " texts"));
  }
  std::vector<std::string> texts;
  for (const json::value& element : value->get_array()) {
    if (!element.is_string()) {
      return Wrong(name, StrCat("expected texts, found ", Show(element)));
    }
    texts.emplace_back(element.get_string().data(), element.get_string().size());
  }
  return texts;
}

Result<uint64_t> JsonObject::UintOr(std::string_view name, uint64_t otherwise, uint64_t min,
                                    uint64_t max) const {
  if (!Has(name)) return otherwise;
  return Uint(name, min, max);
}

Result<double> JsonObject::NumberOr(std::string_view name, double otherwise, double min,
                                    double max) const {
  if (!Has(name)) return otherwise;
  return Number(name, min, max);
}

Result<bool> JsonObject::BoolOr(std::string_view name, bool otherwise) const {
  if (!Has(name)) return otherwise;
  return Bool(name);
}

Result<std::string> JsonObject::TextOr(std::string_view name, std::string_view otherwise) const {
  if (!Has(name)) return std::string(otherwise);
  return Text(name);
}

}  // namespace shoal::model
