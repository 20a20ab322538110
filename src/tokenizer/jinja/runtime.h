// What one rendering may use up, and what it needs from outside.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

// Generous for honest templates over long conversations, and seconds for hostile ones.
struct Limits {
  uint64_t steps = 20'000'000;             // Expressions and statements evaluated.
  size_t made_bytes = size_t{512} << 20;   // All texts and containers made, kept or not.
  size_t output_bytes = size_t{32} << 20;  // One text.
  int depth = 600;                         // Nested evaluations, macro calls included.
  size_t range_items = 100'000;            // As Jinja's sandbox has it.
};

// The state of one rendering that is not variables. Not thread-safe.
class Runtime {
 public:
  Runtime(const Limits& limits, std::function<std::tm()> clock)
      : limits_(limits), clock_(std::move(clock)) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Limits& limits() const { return limits_; }
  // May be empty.
  const std::function<std::tm()>& clock() const { return clock_; }

  // Counts one evaluation; kResourceExhausted after too many.
  Status Step() { return Steps(1); }
  // Counts what looking through a value takes: long texts and, in comparisons, containers are more
  // than one step.
  Status Read(const Value& value);
  Status Compare(const Value& a, const Value& b);
  // Counts bytes that are about to be made, texts and 32 bytes for an item of a container.
  Status Make(size_t bytes);
  // The text as a value, counted; kResourceExhausted when it is too long.
  Result<Value> Text(std::string text);
  // The items as a new sequence, counted.
  Result<Value> Items(Sequence::Flavor flavor, Values items);
  Result<Value> List(Values items) { return Items(Sequence::Flavor::kList, std::move(items)); }

  // While it lives, one evaluation is nested in another.
  class Nested {
   public:
    explicit Nested(Runtime& runtime) : runtime_(runtime) { ++runtime_.depth_; }
    ~Nested() { --runtime_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    // kResourceExhausted when too many are.
    Status Check() const;

   private:
    Runtime& runtime_;
  };

  // `clear` empties something that the template changed and that may therefore hold itself; it runs
  // when the rendering ends. Once per `what`.
  void ClearAtEnd(const void* what, std::function<void()> clear);

 private:
  Status Steps(uint64_t count);

  const Limits limits_;
  const std::function<std::tm()> clock_;
  uint64_t steps_ = 0;
  size_t made_bytes_ = 0;
  int depth_ = 0;
  boost::unordered_flat_map<const void*, std::function<void()>> to_clear_;
};

// Arguments by the names of the parameters they are for.
class Bound {
 public:
  // kFailedPrecondition for too many arguments, unknown names and ones given twice.
  static Result<Bound> Bind(std::string_view callee, const Arguments& arguments,
                            std::initializer_list<std::string_view> parameters);

  bool Has(size_t parameter) const { return values_[parameter] != nullptr; }
  // Null when absent.
  const Value* Find(size_t parameter) const { return values_[parameter]; }
  Result<Value> Need(size_t parameter) const;
  Result<Integer> Int(size_t parameter, Integer otherwise) const;
  bool Bool(size_t parameter, bool otherwise) const;
  // Of a string; kFailedPrecondition for anything else.
  Result<std::string> String(size_t parameter, std::string_view otherwise) const;
  Result<std::string> NeedString(size_t parameter) const;

 private:
  std::unexpected<Error> Wrong(size_t parameter, std::string_view expected) const;

  std::string callee_;
  std::vector<std::string_view> parameters_;
  std::vector<const Value*> values_;
};

// A function of ours as a value.
class Function : public Object {
 public:
  using Body = std::function<Result<Value>(Runtime&, const Arguments&)>;
  // `nesting`: of what the body holds, as Value::Nesting.
  Function(std::string name, Body body, int nesting = 0)
      : name_(std::move(name)), body_(std::move(body)), nesting_(nesting) {}
  std::string TypeName() const override { return "function"; }
  std::string ToText() const override { return "<function " + name_ + ">"; }
  bool IsCallable() const override { return true; }
  int Nesting() const override { return nesting_; }
  Result<Value> Call(Runtime& runtime, const Arguments& arguments) override {
    return body_(runtime, arguments);
  }

 private:
  std::string name_;
  Body body_;
  int nesting_;
};

// The items of a value that a `for` could run over: of a sequence, the keys of a dict, the
// characters of a string, nothing of an undefined value. A generator gives them once.
// kFailedPrecondition for anything else.
Result<Values> TakeItems(Runtime& runtime, const Value& value);

// Fails with what is wrong with using `value` where a `wanted` is needed.
std::unexpected<Error> WrongType(std::string_view wanted, const Value& value);

}  // namespace shoal::tokenizer::jinja
