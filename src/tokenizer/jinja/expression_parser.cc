#include "tokenizer/jinja/expression_parser.h"

#include <algorithm>

#include "tokenizer/jinja/parser.h"

namespace shoal::tokenizer::jinja {

namespace {

int DepthOf(const ExprPtr& expr) { return expr == nullptr ? 0 : expr->depth; }
int DepthOf(const std::vector<ExprPtr>& exprs) {
  int depth = 0;
  for (const ExprPtr& expr : exprs) depth = std::max(depth, DepthOf(expr));
  return depth;
}
int DepthOf(const ArgumentList& list) {
  int depth = std::max({DepthOf(list.positional), DepthOf(list.star), DepthOf(list.star_star)});
  for (const auto& [name, expr] : list.named) depth = std::max(depth, DepthOf(expr));
  return depth;
}
int DepthOf(const Literal&) { return 0; }
int DepthOf(const Name&) { return 0; }
int DepthOf(const GetAttribute& node) { return DepthOf(node.object); }
int DepthOf(const GetItem& node) { return std::max(DepthOf(node.object), DepthOf(node.index)); }
int DepthOf(const Slice& node) {
  return std::max(
      {DepthOf(node.object), DepthOf(node.start), DepthOf(node.stop), DepthOf(node.step)});
}
int DepthOf(const Call& node) { return std::max(DepthOf(node.callee), DepthOf(node.arguments)); }
int DepthOf(const Filter& node) { return std::max(DepthOf(node.input), DepthOf(node.arguments)); }
int DepthOf(const Test& node) { return std::max(DepthOf(node.input), DepthOf(node.arguments)); }
int DepthOf(const Unary& node) { return DepthOf(node.operand); }
int DepthOf(const Binary& node) { return std::max(DepthOf(node.left), DepthOf(node.right)); }
int DepthOf(const Concat& node) { return DepthOf(node.parts); }
int DepthOf(const Compare& node) {
  int depth = DepthOf(node.first);
  for (const auto& [op, expr] : node.rest) depth = std::max(depth, DepthOf(expr));
  return depth;
}
int DepthOf(const Conditional& node) {
  return std::max({DepthOf(node.condition), DepthOf(node.then), DepthOf(node.otherwise)});
}
int DepthOf(const ListLiteral& node) { return DepthOf(node.items); }
int DepthOf(const DictLiteral& node) {
  int depth = 0;
  for (const auto& [key, value] : node.entries) {
    depth = std::max({depth, DepthOf(key), DepthOf(value)});
  }
  return depth;
}

}  // namespace

// Counts how deep the parser itself is.
class ExpressionParser::Depth {
 public:
  explicit Depth(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
  ~Depth() { --parser_.depth_; }
  Status Check() const {
    if (parser_.depth_ <= kMaxExprDepth) return {};
    return parser_.stream_.Wrong(StrCat("expressions nest deeper than ", kMaxExprDepth));
  }

 private:
  ExpressionParser& parser_;
};

template <typename Node>
Result<ExprPtr> ExpressionParser::Make(int line, Node node) {
  const int depth = DepthOf(node) + 1;
  if (depth > kMaxExprDepth) {
    return stream_.Wrong(StrCat("expressions nest deeper than ", kMaxExprDepth));
  }
  return std::make_unique<Expr>(Expr{line, depth, std::move(node)});
}

template <typename ParseOperand>
Result<ExprPtr> ExpressionParser::ParseLeftToRight(
    std::initializer_list<std::pair<std::string_view, BinaryOperator>> operators,
    const ParseOperand& parse_operand) {
  ASSIGN_OR_RETURN(ExprPtr left, parse_operand());
  while (true) {
    const auto op = std::ranges::find_if(operators, [&](const auto& candidate) {
      return stream_.Peek().text == candidate.first &&
             (stream_.Peek().kind == Token::Kind::kOperator ||
              stream_.Peek().kind == Token::Kind::kName);
    });
    if (op == operators.end()) return left;
    const int line = stream_.Take().line;
    ASSIGN_OR_RETURN(ExprPtr right, parse_operand());
    ASSIGN_OR_RETURN(left, Make(line, Binary{op->second, std::move(left), std::move(right)}));
  }
}

Result<ExprPtr> ExpressionParser::Parse(bool allow_condition) {
  const Depth depth(*this);
  RETURN_IF_ERROR(depth.Check());
  const int line = stream_.line();
  ASSIGN_OR_RETURN(ExprPtr expr, ParseOr());
  while (allow_condition && stream_.TakeName("if")) {
    ASSIGN_OR_RETURN(ExprPtr condition, ParseOr());
    ExprPtr otherwise;
    if (stream_.TakeName("else")) {
      ASSIGN_OR_RETURN(otherwise, Parse());
    }
    ASSIGN_OR_RETURN(
        expr, Make(line, Conditional{std::move(condition), std::move(expr), std::move(otherwise)}));
  }
  return expr;
}

Result<ExprPtr> ExpressionParser::ParseTuple(bool allow_condition) {
  const int line = stream_.line();
  ASSIGN_OR_RETURN(ExprPtr first, Parse(allow_condition));
  if (!stream_.Peek().IsOperator(",")) return first;
  ListLiteral tuple;
  tuple.is_tuple = true;
  tuple.items.push_back(std::move(first));
  while (stream_.TakeOperator(",")) {
    const Token& next = stream_.Peek();
    const bool ends = next.kind == Token::Kind::kTagEnd || next.kind == Token::Kind::kOutputEnd ||
                      next.IsOperator(")") || next.IsOperator("]") || next.IsName("recursive") ||
                      next.IsName("if");
    if (ends) break;
    ASSIGN_OR_RETURN(ExprPtr item, Parse(allow_condition));
    tuple.items.push_back(std::move(item));
  }
  return Make(line, std::move(tuple));
}

Result<ExprPtr> ExpressionParser::ParseOr() {
  return ParseLeftToRight({{"or", BinaryOperator::kOr}}, [this] { return ParseAnd(); });
}

Result<ExprPtr> ExpressionParser::ParseAnd() {
  return ParseLeftToRight({{"and", BinaryOperator::kAnd}}, [this] { return ParseNot(); });
}

Result<ExprPtr> ExpressionParser::ParseNot() {
  const int line = stream_.line();
  if (!stream_.TakeName("not")) return ParseCompare();
  const Depth depth(*this);
  RETURN_IF_ERROR(depth.Check());
  ASSIGN_OR_RETURN(ExprPtr operand, ParseNot());
  return Make(line, Unary{UnaryOperator::kNot, std::move(operand)});
}

Result<ExprPtr> ExpressionParser::ParseCompare() {
  constexpr std::pair<std::string_view, CompareOperator> kOperators[] = {
      {"==", CompareOperator::kEq}, {"!=", CompareOperator::kNe}, {"<", CompareOperator::kLt},
      {"<=", CompareOperator::kLe}, {">", CompareOperator::kGt},  {">=", CompareOperator::kGe}};
  const int line = stream_.line();
  ASSIGN_OR_RETURN(ExprPtr first, ParseSum());
  Compare compare;
  while (true) {
    const Token& token = stream_.Peek();
    std::optional<CompareOperator> op;
    if (token.kind == Token::Kind::kOperator) {
      for (const auto& [text, candidate] : kOperators) {
        if (token.text == text) op = candidate;
      }
      if (op) stream_.Take();
    } else if (stream_.TakeName("in")) {
      op = CompareOperator::kIn;
    } else if (token.IsName("not") && stream_.Peek(1).IsName("in")) {
      stream_.Take();
      stream_.Take();
      op = CompareOperator::kNotIn;
    }
    if (!op) break;
    ASSIGN_OR_RETURN(ExprPtr operand, ParseSum());
    compare.rest.emplace_back(*op, std::move(operand));
  }
  if (compare.rest.empty()) return first;
  compare.first = std::move(first);
  return Make(line, std::move(compare));
}

Result<ExprPtr> ExpressionParser::ParseSum() {
  return ParseLeftToRight({{"+", BinaryOperator::kAdd}, {"-", BinaryOperator::kSubtract}},
                          [this] { return ParseConcat(); });
}

Result<ExprPtr> ExpressionParser::ParseConcat() {
  const int line = stream_.line();
  ASSIGN_OR_RETURN(ExprPtr first, ParseProduct());
  if (!stream_.Peek().IsOperator("~")) return first;
  Concat concat;
  concat.parts.push_back(std::move(first));
  while (stream_.TakeOperator("~")) {
    ASSIGN_OR_RETURN(ExprPtr part, ParseProduct());
    concat.parts.push_back(std::move(part));
  }
  return Make(line, std::move(concat));
}

Result<ExprPtr> ExpressionParser::ParseProduct() {
  return ParseLeftToRight({{"*", BinaryOperator::kMultiply},
                           {"/", BinaryOperator::kDivide},
                           {"//", BinaryOperator::kFloorDivide},
                           {"%", BinaryOperator::kModulo}},
                          [this] { return ParsePower(); });
}

Result<ExprPtr> ExpressionParser::ParsePower() {
  return ParseLeftToRight({{"**", BinaryOperator::kPower}}, [this] { return ParseUnary(); });
}

Result<ExprPtr> ExpressionParser::ParseUnary(bool with_filters) {
  const Depth depth(*this);
  RETURN_IF_ERROR(depth.Check());
  const int line = stream_.line();
  ExprPtr expr;
  if (stream_.TakeOperator("-")) {
    ASSIGN_OR_RETURN(ExprPtr operand, ParseUnary(false));
    ASSIGN_OR_RETURN(expr, Make(line, Unary{UnaryOperator::kMinus, std::move(operand)}));
  } else if (stream_.TakeOperator("+")) {
    ASSIGN_OR_RETURN(ExprPtr operand, ParseUnary(false));
    ASSIGN_OR_RETURN(expr, Make(line, Unary{UnaryOperator::kPlus, std::move(operand)}));
  } else {
    ASSIGN_OR_RETURN(expr, ParsePrimary());
  }
  ASSIGN_OR_RETURN(expr, ParsePostfix(std::move(expr)));
  if (!with_filters) return expr;
  return ParsePostfixFilters(std::move(expr));
}

Result<ExprPtr> ExpressionParser::ParsePrimary() {
  const Token& token = stream_.Peek();
  const int line = token.line;
  switch (token.kind) {
    case Token::Kind::kName: {
      const std::string name = stream_.Take().text;
      if (name == "true" || name == "True") return Make(line, Literal{Value(true)});
      if (name == "false" || name == "False") return Make(line, Literal{Value(false)});
      if (name == "none" || name == "None") return Make(line, Literal{Value()});
      return Make(line, Name{name});
    }
    case Token::Kind::kString: {
      std::string text;
      while (stream_.Peek().kind == Token::Kind::kString) text += stream_.Take().text;
      return Make(line, Literal{Value(std::move(text))});
    }
    case Token::Kind::kNumber:
      return Make(line, Literal{stream_.Take().number});
    default:
      break;
  }
  if (token.IsOperator("(")) return ParseParenthesized();
  if (token.IsOperator("[")) return ParseList();
  if (token.IsOperator("{")) return ParseDict();
  return stream_.Wrong(StrCat("expected an expression, found ", TokenStream::Describe(token)));
}

Result<ExprPtr> ExpressionParser::ParseParenthesized() {
  const int line = stream_.Take().line;
  if (stream_.TakeOperator(")")) return Make(line, ListLiteral{{}, true});
  ASSIGN_OR_RETURN(ExprPtr expr, ParseTuple());
  RETURN_IF_ERROR(stream_.ExpectOperator(")"));
  return expr;
}

Result<ExprPtr> ExpressionParser::ParseList() {
  const int line = stream_.Take().line;
  ListLiteral list;
  while (!stream_.TakeOperator("]")) {
    if (!list.items.empty()) {
      RETURN_IF_ERROR(stream_.ExpectOperator(","));
      if (stream_.TakeOperator("]")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr item, Parse());
    list.items.push_back(std::move(item));
  }
  return Make(line, std::move(list));
}

Result<ExprPtr> ExpressionParser::ParseDict() {
  const int line = stream_.Take().line;
  DictLiteral dict;
  while (!stream_.TakeOperator("}")) {
    if (!dict.entries.empty()) {
      RETURN_IF_ERROR(stream_.ExpectOperator(","));
      if (stream_.TakeOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr key, Parse());
    RETURN_IF_ERROR(stream_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, Parse());
    dict.entries.emplace_back(std::move(key), std::move(value));
  }
  return Make(line, std::move(dict));
}

Result<ExprPtr> ExpressionParser::ParsePostfix(ExprPtr expr) {
  while (true) {
    const int line = stream_.line();
    if (stream_.Peek().IsOperator(".") || stream_.Peek().IsOperator("[")) {
      ASSIGN_OR_RETURN(expr, ParseSubscript(std::move(expr)));
    } else if (stream_.Peek().IsOperator("(")) {
      ASSIGN_OR_RETURN(ArgumentList arguments, ParseArguments());
      ASSIGN_OR_RETURN(expr, Make(line, Call{std::move(expr), std::move(arguments)}));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> ExpressionParser::ParseSubscript(ExprPtr object) {
  const int line = stream_.line();
  if (stream_.TakeOperator(".")) {
    if (stream_.Peek().kind == Token::Kind::kNumber) {
      ASSIGN_OR_RETURN(ExprPtr index, Make(line, Literal{stream_.Take().number}));
      return Make(line, GetItem{std::move(object), std::move(index)});
    }
    ASSIGN_OR_RETURN(std::string name, stream_.ExpectName());
    return Make(line, GetAttribute{std::move(object), std::move(name)});
  }
  RETURN_IF_ERROR(stream_.ExpectOperator("["));
  // Up to three parts of a slice, each of which may be missing.
  ExprPtr parts[3];
  size_t colons = 0;
  while (!stream_.Peek().IsOperator("]")) {
    if (stream_.TakeOperator(":")) {
      if (++colons > 2) return stream_.Wrong("a slice has at most three parts");
      continue;
    }
    if (parts[colons] != nullptr) {
      return stream_.Wrong(StrCat("expected ']', found ", TokenStream::Describe(stream_.Peek())));
    }
    ASSIGN_OR_RETURN(parts[colons], ParseTuple());
  }
  stream_.Take();
  if (colons == 0) {
    if (parts[0] == nullptr) return stream_.Wrong("expected an index between '[' and ']'");
    return Make(line, GetItem{std::move(object), std::move(parts[0])});
  }
  return Make(line, Slice{std::move(object), std::move(parts[0]), std::move(parts[1]),
                          std::move(parts[2])});
}

Result<ExprPtr> ExpressionParser::ParsePostfixFilters(ExprPtr expr) {
  while (true) {
    const int line = stream_.line();
    if (stream_.TakeOperator("|")) {
      ASSIGN_OR_RETURN(expr, ParseFilter(std::move(expr)));
    } else if (stream_.TakeName("is")) {
      ASSIGN_OR_RETURN(expr, ParseTest(std::move(expr)));
    } else if (stream_.Peek().IsOperator("(")) {
      ASSIGN_OR_RETURN(ArgumentList arguments, ParseArguments());
      ASSIGN_OR_RETURN(expr, Make(line, Call{std::move(expr), std::move(arguments)}));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> ExpressionParser::ParseFilterChain(ExprPtr input) {
  while (stream_.TakeOperator("|")) {
    ASSIGN_OR_RETURN(input, ParseFilter(std::move(input)));
  }
  return input;
}

Result<ExprPtr> ExpressionParser::ParseFilterBlock() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseFilter(nullptr));
  return ParseFilterChain(std::move(first));
}

Result<std::string> ExpressionParser::ParseDottedName() {
  ASSIGN_OR_RETURN(std::string name, stream_.ExpectName());
  while (stream_.TakeOperator(".")) {
    ASSIGN_OR_RETURN(const std::string part, stream_.ExpectName());
    name += "." + part;
  }
  return name;
}

Result<ExprPtr> ExpressionParser::ParseFilter(ExprPtr input) {
  Filter filter;
  const int line = stream_.line();
  filter.input = std::move(input);
  ASSIGN_OR_RETURN(filter.name, ParseDottedName());
  if (stream_.Peek().IsOperator("(")) {
    ASSIGN_OR_RETURN(filter.arguments, ParseArguments());
  }
  return Make(line, std::move(filter));
}

// A test takes one argument without parentheses: `x is divisibleby 3`.
bool ExpressionParser::TestArgumentFollows() const {
  const Token& token = stream_.Peek();
  switch (token.kind) {
    case Token::Kind::kName:
      return !token.IsName("else") && !token.IsName("or") && !token.IsName("and") &&
             !token.IsName("is") && !token.IsName("if") && !token.IsName("in") &&
             !token.IsName("not") && !token.IsName("recursive");
    case Token::Kind::kString:
    case Token::Kind::kNumber:
      return true;
    default:
      return token.IsOperator("[") || token.IsOperator("{");
  }
}

Result<ExprPtr> ExpressionParser::ParseTest(ExprPtr input) {
  Test test;
  const int line = stream_.line();
  test.negated = stream_.TakeName("not");
  test.input = std::move(input);
  ASSIGN_OR_RETURN(test.name, ParseDottedName());
  if (stream_.Peek().IsOperator("(")) {
    ASSIGN_OR_RETURN(test.arguments, ParseArguments());
  } else if (TestArgumentFollows()) {
    ASSIGN_OR_RETURN(ExprPtr argument, ParsePrimary());
    ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test.arguments.positional.push_back(std::move(argument));
  }
  return Make(line, std::move(test));
}

Result<ArgumentList> ExpressionParser::ParseArguments() {
  RETURN_IF_ERROR(stream_.ExpectOperator("("));
  ArgumentList list;
  bool first = true;
  while (!stream_.TakeOperator(")")) {
    if (!first) {
      RETURN_IF_ERROR(stream_.ExpectOperator(","));
      if (stream_.TakeOperator(")")) break;
    }
    first = false;
    if (stream_.TakeOperator("**")) {
      ASSIGN_OR_RETURN(list.star_star, Parse());
    } else if (stream_.TakeOperator("*")) {
      ASSIGN_OR_RETURN(list.star, Parse());
    } else if (stream_.Peek().kind == Token::Kind::kName && stream_.Peek(1).IsOperator("=")) {
      std::string name = stream_.Take().text;
      stream_.Take();
      ASSIGN_OR_RETURN(ExprPtr value, Parse());
      list.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!list.named.empty() || list.star_star != nullptr) {
        return stream_.Wrong("an argument without a name behind one with a name");
      }
      ASSIGN_OR_RETURN(ExprPtr value, Parse());
      list.positional.push_back(std::move(value));
    }
  }
  return list;
}

}  // namespace shoal::tokenizer::jinja
