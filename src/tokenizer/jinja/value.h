// The values of a template: Python's, as far as templates can tell.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

class Dict;
class Object;
class Value;
struct Sequence;

// Wide enough for every number that JSON text can hold exactly; arithmetic beyond it is an error.
using Integer = __int128;

// Containers nest at most so deep, so that walking and freeing them cannot exhaust the stack.
inline constexpr int kMaxNesting = 128;

class Value {
 public:
  enum class Kind : uint8_t {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kSequence,  // list, tuple, range, generator and the views of a dict
    kDict,
    kObject,  // functions, macros, namespaces, loop
  };

  Value() : data_(None()) {}
  static Value MakeNone() { return Value(); }
  // A value that is not there; using it for anything but printing and testing is an error that says
  // `why` ("'foo' is undefined").
  static Value MakeUndefined(std::string why);
  Value(bool value) : data_(value) {}
  Value(Integer value) : data_(value) {}
  Value(int value) : data_(Integer{value}) {}
  Value(int64_t value) : data_(Integer{value}) {}
  Value(uint64_t value) : data_(Integer{value}) {}
  Value(double value) : data_(value) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<Sequence> sequence) : data_(std::move(sequence)) {}
  Value(std::shared_ptr<Dict> dict) : data_(std::move(dict)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind wanted) const { return kind() == wanted; }

  // Each asks for its kind.
  const std::string& why_undefined() const { return *std::get<Undefined>(data_).why; }
  bool as_bool() const { return std::get<bool>(data_); }
  double as_float() const { return std::get<double>(data_); }
  const std::string& as_string() const { return *std::get<StringPtr>(data_); }
  Sequence& as_sequence() const { return *std::get<std::shared_ptr<Sequence>>(data_); }
  const std::shared_ptr<Sequence>& sequence_ptr() const {
    return std::get<std::shared_ptr<Sequence>>(data_);
  }
  Dict& as_dict() const { return *std::get<std::shared_ptr<Dict>>(data_); }
  const std::shared_ptr<Dict>& dict_ptr() const { return std::get<std::shared_ptr<Dict>>(data_); }
  Object& as_object() const { return *std::get<std::shared_ptr<Object>>(data_); }
  const std::shared_ptr<Object>& object_ptr() const {
    return std::get<std::shared_ptr<Object>>(data_);
  }

  // Of a bool (a number in Python) or an int.
  std::optional<Integer> ToInteger() const;
  // Of any number.
  std::optional<double> ToNumber() const;
  // What `if` decides by.
  bool IsTrue() const;
  // How deep containers nest in it; 0 for a scalar.
  int Nesting() const;
  // "str", "list", "NoneType", ...: Python's name, for errors.
  std::string TypeName() const;

 private:
  struct None {};
  struct Undefined {
    std::shared_ptr<const std::string> why;
  };
  using StringPtr = std::shared_ptr<const std::string>;

  explicit Value(Undefined undefined) : data_(std::move(undefined)) {}

  // In the order of Kind.
  std::variant<Undefined, None, bool, Integer, double, StringPtr, std::shared_ptr<Sequence>,
               std::shared_ptr<Dict>, std::shared_ptr<Object>>
      data_;
};

using Values = std::vector<Value>;

// Everything that has items in an order.
struct Sequence {
  enum class Flavor : uint8_t {
    kList,
    kTuple,
    kRange,
    kGenerator,  // What filters such as map give: gives its items once, and is always true.
    kKeys,       // The views of a dict.
    kValues,
    kItems,
  };
  Flavor flavor = Flavor::kList;
  Values items;
  int nesting = 1;

  bool IsIndexable() const {
    return flavor == Flavor::kList || flavor == Flavor::kTuple || flavor == Flavor::kRange;
  }
};

// kResourceExhausted when `items` nest too deep.
Result<Value> MakeSequence(Sequence::Flavor flavor, Values items);
inline Result<Value> MakeList(Values items) {
  return MakeSequence(Sequence::Flavor::kList, std::move(items));
}

// A dict in the order of insertion. Keys are strings, numbers, bools, none or tuples of them.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  // Sets or replaces. kFailedPrecondition for a key that Python could not hash, kResourceExhausted
  // when `value` nests too deep.
  Status Set(const Value& key, Value value);
  // Null when there is none, also for a key that Python could not hash.
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  // The removed value.
  std::optional<Value> Remove(const Value& key);
  void Clear();

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int nesting() const { return nesting_; }

 private:
  std::vector<Entry> entries_;
  TextMap<size_t> index_;  // A text that is the same for equal keys -> place in entries_.
  int nesting_ = 1;
};

// The arguments of a call.
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

// A value with attributes or that can be called.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string TypeName() const = 0;
  // Nothing when it has no such attribute.
  virtual std::optional<Value> GetAttribute(std::string_view) { return std::nullopt; }
  virtual bool IsCallable() const { return false; }
  virtual Result<Value> Call(Runtime& runtime, const Arguments& arguments);
  virtual std::string ToText() const;
  // As Value::Nesting: deep enough for what it holds. An object whose content can change later
  // counts 0 and is given to Runtime::ClearAtEnd instead.
  virtual int Nesting() const { return 0; }
};

// Python's ==. Containers deeper than kMaxNesting, or of more than 50,000 values, are not equal
// unless they are the same.
bool Equal(const Value& a, const Value& b);
// Python's <; kFailedPrecondition for types that have no order.
Result<bool> Less(const Value& a, const Value& b);

// What str() and repr() give. kResourceExhausted for a container that holds itself, or whose text
// is longer than 32 MiB.
Result<std::string> ToText(const Value& value);
Result<std::string> ToRepr(const Value& value);
std::string FloatToText(double number);
std::string IntegerToText(Integer number);

// kResourceExhausted when the value nests too deep.
Result<Value> FromJson(const boost::json::value& value);
Result<Value> FromJson(const boost::json::array& list);

}  // namespace shoal::tokenizer::jinja
