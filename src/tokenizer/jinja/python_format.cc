// Python's two ways of formatting: "%5.2f" % x and "{:>5}".format(x).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/str_cat.h"
#include "tokenizer/jinja/python_text.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

constexpr int64_t kMaxWidth = 1 << 16;

// How one value is to be written: the common part of both ways.
struct Spec {
  std::string fill = " ";
  char align = 0;   // '<', '>', '^', '=' or 0 for the type's own.
  char sign = '-';  // '-', '+' or ' '.
  bool grouped = false;
  bool alternate = false;
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = 0;
};

std::unexpected<Error> Wrong(std::string_view what) {
  return Fail(Code::kFailedPrecondition, std::string(what));
}

Result<int64_t> ReadNumber(std::string_view format, size_t& at) {
  int64_t number = 0;
  while (at < format.size() && format[at] >= '0' && format[at] <= '9') {
    number = number * 10 + (format[at++] - '0');
    if (number > kMaxWidth) {
      return Fail(Code::kResourceExhausted, StrCat("a format wider than ", kMaxWidth));
    }
  }
  return number;
}

std::string Pad(std::string text, const Spec& spec, char own_align) {
  const auto size = static_cast<int64_t>(CountCodePoints(text));
  if (size >= spec.width) return text;
  const int64_t missing = spec.width - size;
  const auto fill = [&](int64_t count) {
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += spec.fill;
    return out;
  };
  switch (spec.align != 0 ? spec.align : own_align) {
    case '<':
      return text + fill(missing);
    case '^':
      return fill(missing / 2) + text + fill(missing - missing / 2);
    case '=': {
      const size_t signs = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ');
      return text.substr(0, signs) + fill(missing) + text.substr(signs);
    }
    default:
      return fill(missing) + text;
  }
}

std::string WithSign(std::string digits, bool negative, const Spec& spec) {
  if (spec.grouped) {
    const size_t point = std::min(digits.find('.'), digits.size());
    for (size_t at = point; at > 3; at -= 3) digits.insert(at - 3, ",");
  }
  if (negative) return "-" + digits;
  return spec.sign == '-' ? digits : spec.sign + digits;
}

std::string InBase(Integer number, int base, bool upper) {
  std::string digits;
  do {
    digits += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[static_cast<int>(number % base)];
    number /= base;
  } while (number > 0);
  std::ranges::reverse(digits);
  return digits;
}

Result<std::string> FormatFloat(double number, const Spec& spec) {
  char type = spec.type == 0 ? 'g' : spec.type;
  const double magnitude = std::abs(number);
  std::string digits;
  if (spec.type == 0 && !spec.precision) {
    digits = FloatToText(magnitude);
  } else {
    const bool percent = type == '%';
    char format[] = "%.*f";
    format[3] = percent ? 'f' : type;
    const int precision = static_cast<int>(spec.precision.value_or(6));
    const double value = percent ? magnitude * 100 : magnitude;
    const int size = std::snprintf(nullptr, 0, format, precision, value);
    digits.resize(static_cast<size_t>(size) + 1);
    std::snprintf(digits.data(), digits.size(), format, precision, value);
    digits.pop_back();
    if (percent) digits += '%';
  }
  return Pad(WithSign(std::move(digits), std::signbit(number) && !std::isnan(number), spec), spec,
             '>');
}

Result<std::string> FormatInteger(Integer number, const Spec& spec) {
  const bool negative = number < 0;
  const Integer magnitude = negative ? -number : number;
  std::string digits;
  switch (spec.type) {
    case 'x':
    case 'X':
      digits = InBase(magnitude, 16, spec.type == 'X');
      if (spec.alternate) digits = (spec.type == 'X' ? "0X" : "0x") + digits;
      break;
    case 'o':
      digits = InBase(magnitude, 8, false);
      if (spec.alternate) digits = "0o" + digits;
      break;
    case 'b':
      digits = InBase(magnitude, 2, false);
      if (spec.alternate) digits = "0b" + digits;
      break;
    default:
      digits = IntegerToText(magnitude);
  }
  return Pad(WithSign(std::move(digits), negative, spec), spec, '>');
}

Result<std::string> FormatText(std::string text, const Spec& spec) {
  if (spec.precision && static_cast<int64_t>(CountCodePoints(text)) > *spec.precision) {
    size_t at = 0;
    for (int64_t i = 0; i < *spec.precision; ++i) NextCodePoint(text, at);
    text.resize(at);
  }
  return Pad(std::move(text), spec, '<');
}

