#include "tokenizer/pattern.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal::tokenizer {

Result<Pattern> Pattern::FromJson(const model::JsonObject& owner) {
  ASSIGN_OR_RETURN(const model::JsonObject object, owner.Object("pattern"));
  Pattern pattern;
  if (object.Has("String")) {
    ASSIGN_OR_RETURN(pattern.text_, object.Text("String"));
    return pattern;
  }
  if (!object.Has("Regex")) {
    return owner.Wrong("pattern", "expected {\"String\": ...} or {\"Regex\": ...}");
  }
  ASSIGN_OR_RETURN(const std::string source, object.Text("Regex"));
  Result<Regex> regex = Regex::Compile(source);
  if (!regex) return FailWithContext(std::move(regex).error(), object.where());
  pattern.regex_ = *std::move(regex);
  return pattern;
}

Result<std::vector<Span>> Pattern::FindAll(std::string_view text) const {
  if (regex_) return regex_->FindAll(text);
  std::vector<Span> matches;
  if (text_.empty()) return matches;
  for (size_t at = text.find(text_); at != std::string_view::npos;
       at = text.find(text_, at + text_.size())) {
    matches.push_back({at, at + text_.size()});
  }
  return matches;
}

Result<std::string> Pattern::ReplaceAll(std::string_view text, std::string_view content) const {
  ASSIGN_OR_RETURN(const std::vector<Span> matches, FindAll(text));
  std::string out;
  size_t copied = 0;
  for (const Span& match : matches) {
    out += text.substr(copied, match.begin - copied);
    out += content;
    copied = match.end;
  }
  out += text.substr(copied);
  return out;
}

Result<SplitBehavior> ParseSplitBehavior(std::string_view name) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return Fail(Code::kInvalidArgument,
              StrCat("unknown behavior \"", name, "\"; known are Removed, Isolated, ",
                     "MergedWithPrevious, MergedWithNext and Contiguous"));
}

namespace {

struct Part {
  Span span;
  bool is_delimiter = false;
};

// The text as an unbroken row of delimiters and what lies between.
std::vector<Part> Parts(size_t size, const std::vector<Span>& delimiters, bool invert) {
  std::vector<Part> parts;
  size_t at = 0;
  for (const Span& delimiter : delimiters) {
    if (delimiter.begin > at) parts.push_back({{at, delimiter.begin}, invert});
    parts.push_back({delimiter, !invert});
    at = delimiter.end;
  }
  if (at < size) parts.push_back({{at, size}, invert});
  return parts;
}

// Joins every part for which `joins(part, previous_is_delimiter)` to the one before it.
template <typename Joins>
std::vector<Span> JoinForward(const std::vector<Part>& parts, const Joins& joins) {
  std::vector<Span> spans;
  bool previous = false;
  for (const Part& part : parts) {
    if (!spans.empty() && joins(part, previous)) {
      spans.back().end = part.span.end;
    } else {
      spans.push_back(part.span);
    }
    previous = part.is_delimiter;
  }
  return spans;
}

}  // namespace

std::vector<Span> SplitAt(size_t size, const std::vector<Span>& delimiters, bool invert,
                          SplitBehavior behavior) {
  const std::vector<Part> parts = Parts(size, delimiters, invert);
  switch (behavior) {
    case SplitBehavior::kContiguous:
      return JoinForward(
          parts, [](const Part& part, bool previous) { return part.is_delimiter == previous; });
    case SplitBehavior::kMergedWithPrevious:
      return JoinForward(
          parts, [](const Part& part, bool previous) { return part.is_delimiter && !previous; });
    case SplitBehavior::kMergedWithNext: {
      std::vector<Span> spans;
      bool following = false;
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (!spans.empty() && part->is_delimiter && !following) {
          spans.back().begin = part->span.begin;
        } else {
          spans.push_back(part->span);
        }
        following = part->is_delimiter;
      }
      std::ranges::reverse(spans);
      return spans;
    }
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
  }
  std::vector<Span> spans;
  for (const Part& part : parts) {
    if (behavior == SplitBehavior::kIsolated || !part.is_delimiter) spans.push_back(part.span);
  }
  return spans;
}

}  // namespace shoal::tokenizer
