// The parser's place in a row of tokens.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/str_cat.h"
#include "tokenizer/jinja/lexer.h"

namespace shoal::tokenizer::jinja {

class TokenStream {
 public:
  // The last token is kEnd.
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  int line() const { return Peek().line; }
  const Token& Take() {
    const Token& token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool TakeOperator(std::string_view op) {
    if (!Peek().IsOperator(op)) return false;
    Take();
    return true;
  }
  bool TakeName(std::string_view name) {
    if (!Peek().IsName(name)) return false;
    Take();
    return true;
  }
  Status ExpectOperator(std::string_view op) {
    if (TakeOperator(op)) return {};
    return Wrong(StrCat("expected '", op, "', found ", Describe(Peek())));
  }
  Result<std::string> ExpectName() {
    if (Peek().kind != Token::Kind::kName) {
      return Wrong(StrCat("expected a name, found ", Describe(Peek())));
    }
    return Take().text;
  }
  Status ExpectTagEnd() {
    if (Peek().kind != Token::Kind::kTagEnd) {
      return Wrong(StrCat("expected the end of the tag, found ", Describe(Peek())));
    }
    Take();
    return {};
  }

  size_t position() const { return at_; }
  // Whether a token between `begin`, an earlier position, and here is this name.
  bool Mentions(std::string_view name, size_t begin) const {
    return std::any_of(tokens_.begin() + static_cast<ptrdiff_t>(begin),
                       tokens_.begin() + static_cast<ptrdiff_t>(at_),
                       [&](const Token& token) { return token.IsName(name); });
  }

  std::unexpected<Error> Wrong(std::string_view what) const {
    return Fail(Code::kInvalidArgument, StrCat("line ", line(), ": ", what));
  }

  static std::string Describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::kText:
        return "text";
      case Token::Kind::kOutputBegin:
        return "'{{'";
      case Token::Kind::kOutputEnd:
        return "'}}'";
      case Token::Kind::kTagBegin:
        return "'{%'";
      case Token::Kind::kTagEnd:
        return "'%}'";
      case Token::Kind::kString:
        return "a string";
      case Token::Kind::kEnd:
        return "the end of the template";
      default:
        return StrCat("'", token.text, "'");
    }
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace shoal::tokenizer::jinja
