#include "coordinator/api/fields.h"

#include <array>
#include <boost/json/value.hpp>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/str_cat.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

// "2", "0.5": as people write them.
std::string Short(double value) {
  std::array<char, 32> text;
  const int size = std::snprintf(text.data(), text.size(), "%.15g", value);
  return {text.data(), static_cast<size_t>(size)};
}

}  // namespace

std::string_view KindName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
    default:
      return "a number";
  }
}

std::optional<int64_t> ExactInteger(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return std::nullopt;  // uint64 is only used beyond int64.
  const double number = value.get_double();
  // Within 2^53 every integer is a double of its own.
  if (std::trunc(number) != number || std::abs(number) > 9007199254740992.0) return std::nullopt;
  return static_cast<int64_t>(number);
}

const json::value* Fields::Find(std::string_view name) const {
  if (error_) return nullptr;
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<bool> Fields::Bool(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  Fail(name, StrCat("must be true or false, not ", KindName(*value)));
  return std::nullopt;
}

std::optional<double> Fields::Number(std::string_view name, double min, double max) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    Fail(name, StrCat("must be a number, not ", KindName(*value)));
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  if (number >= min && number <= max) return number;
  Fail(name, StrCat("must be from ", Short(min), " to ", Short(max), ", not ", Short(number)));
  return std::nullopt;
}

std::optional<int64_t> Fields::Integer(std::string_view name, int64_t min, int64_t max) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    Fail(name, StrCat("must be an integer, not ", KindName(*value)));
    return std::nullopt;
  }
  const auto number = ExactInteger(*value);
  if (number && *number >= min && *number <= max) return number;
  Fail(name, StrCat("must be an integer from ", min, " to ", max));
  return std::nullopt;
}

std::optional<std::string> Fields::String(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  Fail(name, StrCat("must be a string, not ", KindName(*value)));
  return std::nullopt;
}

const json::object* Fields::Object(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) Fail(name, StrCat("must be an object, not ", KindName(*value)));
  return value->if_object();
}

const json::array* Fields::Array(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) Fail(name, StrCat("must be an array, not ", KindName(*value)));
  return value->if_array();
}

void Fields::Fail(std::string_view name, std::string message) {
  std::string path = StrCat(prefix_, name);
  message = StrCat("'", path, "' ", message, ".");
  Fail(InvalidParam(std::move(path), std::move(message)));
}

void Fields::Fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

}  // namespace shoal::api
