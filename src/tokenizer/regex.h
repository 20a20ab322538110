// Regular expressions as Hugging Face tokenizers use them: Oniguruma with its default syntax over
// UTF-8 text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct re_pattern_buffer;  // Oniguruma's compiled pattern.

namespace shoal::tokenizer {

// Bytes [begin, end) of some text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const Span&) const = default;
};

// A compiled pattern; immutable, so any number of threads may search with it at once.
class Regex {
 public:
  // kInvalidArgument with Oniguruma's reason when `pattern` is not well formed.
  static Result<Regex> Compile(std::string_view pattern);

  // The matches in `text` (valid UTF-8) from left to right; none overlaps the one before, and an
  // empty one is not taken right behind another match. kResourceExhausted when the pattern
  // backtracks without end on this text.
  Result<std::vector<Span>> FindAll(std::string_view text) const;

 private:
  struct Deleter {
    void operator()(re_pattern_buffer* pattern) const;
  };
  using Compiled = std::unique_ptr<re_pattern_buffer, Deleter>;

  explicit Regex(Compiled compiled) : compiled_(std::move(compiled)) {}

  Compiled compiled_;
};

}  // namespace shoal::tokenizer
