#include "wire/json_scanner.h"

#include "base/str_cat.h"
#include "wire/utf8.h"

namespace shoal::wire {

void JsonScanner::Fail(std::string_view what) {
  if (!ok_) return;
  ok_ = false;
  error_ = StrCat(what, " at byte ", at_, " of the text");
}

void JsonScanner::SkipSpace() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
    ++at_;
  }
}

char JsonScanner::Peek() {
  if (!ok_) return 0;
  SkipSpace();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonScanner::Consume(char c) {
  if (Peek() != c || at_ == text_.size()) return false;
  ++at_;
  return true;
}

void JsonScanner::Expect(char c) {
  if (ok_ && !Consume(c)) Fail(StrCat("'", c, "' expected"));
}

void JsonScanner::ExpectEnd() {
  SkipSpace();
  if (ok_ && at_ != text_.size()) Fail("something follows the value");
}

bool JsonScanner::Boolean() {
  for (const bool value : {false, true}) {
    const std::string_view word = value ? "true" : "false";
    Peek();
    if (ok_ && text_.substr(at_).starts_with(word)) {
      at_ += word.size();
      return value;
    }
  }
  Fail("true or false expected");
  return false;
}

std::string_view JsonScanner::Number() {
  constexpr std::string_view kNumberCharacters = "+-.0123456789Ee";
  Peek();
  if (!ok_) return {};
  size_t end = text_.find_first_not_of(kNumberCharacters, at_);
  if (end == std::string_view::npos) end = text_.size();
  if (end == at_) {
    Fail("a number expected");
    return {};
  }
  const std::string_view number = text_.substr(at_, end - at_);
  at_ = end;
  return number;
}

uint32_t JsonScanner::HexUnit() {
  uint32_t unit = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) {
      Fail("four hexadecimal digits expected");
      return 0;
    }
    unit = unit << 4 | static_cast<uint32_t>(digit);
  }
  return unit;
}

void JsonScanner::Escape(std::string& out) {
  const char c = at_ < text_.size() ? text_[at_++] : '\0';
  switch (c) {
    case '"':
    case '\\':
    case '/':
      out += c;
      return;
    case 'b':
      out += '\b';
      return;
    case 'f':
      out += '\f';
      return;
    case 'n':
      out += '\n';
      return;
    case 'r':
      out += '\r';
      return;
    case 't':
      out += '\t';
      return;
    case 'u':
      break;
    default:
      Fail("unknown escape");
      return;
  }
  uint32_t code_point = HexUnit();
  if (code_point >= 0xD800 && code_point < 0xDC00) {
    if (!text_.substr(at_).starts_with("\\u")) return Fail("half a surrogate pair");
    at_ += 2;
    const uint32_t low = HexUnit();
    if (low < 0xDC00 || low > 0xDFFF) return Fail("half a surrogate pair");
    code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
  } else if (code_point >= 0xDC00 && code_point <= 0xDFFF) {
    return Fail("half a surrogate pair");
  }
  if (ok_) AppendUtf8(code_point, out);
}

std::string JsonScanner::String() {
  Expect('"');
  std::string out;
  const size_t start = at_;
  while (ok_) {
    const size_t plain_end = text_.find_first_of("\"\\", at_);
    if (plain_end == std::string_view::npos) {
      Fail("a string without its end");
      break;
    }
    for (const char c : text_.substr(at_, plain_end - at_)) {
      if (static_cast<unsigned char>(c) < 0x20) Fail("a control character in a string");
    }
    out += text_.substr(at_, plain_end - at_);
    at_ = plain_end + 1;
    if (text_[plain_end] == '"') break;
    Escape(out);
  }
  if (ok_ && !IsUtf8(text_.substr(start, at_ - start))) Fail("a string that is not UTF-8");
  return ok_ ? out : std::string();
}

}  // namespace shoal::wire
