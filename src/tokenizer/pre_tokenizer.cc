#include "tokenizer/pre_tokenizer.h"

#include <functional>
#include <utility>

#include "base/str_cat.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

using PreTokenizerPtr = std::unique_ptr<PreTokenizer>;

// Applies `cut`, a function (Piece& piece, std::vector<Piece>& parts) -> Status, to every piece
// that is no added token.
template <typename Cut>
Status CutEach(std::vector<Piece>& pieces, const Cut& cut) {
  std::vector<Piece> parts;
  parts.reserve(pieces.size());
  for (Piece& piece : pieces) {
    if (piece.id >= 0) {
      parts.push_back(std::move(piece));
    } else {
      RETURN_IF_ERROR(cut(piece, parts));
    }
  }
  pieces = std::move(parts);
  return {};
}

void AppendParts(const Piece& piece, const std::vector<Span>& spans, std::vector<Piece>& parts) {
  for (const Span& span : spans) {
    if (span.begin == span.end) continue;
    parts.push_back({piece.text.substr(span.begin, span.end - span.begin), -1,
                     piece.begins_input && span.begin == 0});
  }
}

// Cuts at what `find`, a function text -> Result<std::vector<Span>>, finds.
class Split : public PreTokenizer {
 public:
  using Finder = std::function<Result<std::vector<Span>>(std::string_view)>;
  Split(Finder find, SplitBehavior behavior, bool invert)
      : find_(std::move(find)), behavior_(behavior), invert_(invert) {}

  Status Apply(std::vector<Piece>& pieces) const override {
    return CutEach(pieces, [this](const Piece& piece, std::vector<Piece>& parts) -> Status {
      ASSIGN_OR_RETURN(const std::vector<Span> found, find_(piece.text));
      AppendParts(piece, SplitAt(piece.text.size(), found, invert_, behavior_), parts);
      return {};
    });
  }

 private:
  Finder find_;
  SplitBehavior behavior_;
  bool invert_;
};

// Every character of a class, each by itself.
Split::Finder FindCharacters(bool (*is_wanted)(char32_t)) {
  return [is_wanted](std::string_view text) -> Result<std::vector<Span>> {
    std::vector<Span> found;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (is_wanted(NextCodePoint(text, at))) found.push_back({begin, at});
    }
    return found;
  };
}

// What the regular expression \w+|[^\w\s]+ matches.
Result<std::vector<Span>> FindWords(std::string_view text) {
  enum class Class { kNone, kSpace, kWord, kOther };
  std::vector<Span> found;
  Class last = Class::kNone;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = NextCodePoint(text, at);
    const Class now = IsWord(c) ? Class::kWord : IsWhitespace(c) ? Class::kSpace : Class::kOther;
    if (now == last && now != Class::kSpace) {
      found.back().end = at;
    } else if (now != Class::kSpace) {
      found.push_back({begin, at});
    }
    last = now;
  }
  return found;
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::optional<Regex> words)
      : add_prefix_space_(add_prefix_space), words_(std::move(words)) {}

  Status Apply(std::vector<Piece>& pieces) const override {
    return CutEach(pieces, [this](Piece& piece, std::vector<Piece>& parts) -> Status {
      if (add_prefix_space_ && !piece.text.starts_with(' ')) piece.text.insert(0, " ");
      if (!words_) {
        parts.push_back({BytesToCharacters(piece.text), -1, piece.begins_input});
        return {};
      }
      ASSIGN_OR_RETURN(const std::vector<Span> found, words_->FindAll(piece.text));
      const size_t first = parts.size();
      AppendParts(piece, SplitAt(piece.text.size(), found, false, SplitBehavior::kIsolated), parts);
      for (size_t i = first; i < parts.size(); ++i) {
        parts[i].text = BytesToCharacters(parts[i].text);
      }
      return {};
    });
  }

 private:
  bool add_prefix_space_;
  std::optional<Regex> words_;
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(MetaspaceOptions options, bool split) : options_(std::move(options)), split_(split) {}

  Status Apply(std::vector<Piece>& pieces) const override {
    return CutEach(pieces, [this](Piece& piece, std::vector<Piece>& parts) -> Status {
      std::string text;
      text.reserve(piece.text.size() + options_.replacement.size());
      for (const char c : piece.text) {
        if (c == ' ') {
          text += options_.replacement;
        } else {
          text += c;
        }
      }
      const bool prepends = options_.prepend == PrependScheme::kAlways ||
                            (options_.prepend == PrependScheme::kFirst && piece.begins_input);
      if (prepends && !text.starts_with(options_.replacement)) {
        text.insert(0, options_.replacement);
      }
      piece.text = std::move(text);
      if (!split_) {
        parts.push_back(std::move(piece));
        return {};
      }
      std::vector<Span> marks;
      const size_t size = options_.replacement.size();
      for (size_t at = piece.text.find(options_.replacement); at != std::string::npos;
           at = piece.text.find(options_.replacement, at + size)) {
        marks.push_back({at, at + size});
      }
      AppendParts(piece, SplitAt(piece.text.size(), marks, false, SplitBehavior::kMergedWithNext),
                  parts);
      return {};
    });
  }

 private:
  MetaspaceOptions options_;
  bool split_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<PreTokenizerPtr> parts) : parts_(std::move(parts)) {}
  Status Apply(std::vector<Piece>& pieces) const override {
    for (const PreTokenizerPtr& part : parts_) RETURN_IF_ERROR(part->Apply(pieces));
    return {};
  }

 private:
  std::vector<PreTokenizerPtr> parts_;
};

