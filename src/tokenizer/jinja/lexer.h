// Template text to tokens: what stands between tags, and the tokens inside them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

struct Token {
  enum class Kind : uint8_t {
    kText,         // Outside of tags.
    kOutputBegin,  // {{
    kOutputEnd,    // }}
    kTagBegin,     // {%
    kTagEnd,       // %}
    kName,
    kString,
    kNumber,
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;  // Of a string: its value. Empty for the tags' delimiters.
  Value number;

  bool IsOperator(std::string_view op) const { return kind == Kind::kOperator && text == op; }
  bool IsName(std::string_view name) const { return kind == Kind::kName && text == name; }
};

// Templates may be at most so long.
inline constexpr size_t kMaxTemplateBytes = size_t{4} << 20;

// As transformers sets Jinja up: trim_blocks and lstrip_blocks on, one newline at the very end
// dropped, every newline turned into \n. The last token is kEnd. kInvalidArgument with the line for
// what is no template.
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace shoal::tokenizer::jinja
