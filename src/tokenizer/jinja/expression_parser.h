// The expressions of a template.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/token_stream.h"

namespace shoal::tokenizer::jinja {

class ExpressionParser {
 public:
  // `stream` must outlive this object.
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  // One expression; with `allow_condition`, possibly `a if b else c`.
  Result<ExprPtr> Parse(bool allow_condition = true);
  // The same, but `a, b` is a tuple.
  Result<ExprPtr> ParseTuple(bool allow_condition = true);
  // "| name(arguments) | ..." applied to `input`, which may be null.
  Result<ExprPtr> ParseFilterChain(ExprPtr input);
  // A filter without the '|' before it, applied to what a null input stands for.
  Result<ExprPtr> ParseFilterBlock();
  Result<ArgumentList> ParseArguments();

 private:
  class Depth;

  Result<ExprPtr> ParseOr();
  Result<ExprPtr> ParseAnd();
  Result<ExprPtr> ParseNot();
  Result<ExprPtr> ParseCompare();
  Result<ExprPtr> ParseSum();
  Result<ExprPtr> ParseConcat();
  Result<ExprPtr> ParseProduct();
  Result<ExprPtr> ParsePower();
  Result<ExprPtr> ParseUnary(bool with_filters = true);
  Result<ExprPtr> ParsePrimary();
  Result<ExprPtr> ParseParenthesized();
  Result<ExprPtr> ParseList();
  Result<ExprPtr> ParseDict();
  Result<ExprPtr> ParsePostfix(ExprPtr expr);
  Result<ExprPtr> ParseSubscript(ExprPtr object);
  Result<ExprPtr> ParsePostfixFilters(ExprPtr expr);
  Result<ExprPtr> ParseFilter(ExprPtr input);
  Result<ExprPtr> ParseTest(ExprPtr input);
  bool TestArgumentFollows() const;
  Result<std::string> ParseDottedName();

  // A node of one line; kInvalidArgument when expressions nest too deep.
  template <typename Node>
  Result<ExprPtr> Make(int line, Node node);
  // left op right for every operator of `operators` that follows.
  template <typename ParseOperand>
  Result<ExprPtr> ParseLeftToRight(
      std::initializer_list<std::pair<std::string_view, BinaryOperator>> operators,
      const ParseOperand& parse_operand);

  TokenStream& stream_;
  int depth_ = 0;
};

}  // namespace shoal::tokenizer::jinja
