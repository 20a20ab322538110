#include "tokenizer/jinja/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

// Where the last character of text[0, end) begins; end > 0.
size_t LastCharacter(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

char32_t ToUpper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t ToLower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool IsCased(char32_t c) { return ToUpper(c) != c || ToLower(c) != c; }

void AppendUpper(char32_t c, bool as_title, std::string& out) {
  if (c == 0xDF) {  // The sharp s has no upper case of one character.
    out += as_title ? "Ss" : "SS";
  } else {
    AppendUtf8(as_title ? static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)))
                        : ToUpper(c),
               out);
  }
}

// Without the whitespace around it and the underscores in it; empty for what is no number.
std::string NumberText(std::string_view text) {
  std::string stripped(Strip(text, std::nullopt, Sides::kBoth));
  if (stripped.starts_with('_') || stripped.ends_with('_') || stripped.contains("__")) return {};
  std::erase(stripped, '_');
  return stripped;
}

}  // namespace

bool IsPythonSpace(char32_t c) { return IsWhitespace(c) || (c >= 0x1C && c <= 0x1F); }

std::string_view Strip(std::string_view text, std::optional<std::string_view> characters,
                       Sides sides) {
  const std::u32string wanted = characters ? ToCodePoints(*characters) : std::u32string();
  const auto goes = [&](char32_t c) { return characters ? wanted.contains(c) : IsPythonSpace(c); };
  size_t begin = 0, end = text.size();
  if (sides != Sides::kRight) {
    for (size_t at = 0; at < text.size() && goes(NextCodePoint(text, at));) begin = at;
  }
  if (sides != Sides::kLeft) {
    while (end > begin) {
      const size_t last = LastCharacter(text, end);
      size_t at = last;
      if (!goes(NextCodePoint(text, at))) break;
      end = last;
    }
  }
  return text.substr(begin, end - begin);
}

std::string_view StripLeft(std::string_view text) {
  return Strip(text, std::nullopt, Sides::kLeft);
}
std::string_view StripRight(std::string_view text) {
  return Strip(text, std::nullopt, Sides::kRight);
}

Result<std::string> UnescapeLiteral(std::string_view literal) {
  std::string out;
  const auto wrong = [](std::string_view what) {
    return Fail(Code::kInvalidArgument, StrCat("a string literal with ", what));
  };
  const auto digits = [&](size_t at, size_t count, int base) -> std::optional<char32_t> {
    char32_t value = 0;
    if (at + count > literal.size()) return std::nullopt;
    for (const char c : literal.substr(at, count)) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : 99;
      if (digit >= base) return std::nullopt;
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    return value;
  };
  for (size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\' || at + 1 == literal.size()) {
      out += literal[at++];
      continue;
    }
    const char c = literal[at + 1];
    constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t letter = kLetters.find(c); letter != kLetters.npos) {
      out += kMeanings[letter];
      at += 2;
    } else if (c == '\n') {
      at += 2;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      std::optional<char32_t> point = digits(at + 2, count, 16);
      if (!point || *point > 0x10FFFF) return wrong("a broken \\x, \\u or \\U escape");
      at += 2 + count;
      const bool is_high = *point >= 0xD800 && *point < 0xDC00;
      if (is_high && literal.substr(at).starts_with("\\u")) {
        const std::optional<char32_t> low = digits(at + 2, 4, 16);
        if (low && *low >= 0xDC00 && *low < 0xE000) {
          point = 0x10000 + ((*point - 0xD800) << 10) + (*low - 0xDC00);
          at += 6;
        }
      }
      if (*point >= 0xD800 && *point < 0xE000) return wrong("half a surrogate pair");
      AppendUtf8(*point, out);
    } else if (c >= '0' && c <= '7') {
      size_t count = 1;
      while (count < 3 && digits(at + 1, count + 1, 8)) ++count;
      AppendUtf8(*digits(at + 1, count, 8), out);
      at += 1 + count;
    } else if (c == 'N') {
      return wrong("a \\N escape, which is not supported");
    } else {
      out += '\\';
      ++at;
    }
  }
  return out;
}

std::string Upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) AppendUpper(NextCodePoint(text, at), false, out);
  return out;
}

std::string Lower(std::string_view text) { return Lowercase(text); }

std::string Capitalize(std::string_view text) {
  if (text.empty()) return {};
  size_t at = 0;
  std::string out;
  AppendUpper(NextCodePoint(text, at), true, out);
  return out + Lower(text.substr(at));
}

