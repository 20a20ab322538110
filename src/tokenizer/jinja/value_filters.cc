// Filters that make a text or a number of one value.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/str_cat.h"
#include "tokenizer/jinja/filter_tables.h"
#include "tokenizer/jinja/json.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/python_text.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

template <auto change>
Result<Value> ChangeText(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN([[maybe_unused]] const Bound bound, Bound::Bind("the filter", arguments, {}));
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  return runtime.Text(std::string(change(text)));
}

// Unlike str.title, words begin behind whitespace, hyphens and opening brackets only.
std::string TitleWords(std::string_view text) {
  std::string out;
  bool begins = true;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = NextCodePoint(text, at);
    const std::string_view character = text.substr(begin, at - begin);
    const bool separates =
        IsPythonSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    out += separates ? std::string(character) : begins ? Upper(character) : Lower(character);
    begins = separates;
  }
  return out;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Itself(std::string_view text) { return std::string(text); }

Result<Value> Trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("trim", arguments, {"chars"}));
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  std::optional<std::string> characters;
  if (bound.Has(0) && !bound.Find(0)->is(Kind::kNone)) {
    ASSIGN_OR_RETURN(characters, bound.NeedString(0));
  }
  return runtime.Text(std::string(Strip(text, characters, Sides::kBoth)));
}

Result<Value> Replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("replace", arguments, {"old", "new", "count"}));
  ASSIGN_OR_RETURN(const Value old_value, bound.Need(0));
  ASSIGN_OR_RETURN(const Value new_value, bound.Need(1));
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  ASSIGN_OR_RETURN(const std::string from, ToText(old_value));
  ASSIGN_OR_RETURN(const std::string to, ToText(new_value));
  Integer limit = -1;
  if (bound.Has(2) && !bound.Find(2)->is(Kind::kNone)) {
    ASSIGN_OR_RETURN(limit, bound.Int(2, -1));
  }
  RETURN_IF_ERROR(runtime.Make(CountText(text, from) * to.size()));
  return runtime.Text(
      ReplaceText(text, from, to, static_cast<int64_t>(std::clamp<Integer>(limit, -1, INT64_MAX))));
}

Result<Value> Indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("indent", arguments, {"width", "first", "blank"}));
  if (!input.is(Kind::kString)) return WrongType("a string to indent", input);
  std::string indention;
  if (bound.Has(0) && bound.Find(0)->is(Kind::kString)) {
    indention = bound.Find(0)->as_string();
  } else {
    ASSIGN_OR_RETURN(const Integer width, bound.Int(0, 4));
    indention = std::string(static_cast<size_t>(std::clamp<Integer>(width, 0, 1 << 16)), ' ');
  }
  const bool blank = bound.Bool(2, false);
  const std::string text = input.as_string() + "\n";
  std::string out = bound.Bool(1, false) ? indention : "";
  bool is_first = true;
  for (const std::string_view line : SplitLines(text, false)) {
    if (!is_first) out += '\n';
    if (!is_first && (blank || !line.empty())) {
      RETURN_IF_ERROR(runtime.Make(indention.size()));
      out += indention;
    }
    out += line;
    is_first = false;
  }
  return runtime.Text(std::move(out));
}

Result<Value> Default(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("default", arguments, {"default_value", "boolean"}));
  const bool replaces = input.is(Kind::kUndefined) || (bound.Bool(1, false) && !input.IsTrue());
  if (!replaces) return input;
  return bound.Has(0) ? *bound.Find(0) : Value("");
}

Result<Value> ToJsonFilter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(
      const Bound bound,
      Bound::Bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound.Bool(0, false);
  style.sort_keys = bound.Bool(3, false);
  if (bound.Has(1) && !bound.Find(1)->is(Kind::kNone)) {
    style.item_separator = ",";
    if (bound.Find(1)->is(Kind::kString)) {
      style.indent = bound.Find(1)->as_string();
    } else {
      ASSIGN_OR_RETURN(const Integer width, bound.Int(1, 0));
      style.indent = std::string(static_cast<size_t>(std::clamp<Integer>(width, 0, 64)), ' ');
    }
  }
  if (bound.Has(2) && !bound.Find(2)->is(Kind::kNone)) {
    const Value& separators = *bound.Find(2);
    if (!separators.is(Kind::kSequence) || separators.as_sequence().items.size() != 2 ||
        !separators.as_sequence().items[0].is(Kind::kString) ||
        !separators.as_sequence().items[1].is(Kind::kString)) {
      return WrongType("two strings as separators", separators);
    }
    style.item_separator = separators.as_sequence().items[0].as_string();
    style.key_separator = separators.as_sequence().items[1].as_string();
  }
  ASSIGN_OR_RETURN(std::string text, ToJson(input, style, runtime.limits().output_bytes));
  return runtime.Text(std::move(text));
}

std::optional<double> FloatOf(const Value& value) {
  return value.is(Kind::kString) ? ParseFloat(value.as_string()) : value.ToNumber();
}

Result<Value> Int(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("int", arguments, {"default", "base"}));
  if (input.is(Kind::kUndefined)) return WrongType("a number", input);
  ASSIGN_OR_RETURN(const Integer base, bound.Int(1, 10));
  if (base < 2 || base > 36) return Fail(Code::kFailedPrecondition, "int: base not in 2 to 36");
  std::optional<Integer> integer = input.ToInteger();
  if (input.is(Kind::kString)) integer = ParseInteger(input.as_string(), static_cast<int>(base));
  if (integer) return Value(*integer);
  const std::optional<double> number = FloatOf(input);
  if (number && std::abs(*number) < 0x1p126) return Value(static_cast<Integer>(*number));
  return bound.Has(0) ? *bound.Find(0) : Value(0);
}