bool IsFloatType(char type) { return std::string_view("eEfFgG%").contains(type); }

// One value of a "%" format.
Result<std::string> FormatPercentValue(const Value& value, Spec spec) {
  switch (spec.type) {
    case 's':
    case 'r':
    case 'a': {
      ASSIGN_OR_RETURN(std::string text, spec.type == 's' ? ToText(value) : ToRepr(value));
      if (spec.align == 0) spec.align = '>';
      spec.fill = " ";
      return FormatText(std::move(text), spec);
    }
    case 'c':
      if (value.is(Value::Kind::kString)) return FormatText(value.as_string(), spec);
      return WrongType("a character for %c", value);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
      std::optional<Integer> integer = value.ToInteger();
      const bool is_decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
      if (!integer && value.is(Value::Kind::kFloat) && is_decimal &&
          std::abs(value.as_float()) < 0x1p100) {
        integer = static_cast<Integer>(value.as_float());
      }
      if (!integer) return WrongType(StrCat("a number for %", std::string(1, spec.type)), value);
      if (spec.precision) {
        spec.fill = "0";
      }
      return FormatInteger(*integer, spec);
    }
    default: {
      const std::optional<double> number = value.ToNumber();
      if (!IsFloatType(spec.type)) {
        return Wrong(StrCat("unsupported format character '", std::string(1, spec.type), "'"));
      }
      if (!number) return WrongType(StrCat("a number for %", std::string(1, spec.type)), value);
      return FormatFloat(*number, spec);
    }
  }
}

// Reads "[[fill]align][sign][#][0][width][,][.precision][type]".
Result<Spec> ParseBraceSpec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  constexpr std::string_view kAligns = "<>^=";
  if (!text.empty()) {
    size_t behind_fill = 0;
    NextCodePoint(text, behind_fill);
    if (behind_fill < text.size() && kAligns.contains(text[behind_fill])) {
      spec.fill = text.substr(0, behind_fill);
      spec.align = text[behind_fill];
      at = behind_fill + 1;
    } else if (kAligns.contains(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  if (at < text.size() && std::string_view("+- ").contains(text[at])) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') spec.alternate = true, ++at;
  if (at < text.size() && text[at] == '0') {
    if (spec.align == 0) spec.align = '=', spec.fill = "0";
    ++at;
  }
  ASSIGN_OR_RETURN(spec.width, ReadNumber(text, at));
  if (at < text.size() && text[at] == ',') spec.grouped = true, ++at;
  if (at < text.size() && text[at] == '.') {
    ++at;
    ASSIGN_OR_RETURN(spec.precision, ReadNumber(text, at));
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) return Wrong(StrCat("invalid format specification '", text, "'"));
  return spec;
}

Result<std::string> FormatBraceValue(const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return ToText(value);
  ASSIGN_OR_RETURN(const Spec spec, ParseBraceSpec(spec_text));
  if (const std::optional<Integer> integer = value.ToInteger()) {
    if (IsFloatType(spec.type)) return FormatFloat(static_cast<double>(*integer), spec);
    if (spec.type == 0 || std::string_view("dxXob").contains(spec.type)) {
      return FormatInteger(*integer, spec);
    }
  } else if (value.is(Value::Kind::kFloat)) {
    if (spec.type == 0 || IsFloatType(spec.type)) return FormatFloat(value.as_float(), spec);
  } else if (value.is(Value::Kind::kString) && (spec.type == 0 || spec.type == 's')) {
    return FormatText(value.as_string(), spec);
  }
  return Wrong(StrCat("format specification '", spec_text, "' does not fit a ", value.TypeName()));
}

// Finds the value of one field, "0", "name", "name.attribute" or "name[0]".
Result<Value> FindField(const Arguments& arguments, std::string_view name, size_t& next) {
  const size_t end = std::min(name.find_first_of(".["), name.size());
  if (end != name.size()) return Wrong(StrCat("a format field with a path: '", name, "'"));
  size_t index = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (name.empty() || (error == std::errc() && stop == name.data() + name.size())) {
    if (name.empty()) index = next++;
    if (index >= arguments.positional.size()) {
      return Wrong("replacement index out of range for the arguments of format");
    }
    return arguments.positional[index];
  }
  for (const auto& [key, value] : arguments.named) {
    if (key == name) return value;
  }
  return Wrong(StrCat("format has no argument '", name, "'"));
}

// The values a "%" format takes from, in turn or by name.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {
    is_tuple_ = values.is(Value::Kind::kSequence) &&
                values.as_sequence().flavor == Sequence::Flavor::kTuple;
  }
  Result<Value> Next() {
    const size_t count = is_tuple_ ? values_.as_sequence().items.size() : 1;
    if (taken_ >= count) return Wrong("not enough arguments for format string");
    return is_tuple_ ? values_.as_sequence().items[taken_++] : (++taken_, values_);
  }
  Result<Value> Named(std::string_view name) {
    taken_ = SIZE_MAX;
    if (!values_.is(Value::Kind::kDict)) return Wrong("format requires a mapping");
    const Value* value = values_.as_dict().Find(name);
    if (value == nullptr) return Wrong(StrCat("format has no value '", name, "'"));
    return *value;
  }
  bool AllTaken() const {
    if (is_tuple_) return taken_ >= values_.as_sequence().items.size();
    return taken_ > 0 || values_.is(Value::Kind::kDict) || values_.is(Value::Kind::kSequence);
  }

 private:
  const Value& values_;
  bool is_tuple_ = false;
  size_t taken_ = 0;
};

