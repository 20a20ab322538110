// A template as the parser understands it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct Statement;
using Body = std::vector<Statement>;

// The arguments of a call, a filter or a test.
struct ArgumentList {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;       // *star; may be null.
  ExprPtr star_star;  // **star_star; may be null.
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct GetAttribute {
  ExprPtr object;
  std::string name;
};
struct GetItem {
  ExprPtr object;
  ExprPtr index;
};
struct Slice {
  ExprPtr object;
  ExprPtr start, stop, step;  // Each may be null.
};
struct Call {
  ExprPtr callee;
  ArgumentList arguments;
};
struct Filter {
  ExprPtr input;  // Null: the body of a filter block or of a block set.
  std::string name;
  ArgumentList arguments;
};
struct Test {
  ExprPtr input;
  std::string name;
  ArgumentList arguments;
  bool negated = false;
};
enum class UnaryOperator : uint8_t { kNot, kMinus, kPlus };
struct Unary {
  UnaryOperator op;
  ExprPtr operand;
};
enum class BinaryOperator : uint8_t {
  kAnd,
  kOr,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};
struct Binary {
  BinaryOperator op;
  ExprPtr left, right;
};
struct Concat {
  std::vector<ExprPtr> parts;
};
enum class CompareOperator : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };
// a < b <= c: every neighbouring pair must hold.
struct Compare {
  ExprPtr first;
  std::vector<std::pair<CompareOperator, ExprPtr>> rest;
};
struct Conditional {
  ExprPtr condition, then, otherwise;  // `otherwise` may be null.
};
struct ListLiteral {
  std::vector<ExprPtr> items;
  bool is_tuple = false;
};
struct DictLiteral {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};

struct Expr {
  int line = 0;
  int depth = 1;  // Of nested expressions in it, itself included.
  std::variant<Literal, Name, GetAttribute, GetItem, Slice, Call, Filter, Test, Unary, Binary,
               Concat, Compare, Conditional, ListLiteral, DictLiteral>
      node;
};

// Where a value is assigned: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;        // Not empty: of the namespace `name`.
  std::vector<Target> targets;  // Not empty: a tuple.
};

struct Text {
  std::string text;
};
struct Output {
  ExprPtr value;
};
struct If {
  std::vector<std::pair<ExprPtr, Body>> branches;  // if and elif.
  Body otherwise;
};
struct For {
  Target target;
  ExprPtr items;
  ExprPtr filter;  // May be null.
  Body body, otherwise;
  bool is_recursive = false;
};
struct Set {
  Target target;
  ExprPtr value;
};
struct SetBlock {
  Target target;
  ExprPtr filter;  // A chain of filters whose innermost input is null; may be null.
  Body body;
};
struct Parameter {
  std::string name;
  ExprPtr otherwise;  // May be null.
};
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_varargs = false, uses_kwargs = false;  // Whether the body mentions these names.
};
struct CallBlock {
  ExprPtr call;  // A Call.
  std::unique_ptr<Macro> caller;
};
struct FilterBlock {
  ExprPtr filter;
  Body body;
};
// {% with %}, and {% generation %} and {% block %} without assignments: variables set inside are
// gone behind it.
struct With {
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line = 0;
  std::variant<Text, Output, If, For, Set, SetBlock, std::shared_ptr<const Macro>, CallBlock,
               FilterBlock, With, Break, Continue>
      node;
};

}  // namespace shoal::tokenizer::jinja
