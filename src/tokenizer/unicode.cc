#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/check.h"

namespace shoal::tokenizer {

namespace {

uint8_t ByteAt(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

// The lowest and highest second byte that may follow `lead` (Unicode, table 3-7).
std::pair<uint8_t, uint8_t> SecondByteRange(uint8_t lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsAscii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

// The canonical order: every run of marks by combining class, equal ones as they came.
void SortMarks(std::vector<utf8proc_int32_t>& points) {
  struct Mark {
    utf8proc_propval_t combining_class;
    size_t index;
    utf8proc_int32_t point;
    auto operator<=>(const Mark&) const = default;
  };
  std::vector<Mark> run;
  for (size_t i = 0; i <= points.size(); ++i) {
    const utf8proc_propval_t combining_class =
        i < points.size() ? utf8proc_get_property(points[i])->combining_class : 0;
    if (combining_class != 0) {
      run.push_back({combining_class, i, points[i]});
      continue;
    }
    std::ranges::sort(run);
    for (size_t k = 0; k < run.size(); ++k) points[i - run.size() + k] = run[k].point;
    run.clear();
  }
}

}  // namespace

Utf8Head InspectUtf8(std::string_view text) {
  const uint8_t lead = ByteAt(text, 0);
  if (lead < 0x80) return {Utf8Head::Kind::kCharacter, 1};
  const uint8_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Head::Kind::kInvalid, 1};
  for (uint8_t i = 1; i < size; ++i) {
    if (i == text.size()) return {Utf8Head::Kind::kIncomplete, i};
    const auto [low, high] =
        i == 1 ? SecondByteRange(lead) : std::pair<uint8_t, uint8_t>{0x80, 0xBF};
    if (ByteAt(text, i) < low || ByteAt(text, i) > high) return {Utf8Head::Kind::kInvalid, i};
  }
  return {Utf8Head::Kind::kCharacter, size};
}

size_t FindInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Head head = InspectUtf8(text.substr(at));
    if (head.kind != Utf8Head::Kind::kCharacter) return at;
    at += head.size;
  }
  return std::string_view::npos;
}

bool IsValidUtf8(std::string_view text) { return FindInvalidUtf8(text) == std::string_view::npos; }

char32_t NextCodePoint(std::string_view text, size_t& at) {
  const uint8_t lead = ByteAt(text, at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  CHECK(at + size <= text.size());
  char32_t c = lead & (0xFF >> (size + 1));
  for (size_t i = 1; i < size; ++i) c = (c << 6) | (ByteAt(text, at + i) & 0x3F);
  at += size;
  return c;
}

std::u32string ToCodePoints(std::string_view text) {
  std::u32string code_points;
  code_points.reserve(text.size());
  for (size_t at = 0; at < text.size();) code_points += NextCodePoint(text, at);
  return code_points;
}

void AppendUtf8(char32_t code_point, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

std::string ToUtf8(std::u32string_view code_points) {
  std::string text;
  text.reserve(code_points.size());
  for (const char32_t c : code_points) AppendUtf8(c, text);
  return text;
}

size_t CountCodePoints(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

bool IsWhitespace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsWord(char32_t c) {
  if (c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9)) return true;
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool IsPunctuation(char32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool IsNumeric(char32_t c) {
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool IsNonspacingMark(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_MN; }

std::string Lowercase(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, at);
    if (c == 0x130) {  // The one character whose lower case is two: i with a dot above.
      lower += "i\xCC\x87";
    } else {
      AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), lower);
    }
  }
  return lower;
}

// utf8proc's own decomposition sorts marks by exchanging neighbours, which takes quadratic time on
// a long run of them; here runs are sorted, and utf8proc decomposes one character and composes.
Result<std::string> Normalize(std::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  constexpr size_t kLongestDecomposition = 32;  // Unicode's longest is 18.
  for (size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, at);
    utf8proc_int32_t parts[kLongestDecomposition];
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts,
                                               kLongestDecomposition, options, &boundary);
    if (count < 0 || static_cast<size_t>(count) > kLongestDecomposition) {
      return Fail(Code::kInternal, "a character could not be decomposed");
    }
    points.insert(points.end(), parts, parts + count);
  }
  SortMarks(points);
  auto size = static_cast<utf8proc_ssize_t>(points.size());
  if (compose) {
    size = utf8proc_normalize_utf32(
        points.data(), size, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (size < 0) return Fail(Code::kInternal, "a text could not be composed");
  }
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    AppendUtf8(static_cast<char32_t>(points[static_cast<size_t>(i)]), out);
  }
  return out;
}

std::vector<std::string_view> Graphemes(std::string_view text) {
  std::vector<std::string_view> graphemes;
  utf8proc_int32_t state = 0;
  size_t begin = 0;
  char32_t before = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    const char32_t c = NextCodePoint(text, at);
    if (here > 0 && utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                     static_cast<utf8proc_int32_t>(c), &state)) {
      graphemes.push_back(text.substr(begin, here - begin));
      begin = here;
    }
    before = c;
  }
  if (begin < text.size()) graphemes.push_back(text.substr(begin));
  return graphemes;
}

void Utf8Repairer::Push(std::string_view bytes, std::string& out) {
  held_ += bytes;
  size_t at = 0;
  while (at < held_.size()) {
    const Utf8Head head = InspectUtf8(std::string_view(held_).substr(at));
    if (head.kind == Utf8Head::Kind::kIncomplete) break;
    if (head.kind == Utf8Head::Kind::kInvalid) {
      out += kReplacementCharacter;
    } else {
      out.append(held_, at, head.size);
    }
    at += head.size;
  }
  held_.erase(0, at);
}

void Utf8Repairer::Flush(std::string& out) {
  if (!held_.empty()) out += kReplacementCharacter;
  held_.clear();
}

}  // namespace shoal::tokenizer
