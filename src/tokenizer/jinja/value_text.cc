// Values as text: Python's str() and repr().
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/str_cat.h"
#include "tokenizer/jinja/value.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

constexpr size_t kMaxReprBytes = size_t{32} << 20;

bool IsPrintable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

void AppendHex(char32_t c, int digits, std::string& out) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(c >> shift) & 15];
  }
}

std::string StringRepr(std::string_view text) {
  const bool double_quoted = text.contains('\'') && !text.contains('"');
  const char quote = double_quoted ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (IsPrintable(c)) {
      AppendUtf8(c, out);
    } else if (c < 0x100) {
      out += "\\x";
      AppendHex(c, 2, out);
    } else if (c < 0x10000) {
      out += "\\u";
      AppendHex(c, 4, out);
    } else {
      out += "\\U";
      AppendHex(c, 8, out);
    }
  }
  out += quote;
  return out;
}

Status AppendRepr(const Value& value, int depth, std::string& out);

Status AppendItems(const Values& items, int depth, std::string& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    RETURN_IF_ERROR(AppendRepr(items[i], depth, out));
  }
  return {};
}

Status AppendSequence(const Value& value, int depth, std::string& out) {
  const Sequence& sequence = value.as_sequence();
  switch (sequence.flavor) {
    case Sequence::Flavor::kList:
      out += '[';
      RETURN_IF_ERROR(AppendItems(sequence.items, depth, out));
      out += ']';
      return {};
    case Sequence::Flavor::kTuple:
      out += '(';
      RETURN_IF_ERROR(AppendItems(sequence.items, depth, out));
      out += sequence.items.size() == 1 ? ",)" : ")";
      return {};
    case Sequence::Flavor::kRange:
    case Sequence::Flavor::kGenerator:
      out += StrCat("<", value.TypeName(), " object>");
      return {};
    default:
      out += StrCat(value.TypeName(), "([");
      RETURN_IF_ERROR(AppendItems(sequence.items, depth, out));
      out += "])";
      return {};
  }
}

Status AppendRepr(const Value& value, int depth, std::string& out) {
  if (depth > kMaxNesting) {
    return Fail(Code::kResourceExhausted, "a value that holds itself has no text");
  }
  // A container can hold another many times over, and be far longer as a text than it is.
  if (out.size() > kMaxReprBytes) {
    return Fail(Code::kResourceExhausted,
                StrCat("a value has more than ", kMaxReprBytes, " bytes as a text"));
  }
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      return {};
    case Kind::kNone:
      out += "None";
      return {};
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      return {};
    case Kind::kInt:
      out += IntegerToText(*value.ToInteger());
      return {};
    case Kind::kFloat:
      out += FloatToText(value.as_float());
      return {};
    case Kind::kString:
      out += StringRepr(value.as_string());
      return {};
    case Kind::kSequence:
      return AppendSequence(value, depth + 1, out);
    case Kind::kDict: {
      out += '{';
      bool first = true;
      for (const auto& [key, item] : value.as_dict().entries()) {
        if (!first) out += ", ";
        first = false;
        RETURN_IF_ERROR(AppendRepr(key, depth + 1, out));
        out += ": ";
        RETURN_IF_ERROR(AppendRepr(item, depth + 1, out));
      }
      out += '}';
      return {};
    }
    case Kind::kObject:
      out += value.as_object().ToText();
      return {};
  }
  return {};
}

}  // namespace

std::string IntegerToText(Integer number) {
  const bool negative = number < 0;
  auto rest = static_cast<unsigned __int128>(number);
  if (negative) rest = -rest;
  std::string digits;
  do {
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest > 0);
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

// Python's repr: the shortest digits that read back the same, with an exponent when it is below -4
// or at least 16.
std::string FloatToText(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t e = text.find('e');
  int exponent = 0;
  const std::string_view exponent_text = text.substr(text[e + 1] == '+' ? e + 2 : e + 1);
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += StrCat(".", digits.substr(1));
    const int size = std::abs(exponent);
    return StrCat(out, "e", exponent < 0 ? "-" : "+", size < 10 ? "0" : "", size);
  }
  if (exponent < 0) {
    return StrCat(out, "0.", std::string(static_cast<size_t>(-exponent - 1), '0'), digits);
  }
  if (count <= exponent + 1) {
    return StrCat(out, digits, std::string(static_cast<size_t>(exponent + 1 - count), '0'), ".0");
  }
  const auto whole = static_cast<size_t>(exponent + 1);
  return StrCat(out, digits.substr(0, whole), ".", digits.substr(whole));
}

Result<std::string> ToText(const Value& value) {
  if (value.is(Value::Kind::kString)) return value.as_string();
  if (value.is(Value::Kind::kUndefined)) return std::string();
  return ToRepr(value);
}

Result<std::string> ToRepr(const Value& value) {
  std::string out;
  RETURN_IF_ERROR(AppendRepr(value, 0, out));
  return out;
}

}  // namespace shoal::tokenizer::jinja
