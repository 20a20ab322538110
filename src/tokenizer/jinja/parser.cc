#include "tokenizer/jinja/parser.h"

#include <initializer_list>

#include "tokenizer/jinja/expression_parser.h"
#include "tokenizer/jinja/lexer.h"
#include "tokenizer/jinja/token_stream.h"

namespace shoal::tokenizer::jinja {

namespace {

using EndNames = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : stream_(std::move(tokens)), expressions_(stream_) {}

  Result<Body> ParseAll() { return ParseBody({}); }

 private:
  // The statements up to a tag whose name is one of `ends`, which is not taken; its `{%` is.
  Result<Body> ParseBody(EndNames ends) {
    if (++depth_ > kMaxStatementDepth) {
      return stream_.Wrong(StrCat("statements nest deeper than ", kMaxStatementDepth));
    }
    Body body;
    while (true) {
      const int line = stream_.line();
      switch (stream_.Peek().kind) {
        case Token::Kind::kText:
          body.push_back({line, Text{stream_.Take().text}});
          continue;
        case Token::Kind::kOutputBegin: {
          stream_.Take();
          ASSIGN_OR_RETURN(ExprPtr value, expressions_.ParseTuple());
          if (stream_.Peek().kind != Token::Kind::kOutputEnd) {
            return stream_.Wrong(
                StrCat("expected '}}', found ", TokenStream::Describe(stream_.Peek())));
          }
          stream_.Take();
          body.push_back({line, Output{std::move(value)}});
          continue;
        }
        case Token::Kind::kTagBegin: {
          stream_.Take();
          for (const std::string_view end : ends) {
            if (!stream_.Peek().IsName(end)) continue;
            --depth_;
            return body;
          }
          RETURN_IF_ERROR(ParseStatement(body));
          continue;
        }
        default:
          break;
      }
      if (ends.size() > 0) return stream_.Wrong(StrCat("expected {% ", *ends.begin(), " %}"));
      --depth_;
      return body;
    }
  }

  // The body of a statement whose tag `end` is taken whole.
  Result<Body> ParseBodyUntil(std::string_view end) {
    RETURN_IF_ERROR(stream_.ExpectTagEnd());
    ASSIGN_OR_RETURN(Body body, ParseBody({end}));
    stream_.Take();
    return body;
  }

  Status ParseStatement(Body& body) {
    const int line = stream_.line();
    ASSIGN_OR_RETURN(const std::string name, stream_.ExpectName());
    const auto add = [&](auto node) -> Status {
      if (!node) return std::unexpected<Error>(std::move(node).error());
      body.push_back({line, *std::move(node)});
      return stream_.ExpectTagEnd();
    };
    if (name == "if") return add(ParseIf());
    if (name == "for") return add(ParseFor());
    if (name == "set") return ParseSet(body, line);
    if (name == "macro") return add(ParseMacro());
    if (name == "call") return add(ParseCallBlock());
    if (name == "filter") return add(ParseFilterBlock());
    if (name == "with") return add(ParseWith());
    if (name == "generation") return add(ParseScope("endgeneration"));
    if (name == "block") return add(ParseBlock());
    if (name == "break" || name == "continue") {
      if (loops_ == 0) return stream_.Wrong(StrCat("'", name, "' outside of a loop"));
      if (name == "break") return add(Result<Break>(Break{}));
      return add(Result<Continue>(Continue{}));
    }
    for (const std::string_view known :
         {"include", "import", "from", "extends", "do", "autoescape", "trans", "print", "debug"}) {
      if (name == known) {
        return Fail(Code::kUnimplemented,
                    StrCat("line ", line, ": the statement '", name, "' is not supported"));
      }
    }
    return stream_.Wrong(StrCat("unknown statement '", name, "'"));
  }

  Result<If> ParseIf() {
    If node;
    while (true) {
      ASSIGN_OR_RETURN(ExprPtr condition, expressions_.ParseTuple(false));
      RETURN_IF_ERROR(stream_.ExpectTagEnd());
      ASSIGN_OR_RETURN(Body body, ParseBody({"endif", "elif", "else"}));
      node.branches.emplace_back(std::move(condition), std::move(body));
      const std::string end = stream_.Take().text;
      if (end == "elif") continue;
      if (end == "else") {
        ASSIGN_OR_RETURN(node.otherwise, ParseBodyUntil("endif"));
      }
      return node;
    }
  }

  Result<For> ParseFor() {
    For node;
    ASSIGN_OR_RETURN(node.target, ParseTarget());
    if (!stream_.TakeName("in")) return stream_.Wrong("expected 'in'");
    ASSIGN_OR_RETURN(node.items, expressions_.ParseTuple(false));
    if (stream_.TakeName("if")) {
      ASSIGN_OR_RETURN(node.filter, expressions_.Parse());
    }
    node.is_recursive = stream_.TakeName("recursive");
    RETURN_IF_ERROR(stream_.ExpectTagEnd());
    ++loops_;
    Result<Body> body = ParseBody({"endfor", "else"});
    --loops_;
    ASSIGN_OR_RETURN(node.body, std::move(body));
    if (stream_.Take().text == "else") {
      ASSIGN_OR_RETURN(node.otherwise, ParseBodyUntil("endfor"));
    }
    return node;
  }

