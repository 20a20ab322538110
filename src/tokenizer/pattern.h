// What a tokenizer.json file searches for ({"String": ...} or {"Regex": ...}), and how a text is
// cut at what was found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "tokenizer/regex.h"

namespace shoal::tokenizer {

// Immutable and safe to share between threads.
class Pattern {
 public:
  // Reads the field "pattern" of `owner`.
  static Result<Pattern> FromJson(const model::JsonObject& owner);

  // Matches from left to right without overlap. An empty string pattern matches nowhere.
  Result<std::vector<Span>> FindAll(std::string_view text) const;
  // Every match replaced by the content as it is.
  Result<std::string> ReplaceAll(std::string_view text, std::string_view content) const;

 private:
  std::string text_;
  std::optional<Regex> regex_;  // Used instead of text_ when there.
};

// What becomes of a delimiter when a text is cut at it.
enum class SplitBehavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,  // Neighbouring delimiters are one piece.
};
Result<SplitBehavior> ParseSplitBehavior(std::string_view name);

// The pieces of a text of `size` bytes that is cut at `delimiters` (ordered, not overlapping). With
// `invert`, what lies between is the delimiter. Pieces are in order and may be empty.
std::vector<Span> SplitAt(size_t size, const std::vector<Span>& delimiters, bool invert,
                          SplitBehavior behavior);

}  // namespace shoal::tokenizer