constexpr size_t kMaxPreTokenizers = 64;
// GPT-2's division of a text into words (Radford et al., 2019).
constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Result<PreTokenizerPtr> ParseSplit(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(Pattern pattern, Pattern::FromJson(object));
  ASSIGN_OR_RETURN(const std::string behavior_name, object.Text("behavior"));
  Result<SplitBehavior> behavior = ParseSplitBehavior(behavior_name);
  if (!behavior) return FailWithContext(std::move(behavior).error(), object.where());
  ASSIGN_OR_RETURN(const bool invert, object.BoolOr("invert", false));
  auto shared = std::make_shared<const Pattern>(std::move(pattern));
  return std::make_unique<Split>([shared](std::string_view text) { return shared->FindAll(text); },
                                 *behavior, invert);
}

Result<PreTokenizerPtr> ParseByteLevel(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const bool add_prefix_space, object.BoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool use_regex, object.BoolOr("use_regex", true));
  std::optional<Regex> words;
  if (use_regex) {
    ASSIGN_OR_RETURN(words, Regex::Compile(kGpt2Words));
  }
  return std::make_unique<ByteLevel>(add_prefix_space, std::move(words));
}

Result<PreTokenizerPtr> ParseCharDelimiter(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(std::string delimiter, object.Text("delimiter"));
  if (CountCodePoints(delimiter) != 1) return object.Wrong("delimiter", "expected one character");
  const size_t at_least = delimiter.size();
  return std::make_unique<Split>(
      [delimiter = std::move(delimiter),
       at_least](std::string_view text) -> Result<std::vector<Span>> {
        std::vector<Span> found;
        for (size_t at = text.find(delimiter); at != std::string_view::npos;
             at = text.find(delimiter, at + at_least)) {
          found.push_back({at, at + at_least});
        }
        return found;
      },
      SplitBehavior::kRemoved, false);
}

Result<PreTokenizerPtr> ParsePreTokenizerSequence(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const auto objects, object.Objects("pretokenizers", kMaxPreTokenizers));
  std::vector<PreTokenizerPtr> parts;
  for (const model::JsonObject& part : objects) {
    ASSIGN_OR_RETURN(PreTokenizerPtr pre_tokenizer, ParsePreTokenizer(part));
    parts.push_back(std::move(pre_tokenizer));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(parts));
}

}  // namespace

Result<MetaspaceOptions> ParseMetaspace(const model::JsonObject& object) {
  MetaspaceOptions options;
  ASSIGN_OR_RETURN(options.replacement, object.TextOr("replacement", "\xE2\x96\x81"));
  if (CountCodePoints(options.replacement) != 1) {
    return object.Wrong("replacement", "expected one character");
  }
  ASSIGN_OR_RETURN(const bool add_prefix_space, object.BoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const std::string scheme,
                   object.TextOr("prepend_scheme", add_prefix_space ? "always" : "never"));
  if (scheme == "first") {
    options.prepend = PrependScheme::kFirst;
  } else if (scheme == "never") {
    options.prepend = PrependScheme::kNever;
  } else if (scheme != "always") {
    return object.Wrong("prepend_scheme", "expected \"first\", \"never\" or \"always\"");
  }
  return options;
}

Result<PreTokenizerPtr> ParsePreTokenizer(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const std::string type, object.Text("type"));
  if (type == "Sequence") return ParsePreTokenizerSequence(object);
  if (type == "Split") return ParseSplit(object);
  if (type == "ByteLevel") return ParseByteLevel(object);
  if (type == "CharDelimiterSplit") return ParseCharDelimiter(object);
  if (type == "Metaspace") {
    ASSIGN_OR_RETURN(MetaspaceOptions options, ParseMetaspace(object));
    ASSIGN_OR_RETURN(const bool split, object.BoolOr("split", true));
    return std::make_unique<Metaspace>(std::move(options), split);
  }
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, object.BoolOr("individual_digits", false));
    return std::make_unique<Split>(
        FindCharacters(IsNumeric),
        individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false);
  }
  if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const std::string behavior_name, object.TextOr("behavior", "Isolated"));
    Result<SplitBehavior> behavior = ParseSplitBehavior(behavior_name);
    if (!behavior) return FailWithContext(std::move(behavior).error(), object.where());
    return std::make_unique<Split>(FindCharacters(IsPunctuation), *behavior, false);
  }
  if (type == "Whitespace") {
    return std::make_unique<Split>(FindWords, SplitBehavior::kRemoved, true);
  }
  if (type == "WhitespaceSplit") {
    return std::make_unique<Split>(FindCharacters(IsWhitespace), SplitBehavior::kRemoved, false);
  }
  return Fail(Code::kUnimplemented,
              StrCat(object.where(), ": the pre-tokenizer \"", type, "\" is not supported"));
}

}  // namespace shoal::tokenizer
