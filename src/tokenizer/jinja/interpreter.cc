#include "tokenizer/jinja/interpreter.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/str_cat.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/globals.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/operators.h"

namespace shoal::tokenizer::jinja {

namespace {

using Flow = Interpreter::Flow;

// A macro as a value. The interpreter and the template outlive every value.
class MacroValue : public Object {
 public:
  MacroValue(Interpreter& interpreter, const Macro& macro, ScopePtr closure)
      : interpreter_(interpreter), macro_(macro), closure_(std::move(closure)) {}
  std::string TypeName() const override { return "Macro"; }
  std::string ToText() const override { return StrCat("<Macro '", macro_.name, "'>"); }
  bool IsCallable() const override { return true; }
  std::optional<Value> GetAttribute(std::string_view name) override {
    if (name == "name") return Value(macro_.name);
    return std::nullopt;
  }
  Result<Value> Call(Runtime&, const Arguments& arguments) override {
    return interpreter_.CallMacro(macro_, closure_, arguments);
  }

 private:
  Interpreter& interpreter_;
  const Macro& macro_;
  const ScopePtr closure_;
};

}  // namespace

Result<std::string> Render(const Template& compiled, TextMap<Value> variables, Runtime& runtime) {
  const auto globals = std::make_shared<Scope>(nullptr);
  globals->variables = MakeGlobals();
  const auto given = std::make_shared<Scope>(globals);
  given->variables = std::move(variables);
  const auto scope = std::make_shared<Scope>(given);
  Interpreter interpreter(runtime);
  std::string out;
  RETURN_IF_ERROR(interpreter.Run(compiled.body, scope, out));
  return out;
}

std::unexpected<Error> Interpreter::At(int line, Error error) {
  if (!std::exchange(is_located_, true)) error.detail = StrCat("line ", line, ": ", error.detail);
  return std::unexpected<Error>(std::move(error));
}

Status Interpreter::Append(std::string_view text, std::string& out) {
  RETURN_IF_ERROR(runtime_.Make(text.size()));
  if (out.size() + text.size() > runtime_.limits().output_bytes) {
    return Fail(Code::kResourceExhausted, StrCat("the template makes a text of more than ",
                                                 FormatSize(runtime_.limits().output_bytes)));
  }
  out += text;
  return {};
}

Result<Flow> Interpreter::Run(const Body& body, const ScopePtr& scope, std::string& out) {
  const Runtime::Nested nested(runtime_);
  for (const Statement& statement : body) {
    Status allowed = nested.Check();
    if (allowed) allowed = runtime_.Step();
    if (!allowed) return At(statement.line, std::move(allowed).error());
    Result<Flow> flow =
        std::visit([&](const auto& node) { return RunNode(node, scope, out); }, statement.node);
    if (!flow) return At(statement.line, std::move(flow).error());
    if (*flow != Flow::kNormal) return *flow;
  }
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const Text& node, const ScopePtr&, std::string& out) {
  RETURN_IF_ERROR(Append(node.text, out));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const Output& node, const ScopePtr& scope, std::string& out) {
  ASSIGN_OR_RETURN(const Value value, Evaluate(*node.value, scope));
  if (value.is(Value::Kind::kString)) {
    RETURN_IF_ERROR(Append(value.as_string(), out));
  } else {
    ASSIGN_OR_RETURN(const std::string text, ToText(value));
    RETURN_IF_ERROR(Append(text, out));
  }
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const If& node, const ScopePtr& scope, std::string& out) {
  for (const auto& [condition, body] : node.branches) {
    ASSIGN_OR_RETURN(const Value value, Evaluate(*condition, scope));
    if (value.IsTrue()) return Run(body, scope, out);
  }
  return Run(node.otherwise, scope, out);
}

Result<Flow> Interpreter::RunNode(const For& node, const ScopePtr& scope, std::string& out) {
  ASSIGN_OR_RETURN(const Value items, Evaluate(*node.items, scope));
  return RunLoop(node, items, 1, scope, out);
}

Result<Values> Interpreter::LoopItems(const For& node, const Value& iterable,
                                      const ScopePtr& scope) {
  ASSIGN_OR_RETURN(Values items, TakeItems(runtime_, iterable));
  if (node.filter == nullptr) return items;
  Values kept;
  for (Value& item : items) {
    const auto inner = std::make_shared<Scope>(scope);
    RETURN_IF_ERROR(Assign(node.target, item, inner));
    ASSIGN_OR_RETURN(const Value passes, Evaluate(*node.filter, inner));
    if (passes.IsTrue()) kept.push_back(std::move(item));
  }
  return kept;
}

Result<Flow> Interpreter::RunLoop(const For& node, const Value& iterable, int depth,
                                  const ScopePtr& scope, std::string& out) {
  auto sequence = std::make_shared<Sequence>();
  ASSIGN_OR_RETURN(sequence->items, LoopItems(node, iterable, scope));
  for (const Value& item : sequence->items) {
    sequence->nesting = std::max(sequence->nesting, item.Nesting() + 1);
  }
  if (sequence->items.empty()) return Run(node.otherwise, std::make_shared<Scope>(scope), out);
  Loop::Recurse recurse;
  if (node.is_recursive) {
    // The scope is held weakly: it holds the loop. It lives while the loop's body runs.
    recurse = [this, &node, weak = std::weak_ptr<Scope>(scope)](const Value& items,
                                                                int inner_depth) -> Result<Value> {
      const ScopePtr outer = weak.lock();
      if (outer == nullptr) return Fail(Code::kFailedPrecondition, "the loop has ended");
      std::string text;
      RETURN_IF_ERROR(RunLoop(node, items, inner_depth, outer, text));
      return runtime_.Text(std::move(text));
    };
  }
  const auto loop = std::make_shared<Loop>(sequence, depth, std::move(recurse));
  for (size_t i = 0; i < sequence->items.size(); ++i) {
    RETURN_IF_ERROR(runtime_.Step());
    loop->MoveTo(i);
    const auto inner = std::make_shared<Scope>(scope);
    inner->Set("loop", Value(std::shared_ptr<Object>(loop)));
    RETURN_IF_ERROR(Assign(node.target, sequence->items[i], inner));
    ASSIGN_OR_RETURN(const Flow flow, Run(node.body, inner, out));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const Set& node, const ScopePtr& scope, std::string&) {
  ASSIGN_OR_RETURN(const Value value, Evaluate(*node.value, scope));
  RETURN_IF_ERROR(Assign(node.target, value, scope));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const SetBlock& node, const ScopePtr& scope, std::string&) {
  ASSIGN_OR_RETURN(Value text, Capture(node.body, std::make_shared<Scope>(scope)));
  if (node.filter != nullptr) {
    ASSIGN_OR_RETURN(text, ApplyFilters(*node.filter, text, scope));
  }
  RETURN_IF_ERROR(Assign(node.target, text, scope));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const std::shared_ptr<const Macro>& node, const ScopePtr& scope,
                                  std::string&) {
  RETURN_IF_ERROR(runtime_.Make(sizeof(MacroValue) + 128));
  scope->Set(node->name, MakeMacro(*node, scope));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const CallBlock& node, const ScopePtr& scope, std::string& out) {
  const Call& call = std::get<Call>(node.call->node);
  ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(call.arguments, scope));
  RETURN_IF_ERROR(runtime_.Make(sizeof(MacroValue) + 128));
  arguments.named.emplace_back("caller", MakeMacro(*node.caller, scope));
  ASSIGN_OR_RETURN(const Value value, CallWith(call, std::move(arguments), scope));
  ASSIGN_OR_RETURN(const std::string text, ToText(value));
  RETURN_IF_ERROR(Append(text, out));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const FilterBlock& node, const ScopePtr& scope,
                                  std::string& out) {
  ASSIGN_OR_RETURN(const Value text, Capture(node.body, std::make_shared<Scope>(scope)));
  ASSIGN_OR_RETURN(const Value filtered, ApplyFilters(*node.filter, text, scope));
  ASSIGN_OR_RETURN(const std::string made, ToText(filtered));
  RETURN_IF_ERROR(Append(made, out));
  return Flow::kNormal;
}

Result<Flow> Interpreter::RunNode(const With& node, const ScopePtr& scope, std::string& out) {
  const auto inner = std::make_shared<Scope>(scope);
  for (const auto& [target, expr] : node.assignments) {
    ASSIGN_OR_RETURN(const Value value, Evaluate(*expr, scope));
    RETURN_IF_ERROR(Assign(target, value, inner));
  }
  return Run(node.body, inner, out);
}

Result<Value> Interpreter::Capture(const Body& body, const ScopePtr& scope) {
  std::string text;
  RETURN_IF_ERROR(Run(body, scope, text));
  return runtime_.Text(std::move(text));
}

Status Interpreter::Assign(const Target& target, const Value& value, const ScopePtr& scope) {
  if (!target.targets.empty()) {
    ASSIGN_OR_RETURN(const Values items, TakeItems(runtime_, value));
    if (items.size() != target.targets.size()) {
      return Fail(Code::kFailedPrecondition,
                  StrCat("cannot unpack ", items.size(), " values into ", target.targets.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) {
      RETURN_IF_ERROR(Assign(target.targets[i], items[i], scope));
    }
    return {};
  }
  if (target.attribute.empty()) {
    scope->Set(target.name, value);
    return {};
  }
  const Value* holder = scope->Find(target.name);
  auto* const space = holder != nullptr && holder->is(Value::Kind::kObject)
                          ? dynamic_cast<Namespace*>(&holder->as_object())
                          : nullptr;
  if (space == nullptr) {
    return Fail(Code::kFailedPrecondition,
                StrCat("cannot assign attribute '", target.attribute, "' of '", target.name,
                       "', which is no namespace"));
  }
  return space->SetAttribute(runtime_, target.attribute, value);
}

Value Interpreter::MakeMacro(const Macro& macro, const ScopePtr& scope) {
  // The scope will hold the macro, which holds the scope.
  runtime_.ClearAtEnd(scope.get(), [scope] { scope->variables.clear(); });
  return Value(std::shared_ptr<Object>(std::make_shared<MacroValue>(*this, macro, scope)));
}

Result<Value> Interpreter::CallMacro(const Macro& macro, const ScopePtr& closure,
                                     const Arguments& arguments) {
  const auto scope = std::make_shared<Scope>(closure);
  const auto fail = [&](std::string_view what) {
    return Fail(Code::kFailedPrecondition, StrCat("macro '", macro.name, "' ", what));
  };
  const size_t given = arguments.positional.size(), wanted = macro.parameters.size();
  if (given > wanted && !macro.uses_varargs) {
    return fail(StrCat("takes not more than ", wanted, " arguments"));
  }
  auto extra = std::make_shared<Dict>();
  std::vector<const Value*> values(wanted, nullptr);
  for (size_t i = 0; i < std::min(given, wanted); ++i) values[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto place = std::ranges::find(macro.parameters, name, &Parameter::name);
    if (place != macro.parameters.end()) {
      const Value*& slot = values[static_cast<size_t>(place - macro.parameters.begin())];
      if (slot != nullptr) return fail(StrCat("got '", name, "' twice"));
      slot = &value;
    } else if (name == "caller") {
      scope->Set(name, value);
    } else if (macro.uses_kwargs) {
      RETURN_IF_ERROR(extra->Set(Value(name), value));
    } else {
      return fail(StrCat("has no argument '", name, "'"));
    }
  }
  for (size_t i = 0; i < wanted; ++i) {
    const Parameter& parameter = macro.parameters[i];
    Value value = Value::MakeUndefined(StrCat("parameter '", parameter.name, "' was not provided"));
    if (values[i] != nullptr) {
      value = *values[i];
    } else if (parameter.otherwise != nullptr) {
      ASSIGN_OR_RETURN(value, Evaluate(*parameter.otherwise, scope));
    }
    scope->Set(parameter.name, std::move(value));
  }
  if (macro.uses_varargs) {
    Values rest;
    for (size_t i = wanted; i < given; ++i) rest.push_back(arguments.positional[i]);
    ASSIGN_OR_RETURN(Value tuple, runtime_.Items(Sequence::Flavor::kTuple, std::move(rest)));
    scope->Set("varargs", std::move(tuple));
  }
  if (macro.uses_kwargs) scope->Set("kwargs", Value(std::move(extra)));
  return Capture(macro.body, scope);
}

}  // namespace shoal::tokenizer::jinja
