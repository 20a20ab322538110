// Typed access to the fields of a JSON request, with errors that name the field.
//
// The first error is kept; after it every call gives nothing. So a parser reads all fields and asks
// for the error once. null counts as absent, as OpenAI's clients mean it.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/api/errors.h"

namespace shoal::api {

class Fields {
 public:
  // `object` must outlive this. `prefix` stands before the names in errors ("stream_options.").
  explicit Fields(const boost::json::object& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  const boost::json::value* Find(std::string_view name) const;

  std::optional<bool> Bool(std::string_view name);
  // A number in [min, max]; integers may be written with a fraction of zero.
  std::optional<double> Number(std::string_view name, double min, double max);
  std::optional<int64_t> Integer(std::string_view name, int64_t min, int64_t max);
  std::optional<std::string> String(std::string_view name);
  const boost::json::object* Object(std::string_view name);
  const boost::json::array* Array(std::string_view name);

  // Keeps the error, unless there is one.
  void Fail(std::string_view name, std::string message);
  void Fail(ApiError error);
  const std::optional<ApiError>& error() const { return error_; }

 private:
  const boost::json::object& object_;
  std::string prefix_;
  std::optional<ApiError> error_;
};

// "a string", "an array", ... of a value, for messages.
std::string_view KindName(const boost::json::value& value);

// The integer that a JSON number is exactly, if it is one within int64.
std::optional<int64_t> ExactInteger(const boost::json::value& value);

}  // namespace shoal::api