std::string TitleCase(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, at);
    if (in_word) {
      AppendUtf8(ToLower(c), out);
    } else {
      AppendUpper(c, true, out);
    }
    in_word = IsCased(c);
  }
  return out;
}

std::vector<std::string_view> Split(std::string_view text,
                                    std::optional<std::string_view> separator, int64_t limit) {
  std::vector<std::string_view> parts;
  if (!separator) {
    text = StripLeft(text);
    while (!text.empty()) {
      if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
        parts.push_back(text);
        break;
      }
      size_t end = 0;
      for (size_t at = 0; at < text.size() && !IsPythonSpace(NextCodePoint(text, at));) end = at;
      parts.push_back(text.substr(0, end));
      text = StripLeft(text.substr(end));
    }
    return parts;
  }
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = text.find(*separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> SplitFromRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t limit) {
  if (limit < 0) return Split(text, separator, limit);
  std::vector<std::string_view> parts;
  if (!separator) {
    text = StripRight(text);
    while (!text.empty()) {
      if (static_cast<int64_t>(parts.size()) == limit) {
        parts.push_back(text);
        break;
      }
      size_t begin = text.size();
      while (begin > 0) {
        const size_t last = LastCharacter(text, begin);
        size_t at = last;
        if (IsPythonSpace(NextCodePoint(text, at))) break;
        begin = last;
      }
      parts.push_back(text.substr(begin));
      text = StripRight(text.substr(0, begin));
    }
  } else {
    while (static_cast<int64_t>(parts.size()) < limit) {
      const size_t at = text.rfind(*separator);
      if (at == std::string_view::npos) break;
      parts.push_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    parts.push_back(text);
  }
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    const char32_t c = NextCodePoint(text, at);
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : here) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                        int64_t limit) {
  std::string out;
  int64_t done = 0;
  const auto may_go_on = [&] { return limit < 0 || done < limit; };
  if (from.empty()) {  // Between all characters and at both ends.
    for (size_t at = 0; may_go_on();) {
      out += to;
      ++done;
      if (at == text.size()) return out;
      const size_t begin = at;
      NextCodePoint(text, at);
      out += text.substr(begin, at - begin);
      text.remove_prefix(at);
      at = 0;
    }
    return out += text;
  }
  while (may_go_on()) {
    const size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
    ++done;
  }
  return out += text;
}

size_t CountText(std::string_view text, std::string_view part) {
  if (part.empty()) return CountCodePoints(text) + 1;
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

Result<std::vector<size_t>> SlicePlaces(size_t size, std::optional<Integer> start,
                                        std::optional<Integer> stop, std::optional<Integer> step) {
  const Integer by = step.value_or(1);
  if (by == 0) return Fail(Code::kFailedPrecondition, "slice step cannot be zero");
  const auto count = static_cast<Integer>(size);
  const Integer lowest = by > 0 ? 0 : -1, highest = by > 0 ? count : count - 1;
  const auto clamp = [&](std::optional<Integer> place, Integer otherwise) {
    if (!place) return otherwise;
    return std::clamp(*place < 0 ? *place + count : *place, lowest, highest);
  };
  const Integer begin = clamp(start, by > 0 ? lowest : highest);
  const Integer end = clamp(stop, by > 0 ? highest : lowest);
  std::vector<size_t> places;
  for (Integer at = begin; by > 0 ? at < end : at > end;) {
    places.push_back(static_cast<size_t>(at));
    if (by > count || by < -count) break;
    at += by;
  }
  return places;
}

std::optional<Integer> ParseInteger(std::string_view text, int base) {
  std::string digits = NumberText(text);
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  if (base == 16 && (digits.starts_with("0x") || digits.starts_with("0X"))) digits.erase(0, 2);
  if (digits.empty()) return std::nullopt;
  Integer value = 0;
  for (const char c : digits) {
    int digit = 99;
    if (c >= '0' && c <= '9') digit = c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') digit = (c | 0x20) - 'a' + 10;
    if (digit >= base || __builtin_mul_overflow(value, Integer{base}, &value) ||
        __builtin_add_overflow(value, Integer{digit}, &value)) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

std::optional<double> ParseFloat(std::string_view text) {
  const std::string number = NumberText(text);
  if (number.empty() || number.find_first_of("xXpP()") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  return end == number.c_str() + number.size() ? std::optional(value) : std::nullopt;
}

}  // namespace shoal::tokenizer::jinja
