// Template text to a Template, by recursive descent, with Jinja's precedences.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja/ast.h"

namespace shoal::tokenizer::jinja {

// Immutable once parsed.
class Template {
 public:
  explicit Template(Body statements) : body(std::move(statements)) {}
  const Body body;
};

// Expressions and statements nest at most so deep.
inline constexpr int kMaxExprDepth = 250;
inline constexpr int kMaxStatementDepth = 100;

// kInvalidArgument, with the line, for a syntax error; kUnimplemented for a statement that is not
// supported (include, import, extends).
Result<std::shared_ptr<const Template>> ParseTemplate(std::string_view source);

}  // namespace shoal::tokenizer::jinja