// Reads one conversion behind its '%' and appends what it gives.
Status AppendConversion(std::string_view format, size_t& at, PercentValues& values,
                        std::string& out) {
  Spec spec;
  std::optional<std::string_view> name;
  if (at < format.size() && format[at] == '(') {
    const size_t close = format.find(')', at);
    if (close == format.npos) return Wrong("incomplete format key");
    name = format.substr(at + 1, close - at - 1);
    at = close + 1;
  }
  for (; at < format.size() && std::string_view("-+ #0").contains(format[at]); ++at) {
    if (format[at] == '-') spec.align = '<';
    if (format[at] == '+') spec.sign = '+';
    if (format[at] == ' ' && spec.sign == '-') spec.sign = ' ';
    if (format[at] == '#') spec.alternate = true;
    if (format[at] == '0' && spec.align == 0) spec.align = '=', spec.fill = "0";
  }
  if (spec.align == '<') spec.fill = " ";
  ASSIGN_OR_RETURN(spec.width, ReadNumber(format, at));
  if (at < format.size() && format[at] == '.') {
    ++at;
    ASSIGN_OR_RETURN(spec.precision, ReadNumber(format, at));
  }
  while (at < format.size() && std::string_view("hlL").contains(format[at])) ++at;
  if (at >= format.size()) return Wrong("incomplete format");
  spec.type = format[at++];
  if (spec.type == '%') {
    out += '%';
    return {};
  }
  ASSIGN_OR_RETURN(const Value value, name ? values.Named(*name) : values.Next());
  const bool is_text = std::string_view("srac").contains(spec.type);
  if (is_text && spec.align == '=') spec.align = '>';
  ASSIGN_OR_RETURN(const std::string text, FormatPercentValue(value, spec));
  out += text;
  return {};
}

}  // namespace

Result<std::string> PercentFormat(Runtime& runtime, std::string_view format, const Value& values) {
  PercentValues source(values);
  std::string out;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      out += format[at++];
      continue;
    }
    const size_t before = out.size();
    RETURN_IF_ERROR(AppendConversion(format, ++at, source, out));
    RETURN_IF_ERROR(runtime.Make(out.size() - before));
  }
  if (!source.AllTaken()) return Wrong("not all arguments converted during string formatting");
  return out;
}

Result<std::string> BraceFormat(Runtime& runtime, std::string_view format,
                                const Arguments& arguments) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') return Wrong("single '}' encountered in format string");
    if (c != '{') {
      out += c;
      ++at;
      continue;
    }
    const size_t close = format.find('}', at);
    if (close == format.npos) return Wrong("expected '}' before end of string");
    const std::string_view field = format.substr(at + 1, close - at - 1);
    at = close + 1;
    const size_t colon = std::min(field.find(':'), field.size());
    std::string_view name = field.substr(0, colon);
    const std::string_view spec = colon < field.size() ? field.substr(colon + 1) : "";
    char conversion = 0;
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.remove_suffix(2);
    }
    ASSIGN_OR_RETURN(Value value, FindField(arguments, name, next));
    if (conversion != 0) {
      ASSIGN_OR_RETURN(std::string text, conversion == 'r' ? ToRepr(value) : ToText(value));
      value = Value(std::move(text));
    }
    ASSIGN_OR_RETURN(const std::string text, FormatBraceValue(value, spec));
    RETURN_IF_ERROR(runtime.Make(text.size()));
    out += text;
  }
  return out;
}

}  // namespace shoal::tokenizer::jinja