Result<Value> Float(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("float", arguments, {"default"}));
  if (input.is(Kind::kUndefined)) return WrongType("a number", input);
  if (const std::optional<double> number = FloatOf(input)) return Value(*number);
  return bound.Has(0) ? *bound.Find(0) : Value(0.0);
}

Result<Value> Abs(Runtime&, const Value& input, const Arguments&) {
  if (input.is(Kind::kFloat)) return Value(std::abs(input.as_float()));
  const std::optional<Integer> integer = input.ToInteger();
  if (!integer) return WrongType("a number", input);
  return *integer < 0 ? Apply(UnaryOperator::kMinus, input) : Value(*integer);
}

Result<Value> Round(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("round", arguments, {"precision", "method"}));
  ASSIGN_OR_RETURN(const Integer precision, bound.Int(0, 0));
  ASSIGN_OR_RETURN(const std::string method, bound.String(1, "common"));
  const std::optional<double> number = input.ToNumber();
  if (!number) return WrongType("a number", input);
  const int digits = static_cast<int>(std::clamp<Integer>(precision, -300, 300));
  const double scale = std::pow(10.0, digits);
  if (method == "ceil" || method == "floor") {
    const double scaled = *number * scale;
    return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (method != "common") {
    return Fail(Code::kFailedPrecondition, "round: method must be common, ceil or floor");
  }
  if (const std::optional<Integer> integer = input.ToInteger(); integer && digits >= 0) {
    return Value(*integer);
  }
  if (digits > 0) {
    // Python rounds the exact decimal expansion, which is what printf does too.
    char text[700];
    std::snprintf(text, sizeof(text), "%.*f", digits, *number);
    return Value(std::strtod(text, nullptr));
  }
  const double rounded = std::nearbyint(*number * scale) / scale;
  if (input.ToInteger()) return Value(static_cast<Integer>(rounded));
  return Value(rounded);
}

Result<Value> Format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::string format, ToText(input));
  RETURN_IF_ERROR(runtime.Make(format.size()));
  Value values;
  if (arguments.named.empty()) {
    ASSIGN_OR_RETURN(values, MakeSequence(Sequence::Flavor::kTuple, arguments.positional));
  } else {
    auto dict = std::make_shared<Dict>();
    for (const auto& [name, value] : arguments.named) {
      RETURN_IF_ERROR(dict->Set(Value(name), value));
    }
    values = Value(std::move(dict));
  }
  ASSIGN_OR_RETURN(std::string text, PercentFormat(runtime, format, values));
  return runtime.Text(std::move(text));
}

Result<Value> WordCount(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const bool is_word = IsWord(NextCodePoint(text, at));
    words += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return Value(words);
}

Result<Value> Center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("center", arguments, {"width"}));
  ASSIGN_OR_RETURN(const Integer wanted, bound.Int(0, 80));
  ASSIGN_OR_RETURN(std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  const auto size = static_cast<Integer>(CountCodePoints(text));
  const Integer width = std::min<Integer>(wanted, 1 << 20);
  if (width <= size) return runtime.Text(std::move(text));
  const auto missing = static_cast<size_t>(width - size);
  const size_t left = missing / 2 + (missing & static_cast<size_t>(width) & 1);
  return runtime.Text(StrCat(std::string(left, ' '), text, std::string(missing - left, ' ')));
}

Result<Value> Truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  ASSIGN_OR_RETURN(const Integer length, bound.Int(0, 255));
  ASSIGN_OR_RETURN(const std::string end, bound.String(2, "..."));
  ASSIGN_OR_RETURN(const Integer leeway, bound.Int(3, 5));
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  const auto end_size = static_cast<Integer>(CountCodePoints(end));
  if (length < end_size || leeway < 0) {
    return Fail(Code::kFailedPrecondition, "truncate: length is shorter than the end");
  }
  if (static_cast<Integer>(CountCodePoints(text)) <= length + leeway) return runtime.Text(text);
  size_t at = 0;
  for (Integer i = 0; i < length - end_size; ++i) NextCodePoint(text, at);
  std::string_view kept = std::string_view(text).substr(0, at);
  if (!bound.Bool(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return runtime.Text(StrCat(kept, end));
}

}  // namespace

const FilterTable& ValueFilters() {
  static const FilterTable* const table = new FilterTable{
      {"upper", ChangeText<Upper>},
      {"lower", ChangeText<Lower>},
      {"capitalize", ChangeText<Capitalize>},
      {"title", ChangeText<TitleWords>},
      {"string", ChangeText<Itself>},
      {"safe", ChangeText<Itself>},
      {"escape", ChangeText<EscapeHtml>},
      {"forceescape", ChangeText<EscapeHtml>},
      {"e", ChangeText<EscapeHtml>},
      {"trim", Trim},
      {"replace", Replace},
      {"indent", Indent},
      {"default", Default},
      {"d", Default},
      {"tojson", ToJsonFilter},
      {"int", Int},
      {"float", Float},
      {"abs", Abs},
      {"round", Round},
      {"format", Format},
      {"wordcount", WordCount},
      {"center", Center},
      {"truncate", Truncate},
  };
  return *table;
}

}  // namespace shoal::tokenizer::jinja
