// The interpreter's expressions.
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/operators.h"

namespace shoal::tokenizer::jinja {

Result<Value> Interpreter::Evaluate(const Expr& expr, const ScopePtr& scope) {
  const Runtime::Nested nested(runtime_);
  Status allowed = nested.Check();
  if (allowed) allowed = runtime_.Step();
  if (!allowed) return At(expr.line, std::move(allowed).error());
  Result<Value> value =
      std::visit([&](const auto& node) { return EvaluateNode(node, scope); }, expr.node);
  if (!value) return At(expr.line, std::move(value).error());
  return value;
}

Result<Value> Interpreter::EvaluateOrNone(const ExprPtr& expr, const ScopePtr& scope) {
  if (expr == nullptr) return Value();
  return Evaluate(*expr, scope);
}

Result<Value> Interpreter::EvaluateNode(const Literal& node, const ScopePtr&) { return node.value; }

Result<Value> Interpreter::EvaluateNode(const Name& node, const ScopePtr& scope) {
  if (const Value* value = scope->Find(node.name)) return *value;
  return Value::MakeUndefined(StrCat("'", node.name, "' is undefined"));
}

Result<Value> Interpreter::EvaluateNode(const GetAttribute& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object, scope));
  return AttributeOf(runtime_, object, node.name);
}

Result<Value> Interpreter::EvaluateNode(const GetItem& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object, scope));
  ASSIGN_OR_RETURN(const Value index, Evaluate(*node.index, scope));
  return ItemOf(runtime_, object, index);
}

Result<Value> Interpreter::EvaluateNode(const Slice& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object, scope));
  ASSIGN_OR_RETURN(const Value start, EvaluateOrNone(node.start, scope));
  ASSIGN_OR_RETURN(const Value stop, EvaluateOrNone(node.stop, scope));
  ASSIGN_OR_RETURN(const Value step, EvaluateOrNone(node.step, scope));
  return SliceOf(runtime_, object, start, stop, step);
}

Result<Arguments> Interpreter::EvaluateArguments(const ArgumentList& list, const ScopePtr& scope) {
  Arguments arguments;
  for (const ExprPtr& expr : list.positional) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expr, scope));
    arguments.positional.push_back(std::move(value));
  }
  if (list.star != nullptr) {
    ASSIGN_OR_RETURN(const Value star, Evaluate(*list.star, scope));
    ASSIGN_OR_RETURN(const Values items, TakeItems(runtime_, star));
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  for (const auto& [name, expr] : list.named) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expr, scope));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (list.star_star != nullptr) {
    ASSIGN_OR_RETURN(const Value entries, Evaluate(*list.star_star, scope));
    if (!entries.is(Value::Kind::kDict)) return WrongType("a dict behind **", entries);
    for (const auto& [key, value] : entries.as_dict().entries()) {
      if (!key.is(Value::Kind::kString)) return WrongType("names in a dict behind **", key);
      arguments.named.emplace_back(key.as_string(), value);
    }
  }
  return arguments;
}

Result<Value> Interpreter::EvaluateNode(const Call& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(node.arguments, scope));
  return CallWith(node, std::move(arguments), scope);
}

Result<Value> Interpreter::CallWith(const Call& node, Arguments arguments, const ScopePtr& scope) {
  Value callee;
  if (const auto* attribute = std::get_if<GetAttribute>(&node.callee->node)) {
    ASSIGN_OR_RETURN(const Value object, Evaluate(*attribute->object, scope));
    if (HasMethod(object, attribute->name)) {
      return CallMethod(runtime_, object, attribute->name, arguments);
    }
    ASSIGN_OR_RETURN(callee, AttributeOf(runtime_, object, attribute->name));
  } else {
    ASSIGN_OR_RETURN(callee, Evaluate(*node.callee, scope));
  }
  if (callee.is(Value::Kind::kObject)) return callee.as_object().Call(runtime_, arguments);
  if (callee.is(Value::Kind::kUndefined)) return WrongType("a function", callee);
  return Fail(Code::kFailedPrecondition,
              StrCat("'", callee.TypeName(), "' object is not callable"));
}

