// Runs a parsed template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/scope.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

// The text of `compiled` with these variables. Errors begin with "line N: ".
Result<std::string> Render(const Template& compiled, TextMap<Value> variables, Runtime& runtime);

// One rendering. Not thread-safe.
class Interpreter {
 public:
  // `runtime` must outlive this object.
  explicit Interpreter(Runtime& runtime) : runtime_(runtime) {}

  // What a body of statements ends with.
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };
  // Runs `body`, appending its text to `out`.
  Result<Flow> Run(const Body& body, const ScopePtr& scope, std::string& out);

  Result<Value> Evaluate(const Expr& expr, const ScopePtr& scope);

  // A macro's body with these arguments; `closure` is the scope that the macro was defined in.
  Result<Value> CallMacro(const Macro& macro, const ScopePtr& closure, const Arguments& arguments);

 private:
  Result<Flow> RunNode(const Text& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const Output& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const If& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const For& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const Set& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const SetBlock& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const std::shared_ptr<const Macro>& node, const ScopePtr& scope,
                       std::string& out);
  Result<Flow> RunNode(const CallBlock& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const FilterBlock& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const With& node, const ScopePtr& scope, std::string& out);
  Result<Flow> RunNode(const Break&, const ScopePtr&, std::string&) { return Flow::kBreak; }
  Result<Flow> RunNode(const Continue&, const ScopePtr&, std::string&) { return Flow::kContinue; }

  Result<Value> EvaluateNode(const Literal& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Name& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const GetAttribute& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const GetItem& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Slice& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Call& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Filter& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Test& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Unary& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Binary& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Concat& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Compare& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const Conditional& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const ListLiteral& node, const ScopePtr& scope);
  Result<Value> EvaluateNode(const DictLiteral& node, const ScopePtr& scope);

  // None for a null expression.
  Result<Value> EvaluateOrNone(const ExprPtr& expr, const ScopePtr& scope);
  Result<Arguments> EvaluateArguments(const ArgumentList& list, const ScopePtr& scope);
  Result<Value> CallWith(const Call& node, Arguments arguments, const ScopePtr& scope);
  // The filters of a filter block or block set, applied to `input`.
  Result<Value> ApplyFilters(const Expr& filter, const Value& input, const ScopePtr& scope);

  // The body's text as a value.
  Result<Value> Capture(const Body& body, const ScopePtr& scope);
  Status Append(std::string_view text, std::string& out);
  Status Assign(const Target& target, const Value& value, const ScopePtr& scope);
  Result<Flow> RunLoop(const For& node, const Value& iterable, int depth, const ScopePtr& scope,
                       std::string& out);
  Result<Values> LoopItems(const For& node, const Value& iterable, const ScopePtr& scope);
  Value MakeMacro(const Macro& macro, const ScopePtr& scope);
  // `error` with the line put before it, unless it has one.
  std::unexpected<Error> At(int line, Error error);

  Runtime& runtime_;
  bool is_located_ = false;              // An error names its line already; it ends the rendering.
  const Value* filter_input_ = nullptr;  // What a Filter with a null input is applied to.
};

}  // namespace shoal::tokenizer::jinja
