#include "tokenizer/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/str_cat.h"
#include "tokenizer/jinja/python_text.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// With its newlines as \n and the last one dropped.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\r') {
      if (at + 1 < source.size() && source[at + 1] == '\n') continue;
      out += '\n';
    } else {
      out += source[at];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(ReadTextAndTag());
    Add(Token::Kind::kEnd);
    return std::move(tokens_);
  }

 private:
  std::unexpected<Error> Wrong(std::string_view what, int line) const {
    return Fail(Code::kInvalidArgument, StrCat("line ", line, ": ", what));
  }
  std::unexpected<Error> Wrong(std::string_view what) const { return Wrong(what, line_); }

  bool At(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void Advance(size_t bytes) {
    line_ += static_cast<int>(std::ranges::count(source_.substr(at_, bytes), '\n'));
    at_ += bytes;
  }
  void Add(Token::Kind kind, std::string text = {}) {
    tokens_.push_back({kind, line_, std::move(text), {}});
  }

  // Everything up to the next tag, and the tag.
  Status ReadTextAndTag() {
    size_t tag = at_;
    while (tag < source_.size() &&
           !(source_[tag] == '{' && tag + 1 < source_.size() &&
             (source_[tag + 1] == '{' || source_[tag + 1] == '%' || source_[tag + 1] == '#'))) {
      ++tag;
    }
    std::string_view text = source_.substr(at_, tag - at_);
    if (tag == source_.size()) {
      AddText(text);
      Advance(text.size());
      return {};
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    const bool has_sign = sign == '-' || sign == '+';
    AddText(StripBeforeTag(text, type, has_sign ? sign : ' '));
    Advance(text.size() + 2 + (has_sign ? 1 : 0));
    if (type == '#') return SkipComment();
    if (type == '%' && IsRaw()) return ReadRaw();
    Add(type == '{' ? Token::Kind::kOutputBegin : Token::Kind::kTagBegin);
    return ReadTag(type == '{' ? "}}" : "%}");
  }

  void AddText(std::string_view text) {
    if (!text.empty()) Add(Token::Kind::kText, std::string(text));
  }

  // `{%-` takes all the whitespace before it; `{%` and `{#` take what stands between them and the
  // beginning of the line, unless written `{%+`.
  std::string_view StripBeforeTag(std::string_view text, char type, char sign) const {
    if (sign == '-') return StripRight(text);
    if (sign == '+' || type == '{') return text;
    const size_t newline = text.rfind('\n');
    const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (line_begin == 0 && !line_starting_) return text;
    if (!StripRight(text.substr(line_begin)).empty()) return text;
    return text.substr(0, line_begin);
  }

  // Past the end of a tag whose delimiter (two characters) is next, and past the whitespace that
  // its sign or trim_blocks takes along. False when it is not next.
  bool TryEnd(std::string_view delimiter) {
    const bool is_output = delimiter == "}}";
    if (At(StrCat("-", delimiter))) {
      Advance(3);
      const std::string_view rest = source_.substr(at_);
      Advance(rest.size() - StripLeft(rest).size());
      line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
      return true;
    }
    if (!is_output && At(StrCat("+", delimiter))) {
      Advance(3);
      line_starting_ = false;
      return true;
    }
    if (!At(delimiter)) return false;
    Advance(2);
    line_starting_ = false;
    if (!is_output && At("\n")) {
      Advance(1);
      line_starting_ = true;
    }
    return true;
  }

  Status SkipComment() {
    const int begin_line = line_;
    while (at_ < source_.size()) {
      if (TryEnd("#}")) return {};
      Advance(1);
    }
    return Wrong("a comment {# without its end #}", begin_line);
  }

  // Whether `raw` and the end of its tag come next; at_ is behind the `{%`.
  bool IsRaw() const {
    std::string_view rest = StripLeft(source_.substr(at_));
    if (!rest.starts_with("raw")) return false;
    rest = StripLeft(rest.substr(3));
    return rest.starts_with("%}") || rest.starts_with("-%}");
  }

  Status ReadRaw() {
    const int begin_line = line_;
    const size_t end = source_.find("%}", at_);
    const bool strips = source_[end - 1] == '-';
    Advance(end + 2 - at_);
    const std::string_view behind = source_.substr(at_);
    if (strips) Advance(behind.size() - StripLeft(behind).size());
    line_starting_ = false;
    for (size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 2)) {
      std::string_view rest = source_.substr(tag + 2);
      const char sign = rest.empty() ? ' ' : rest[0];
      if (sign == '-' || sign == '+') rest.remove_prefix(1);
      rest = StripLeft(rest);
      if (!rest.starts_with("endraw")) continue;
      rest = StripLeft(rest.substr(6));
      if (!rest.starts_with("%}") && !rest.starts_with("-%}") && !rest.starts_with("+%}")) continue;
      AddText(StripBeforeTag(source_.substr(at_, tag - at_), '%', sign));
      Advance(source_.size() - rest.size() - at_);
      TryEnd("%}");
      return {};
    }
    return Wrong("{% raw %} without {% endraw %}", begin_line);
  }

  // The tokens up to the end of the tag. Inside brackets the delimiter is not the tag's end.
  Status ReadTag(std::string_view delimiter) {
    const int begin_line = line_;
    std::string open;  // The brackets that are open.
    while (true) {
      const std::string_view rest = source_.substr(at_);
      Advance(rest.size() - StripLeft(rest).size());
      if (at_ >= source_.size()) {
        return Wrong(StrCat("a tag without its end ", delimiter), begin_line);
      }
      const int line = line_;
      if (open.empty() && TryEnd(delimiter)) {
        tokens_.push_back(
            {delimiter == "}}" ? Token::Kind::kOutputEnd : Token::Kind::kTagEnd, line, {}, {}});
        return {};
      }
      RETURN_IF_ERROR(ReadToken(open));
    }
  }

  Status ReadToken(std::string& open) {
    const char c = source_[at_];
    if (c == '"' || c == '\'') return ReadString();
    if (IsDigit(c)) return ReadNumber();
    size_t end = at_;
    while (end < source_.size()) {
      size_t next = end;
      const char32_t point = NextCodePoint(source_, next);
      if (!IsWord(point)) break;
      end = next;
    }
    if (end > at_) {
      Add(Token::Kind::kName, std::string(source_.substr(at_, end - at_)));
      Advance(end - at_);
      return {};
    }
    constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ".", ":", "|", ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!At(op)) continue;
      RETURN_IF_ERROR(Balance(op[0], open));
      Add(Token::Kind::kOperator, std::string(op));
      Advance(op.size());
      return {};
    }
    return Wrong(StrCat("unexpected character '", std::string(1, c), "'"));
  }

  Status Balance(char c, std::string& open) const {
    constexpr std::string_view kOpening = "([{", kClosing = ")]}";
    if (kOpening.contains(c)) open += c;
    const size_t closing = kClosing.find(c);
    if (closing == std::string_view::npos) return {};
    if (open.empty() || open.back() != kOpening[closing]) {
      return Wrong(StrCat("unexpected '", std::string(1, c), "'"));
    }
    open.pop_back();
    return {};
  }

  Status ReadString() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return Wrong("a string without its end");
    Result<std::string> value = UnescapeLiteral(source_.substr(at_ + 1, end - at_ - 1));
    if (!value) return Wrong(value.error().detail);
    Add(Token::Kind::kString, *std::move(value));
    Advance(end + 1 - at_);
    return {};
  }

  Status ReadNumber() {
    const std::string_view rest = source_.substr(at_);
    int base = 10;
    if (rest.starts_with("0x") || rest.starts_with("0X")) base = 16;
    if (rest.starts_with("0o") || rest.starts_with("0O")) base = 8;
    if (rest.starts_with("0b") || rest.starts_with("0B")) base = 2;
    size_t size = base == 10 ? DecimalSize(rest) : 2;
    while (base != 10 && size < rest.size() && IsDigitOf(rest[size], base)) ++size;
    std::string text(rest.substr(0, size));
    std::erase(text, '_');
    Add(Token::Kind::kNumber, text);
    if (text.find_first_of(".eE") != std::string::npos && base == 10) {
      tokens_.back().number = Value(std::strtod(text.c_str(), nullptr));
    } else {
      const std::optional<Integer> number =
          ParseInteger(base == 10 ? text : std::string_view(text).substr(2), base);
      if (!number) return Wrong(StrCat("not a number, or too large: ", text));
      tokens_.back().number = Value(*number);
    }
    Advance(size);
    return {};
  }

  static bool IsDigitOf(char c, int base) {
    return c == '_' || (IsDigit(c) && c - '0' < base) ||
           (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f');
  }

  // How many bytes the decimal number at the front of `rest` takes. Behind a dot ("a.1.2") it is an
  // index, which has no fraction.
  size_t DecimalSize(std::string_view rest) const {
    size_t size = 0;
    const auto digits = [&] {
      while (size < rest.size() && (IsDigit(rest[size]) || rest[size] == '_')) ++size;
    };
    const auto is_digit = [&](size_t at) { return at < rest.size() && IsDigit(rest[at]); };
    digits();
    if (at_ > 0 && source_[at_ - 1] == '.') return size;
    if (size < rest.size() && rest[size] == '.' && is_digit(size + 1)) {
      ++size;
      digits();
    }
    if (size < rest.size() && (rest[size] | 0x20) == 'e') {
      const bool is_signed =
          size + 1 < rest.size() && (rest[size + 1] == '+' || rest[size + 1] == '-');
      const size_t exponent = size + (is_signed ? 2 : 1);
      if (is_digit(exponent)) {
        size = exponent;
        digits();
      }
    }
    return size;
  }

  const std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // Whether what comes next begins a line, as far as Jinja can tell.
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return Fail(Code::kInvalidArgument,
                StrCat("a template of ", source.size(), " bytes; at most ", kMaxTemplateBytes));
  }
  if (!IsValidUtf8(source)) return Fail(Code::kInvalidArgument, "the template is not UTF-8");
  const std::string normalized = NormalizeNewlines(source);
  return Lexer(normalized).Run();
}

}  // namespace shoal::tokenizer::jinja