Result<Value> Interpreter::EvaluateNode(const Filter& node, const ScopePtr& scope) {
  Value input;
  if (node.input != nullptr) {
    ASSIGN_OR_RETURN(input, Evaluate(*node.input, scope));
  } else {
    CHECK(filter_input_ != nullptr);
    input = *filter_input_;
  }
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node.arguments, scope));
  return ApplyFilter(runtime_, node.name, input, arguments);
}

Result<Value> Interpreter::ApplyFilters(const Expr& filter, const Value& input,
                                        const ScopePtr& scope) {
  const Value* const before = std::exchange(filter_input_, &input);
  Result<Value> value = Evaluate(filter, scope);
  filter_input_ = before;
  return value;
}

Result<Value> Interpreter::EvaluateNode(const Test& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value input, Evaluate(*node.input, scope));
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node.arguments, scope));
  ASSIGN_OR_RETURN(const bool passes, ApplyTest(runtime_, node.name, input, arguments));
  return Value(passes != node.negated);
}

Result<Value> Interpreter::EvaluateNode(const Unary& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value operand, Evaluate(*node.operand, scope));
  return Apply(node.op, operand);
}

Result<Value> Interpreter::EvaluateNode(const Binary& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value left, Evaluate(*node.left, scope));
  if (node.op == BinaryOperator::kAnd && !left.IsTrue()) return left;
  if (node.op == BinaryOperator::kOr && left.IsTrue()) return left;
  ASSIGN_OR_RETURN(const Value right, Evaluate(*node.right, scope));
  if (node.op == BinaryOperator::kAnd || node.op == BinaryOperator::kOr) return right;
  return Apply(runtime_, node.op, left, right);
}

Result<Value> Interpreter::EvaluateNode(const Concat& node, const ScopePtr& scope) {
  std::string out;
  for (const ExprPtr& part : node.parts) {
    ASSIGN_OR_RETURN(const Value value, Evaluate(*part, scope));
    ASSIGN_OR_RETURN(const std::string text, ToText(value));
    RETURN_IF_ERROR(Append(text, out));
  }
  return runtime_.Text(std::move(out));
}

Result<Value> Interpreter::EvaluateNode(const Compare& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(Value left, Evaluate(*node.first, scope));
  for (const auto& [op, expr] : node.rest) {
    ASSIGN_OR_RETURN(Value right, Evaluate(*expr, scope));
    ASSIGN_OR_RETURN(const bool holds, Apply(runtime_, op, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::EvaluateNode(const Conditional& node, const ScopePtr& scope) {
  ASSIGN_OR_RETURN(const Value condition, Evaluate(*node.condition, scope));
  if (condition.IsTrue()) return Evaluate(*node.then, scope);
  if (node.otherwise != nullptr) return Evaluate(*node.otherwise, scope);
  return Value::MakeUndefined("the inline if-expression is false and has no else");
}

Result<Value> Interpreter::EvaluateNode(const ListLiteral& node, const ScopePtr& scope) {
  Values items;
  for (const ExprPtr& expr : node.items) {
    ASSIGN_OR_RETURN(Value item, Evaluate(*expr, scope));
    items.push_back(std::move(item));
  }
  return runtime_.Items(node.is_tuple ? Sequence::Flavor::kTuple : Sequence::Flavor::kList,
                        std::move(items));
}

Result<Value> Interpreter::EvaluateNode(const DictLiteral& node, const ScopePtr& scope) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key_expr, value_expr] : node.entries) {
    ASSIGN_OR_RETURN(const Value key, Evaluate(*key_expr, scope));
    ASSIGN_OR_RETURN(Value value, Evaluate(*value_expr, scope));
    RETURN_IF_ERROR(runtime_.Make(4 * sizeof(Value)));
    RETURN_IF_ERROR(dict->Set(key, std::move(value)));
  }
  return Value(std::move(dict));
}

}  // namespace shoal::tokenizer::jinja