  Status ParseSet(Body& body, int line) {
    ASSIGN_OR_RETURN(Target target, ParseTarget());
    if (stream_.TakeOperator("=")) {
      ASSIGN_OR_RETURN(ExprPtr value, expressions_.ParseTuple());
      body.push_back({line, Set{std::move(target), std::move(value)}});
      return stream_.ExpectTagEnd();
    }
    SetBlock block;
    block.target = std::move(target);
    ASSIGN_OR_RETURN(block.filter, expressions_.ParseFilterChain(nullptr));
    ASSIGN_OR_RETURN(block.body, ParseBodyUntil("endset"));
    body.push_back({line, std::move(block)});
    return stream_.ExpectTagEnd();
  }

  // "name", "namespace.attribute", "a, b" or "(a, b)".
  Result<Target> ParseTarget() {
    ASSIGN_OR_RETURN(Target first, ParseSingleTarget());
    if (!stream_.Peek().IsOperator(",")) return first;
    Target tuple;
    tuple.targets.push_back(std::move(first));
    while (stream_.TakeOperator(",")) {
      if (stream_.Peek().kind != Token::Kind::kName && !stream_.Peek().IsOperator("(")) break;
      if (stream_.Peek().IsName("in")) break;
      ASSIGN_OR_RETURN(Target next, ParseSingleTarget());
      tuple.targets.push_back(std::move(next));
    }
    return tuple;
  }

  Result<Target> ParseSingleTarget() {
    if (stream_.TakeOperator("(")) {
      if (++depth_ > kMaxStatementDepth) return stream_.Wrong("targets nest too deep");
      ASSIGN_OR_RETURN(Target inner, ParseTarget());
      --depth_;
      RETURN_IF_ERROR(stream_.ExpectOperator(")"));
      return inner;
    }
    Target target;
    ASSIGN_OR_RETURN(target.name, stream_.ExpectName());
    if (stream_.TakeOperator(".")) {
      ASSIGN_OR_RETURN(target.attribute, stream_.ExpectName());
    }
    return target;
  }

  Status ParseParameters(Macro& macro) {
    RETURN_IF_ERROR(stream_.ExpectOperator("("));
    while (!stream_.TakeOperator(")")) {
      if (!macro.parameters.empty()) {
        RETURN_IF_ERROR(stream_.ExpectOperator(","));
        if (stream_.TakeOperator(")")) break;
      }
      Parameter parameter;
      ASSIGN_OR_RETURN(parameter.name, stream_.ExpectName());
      if (stream_.TakeOperator("=")) {
        ASSIGN_OR_RETURN(parameter.otherwise, expressions_.Parse());
      } else if (!macro.parameters.empty() && macro.parameters.back().otherwise != nullptr) {
        return stream_.Wrong("a parameter without a default behind one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    return {};
  }

  // A macro's body is no part of the loop it may stand in.
  Status ParseMacroBody(Macro& macro, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    const size_t begin = stream_.position();
    Result<Body> body = ParseBodyUntil(end);
    loops_ = loops;
    ASSIGN_OR_RETURN(macro.body, std::move(body));
    macro.uses_varargs = stream_.Mentions("varargs", begin);
    macro.uses_kwargs = stream_.Mentions("kwargs", begin);
    return {};
  }

  Result<std::shared_ptr<const Macro>> ParseMacro() {
    auto macro = std::make_shared<Macro>();
    ASSIGN_OR_RETURN(macro->name, stream_.ExpectName());
    RETURN_IF_ERROR(ParseParameters(*macro));
    RETURN_IF_ERROR(ParseMacroBody(*macro, "endmacro"));
    return macro;
  }

  Result<CallBlock> ParseCallBlock() {
    CallBlock block;
    block.caller = std::make_unique<Macro>();
    block.caller->name = "caller";
    if (stream_.Peek().IsOperator("(")) RETURN_IF_ERROR(ParseParameters(*block.caller));
    ASSIGN_OR_RETURN(block.call, expressions_.Parse());
    if (!std::holds_alternative<Call>(block.call->node)) {
      return stream_.Wrong("expected a call of a macro");
    }
    RETURN_IF_ERROR(ParseMacroBody(*block.caller, "endcall"));
    return block;
  }

  Result<FilterBlock> ParseFilterBlock() {
    FilterBlock block;
    ASSIGN_OR_RETURN(block.filter, expressions_.ParseFilterBlock());
    ASSIGN_OR_RETURN(block.body, ParseBodyUntil("endfilter"));
    return block;
  }

  Result<With> ParseWith() {
    With node;
    while (stream_.Peek().kind != Token::Kind::kTagEnd) {
      if (!node.assignments.empty()) RETURN_IF_ERROR(stream_.ExpectOperator(","));
      ASSIGN_OR_RETURN(Target target, ParseSingleTarget());
      RETURN_IF_ERROR(stream_.ExpectOperator("="));
      ASSIGN_OR_RETURN(ExprPtr value, expressions_.Parse());
      node.assignments.emplace_back(std::move(target), std::move(value));
    }
    ASSIGN_OR_RETURN(node.body, ParseBodyUntil("endwith"));
    return node;
  }

  Result<With> ParseScope(std::string_view end) {
    With node;
    ASSIGN_OR_RETURN(node.body, ParseBodyUntil(end));
    return node;
  }

  // Without inheritance a block is its content.
  Result<With> ParseBlock() {
    RETURN_IF_ERROR(stream_.ExpectName());
    ASSIGN_OR_RETURN(With node, ParseScope("endblock"));
    if (stream_.Peek().kind == Token::Kind::kName) stream_.Take();
    return node;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Template>> ParseTemplate(std::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  StatementParser parser(std::move(tokens));
  ASSIGN_OR_RETURN(Body body, parser.ParseAll());
  return std::make_shared<const Template>(std::move(body));
}

}  // namespace shoal::tokenizer::jinja
