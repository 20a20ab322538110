// JSON from outside: parsed strictly (no duplicate names, bounded depth and size), and read field
// by field with errors that name the file, the field, what was there and what would be right.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::model {

// Parses one JSON document. `where` names it in errors ("config.json"). A name that occurs twice in
// one object is an error, since readers disagree about which one counts.
Result<boost::json::value> ParseJson(std::string_view text, std::string_view where);

// A view of an object that somebody else owns, with its place for error messages. A field that is
// null counts as absent.
class JsonObject {
 public:
  JsonObject(const boost::json::object& object, std::string where)
      : object_(&object), where_(std::move(where)) {}
  // kInvalidArgument when `value` is not an object.
  static Result<JsonObject> From(const boost::json::value& value, std::string where);

  const std::string& where() const { return where_; }
  const boost::json::object& object() const { return *object_; }
  bool Has(std::string_view name) const;
  // Nothing when absent.
  const boost::json::value* Find(std::string_view name) const;

  // Each is an error when the field is absent, of another type or outside the bounds (inclusive).
  Result<uint64_t> Uint(std::string_view name, uint64_t min, uint64_t max) const;
  Result<double> Number(std::string_view name, double min, double max) const;
  Result<bool> Bool(std::string_view name) const;
  Result<std::string> Text(std::string_view name, size_t max_bytes = 1 << 16) const;
  Result<JsonObject> Object(std::string_view name) const;
  // Every element is an object.
  Result<std::vector<JsonObject>> Objects(std::string_view name, size_t max_count) const;
  // A list of whole numbers, or one number for a list of one.
  Result<std::vector<uint64_t>> Uints(std::string_view name, uint64_t max, size_t max_count) const;
  // Exactly `count` numbers.
  Result<std::vector<double>> Numbers(std::string_view name, double min, double max,
                                      size_t count) const;
  Result<std::vector<std::string>> Texts(std::string_view name, size_t max_count) const;

  // The same, with a value for an absent field.
  Result<uint64_t> UintOr(std::string_view name, uint64_t otherwise, uint64_t min,
                          uint64_t max) const;
  Result<double> NumberOr(std::string_view name, double otherwise, double min, double max) const;
  Result<bool> BoolOr(std::string_view name, bool otherwise) const;
  Result<std::string> TextOr(std::string_view name, std::string_view otherwise) const;

  // kInvalidArgument: "config.json: hidden_size: DETAIL".
  std::unexpected<Error> Wrong(std::string_view name, std::string_view detail) const;

 private:
  Result<const boost::json::value*> Need(std::string_view name) const;

  const boost::json::object* object_;
  std::string where_;
};

}  // namespace shoal::model
