#include "cli/settings_file.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <utility>

#include "base/str_cat.h"

namespace shoal::cli {

namespace {

bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
}

// Reads a file from its beginning to its end; the first error is kept.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<std::vector<Setting>> Read() {
    while (SkipToNext(), !AtEnd()) {
      const bool is_read = Peek() == '[' ? ReadSection() : ReadSetting();
      if (!is_read || !EndLine())
        return Fail(Code::kInvalidArgument, StrCat("line ", line_, ": ", why_));
    }
    return std::move(settings_);
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Wrong(std::string why) {
    why_ = std::move(why);
    return false;
  }

  void SkipBlanks() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\r') ++at_;
  }
  void SkipComment() {
    if (Peek() != '#') return;
    at_ = std::min(text_.find('\n', at_), text_.size());
  }
  // Over blanks, comments and ends of lines.
  void SkipToNext() {
    while (true) {
      SkipBlanks();
      SkipComment();
      if (Peek() != '\n') return;
      ++at_;
      ++line_;
    }
  }
  bool EndLine() {
    SkipBlanks();
    SkipComment();
    return AtEnd() || Peek() == '\n' || Wrong("there is more after the end of what stands here");
  }

  std::string ReadName() {
    const size_t begin = at_;
    while (IsNameByte(Peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  bool ReadSection() {
    ++at_;
    section_ = ReadName();
    if (section_.empty() || Peek() != ']') return Wrong("expected a section such as [serve]");
    ++at_;
    return true;
  }

  bool ReadSetting() {
    Setting setting{section_, ReadName(), {}, line_};
    if (setting.name.empty()) return Wrong("expected NAME = VALUE");
    SkipBlanks();
    if (Peek() != '=') return Wrong(StrCat("expected = after ", setting.name));
    ++at_;
    SkipBlanks();
    if (section_.empty()) {
      return Wrong(StrCat(setting.name, " stands before any section such as [serve]"));
    }
    if (!seen_.emplace(section_, setting.name).second) {
      return Wrong(StrCat(setting.name, " is there twice"));
    }
    const bool is_read = Peek() == '[' ? ReadArray(setting.values) : ReadValue(setting.values);
    if (is_read) settings_.push_back(std::move(setting));
    return is_read;
  }

  bool ReadArray(std::vector<std::string>& values) {
    ++at_;
    while (SkipToNext(), Peek() != ']') {
      if (!ReadValue(values)) return false;
      SkipToNext();
      if (Peek() == ',') {
        ++at_;
      } else if (Peek() != ']') {
        return Wrong("expected , or ] in the array");
      }
    }
    ++at_;
    return true;
  }

  bool ReadValue(std::vector<std::string>& values) {
    if (Peek() == '"') return ReadString(values);
    if (Peek() == '\'') return ReadLiteral(values);
    const size_t begin = at_;
    while (IsNameByte(Peek()) || Peek() == '.' || Peek() == '+') ++at_;
    std::string word(text_.substr(begin, at_ - begin));
    const bool is_number = !word.empty() && word.find_first_not_of("+-.0123456789") == word.npos;
    if (word != "true" && word != "false" && !is_number) {
      return Wrong("expected \"a string\", a number, true, false, or [an array] of such");
    }
    values.push_back(std::move(word));
    return true;
  }

  bool ReadLiteral(std::vector<std::string>& values) {
    const size_t end = text_.find_first_of("'\n", at_ + 1);
    if (end == text_.npos || text_[end] == '\n') return Wrong("the closing ' is missing");
    values.emplace_back(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return true;
  }

  bool ReadString(std::vector<std::string>& values) {
    std::string value;
    while (++at_, Peek() != '"') {
      if (AtEnd() || Peek() == '\n') return Wrong("the closing \" is missing");
      if (Peek() != '\\') {
        value += Peek();
        continue;
      }
      ++at_;
      const std::optional<char> meant = Unescape(Peek());
      if (!meant) return Wrong("of escapes there are \\\" \\\\ \\n and \\t");
      value += *meant;
    }
    ++at_;
    values.push_back(std::move(value));
    return true;
  }

  static std::optional<char> Unescape(char c) {
    if (c == '"' || c == '\\') return c;
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    return std::nullopt;
  }

  const std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  std::string section_;
  std::string why_;
  std::set<std::pair<std::string, std::string>> seen_;
  std::vector<Setting> settings_;
};

}  // namespace

Result<std::vector<Setting>> ParseSettings(std::string_view text) { return Reader(text).Read(); }

}  // namespace shoal::cli
