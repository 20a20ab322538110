#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/str_cat.h"
#include "tokenizer/jinja/method_tables.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/python_text.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

template <Sides sides>
Result<Value> StripMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("strip", arguments, {"chars"}));
  std::optional<std::string> characters;
  if (bound.Has(0) && !bound.Find(0)->is(Kind::kNone)) {
    ASSIGN_OR_RETURN(characters, bound.NeedString(0));
  }
  return runtime.Text(std::string(Strip(self.as_string(), characters, sides)));
}

Result<Value> TextList(Runtime& runtime, const std::vector<std::string_view>& parts,
                       Sequence::Flavor flavor = Sequence::Flavor::kList) {
  Values items;
  for (const std::string_view part : parts) {
    ASSIGN_OR_RETURN(Value text, runtime.Text(std::string(part)));
    items.push_back(std::move(text));
  }
  return runtime.Items(flavor, std::move(items));
}

template <auto split>
Result<Value> SplitMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("split", arguments, {"sep", "maxsplit"}));
  ASSIGN_OR_RETURN(const Integer limit, bound.Int(1, -1));
  std::optional<std::string> separator;
  if (bound.Has(0) && !bound.Find(0)->is(Kind::kNone)) {
    ASSIGN_OR_RETURN(separator, bound.NeedString(0));
    if (separator->empty()) return Fail(Code::kFailedPrecondition, "split: empty separator");
  }
  const auto bounded = static_cast<int64_t>(std::clamp<Integer>(limit, -1, INT64_MAX));
  return TextList(runtime, split(self.as_string(), separator, bounded));
}

Result<Value> SplitLinesMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("splitlines", arguments, {"keepends"}));
  return TextList(runtime, SplitLines(self.as_string(), bound.Bool(0, false)));
}

// str.partition and str.rpartition.
template <bool from_right>
Result<Value> PartitionMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("partition", arguments, {"sep"}));
  ASSIGN_OR_RETURN(const std::string separator, bound.NeedString(0));
  if (separator.empty()) return Fail(Code::kFailedPrecondition, "partition: empty separator");
  const std::string_view text = self.as_string();
  const size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts = {text, "", ""};
  if (at == text.npos && from_right) parts = {"", "", text};
  if (at != text.npos) parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  return TextList(runtime, parts, Sequence::Flavor::kTuple);
}

// The part of a text that start and end, in characters, mark off; nothing when start is past it.
std::optional<std::string_view> Window(std::string_view text, Integer start, Integer end) {
  const auto size = static_cast<Integer>(CountCodePoints(text));
  const auto clamp = [&](Integer at) {
    return std::clamp<Integer>(at < 0 ? at + size : at, 0, size);
  };
  if (start > size) return std::nullopt;
  const Integer from = clamp(start), to = clamp(end);
  if (from > to) return std::nullopt;
  size_t begin = 0, stop = 0;
  for (Integer i = 0; i < to; ++i) {
    if (i == from) begin = stop;
    NextCodePoint(text, stop);
  }
  if (from == to) begin = stop;
  return text.substr(begin, stop - begin);
}

// str.startswith and str.endswith, with one text or a tuple of them.
template <bool at_end>
Result<Value> AffixMethod(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("startswith", arguments, {"prefix", "start", "end"}));
  ASSIGN_OR_RETURN(const Value affixes, bound.Need(0));
  ASSIGN_OR_RETURN(const Integer start, bound.Int(1, 0));
  ASSIGN_OR_RETURN(const Integer end, bound.Int(2, INT64_MAX));
  const std::optional<std::string_view> window = Window(self.as_string(), start, end);
  const Values one = {affixes};
  const bool is_tuple =
      affixes.is(Kind::kSequence) && affixes.as_sequence().flavor == Sequence::Flavor::kTuple;
  for (const Value& affix : is_tuple ? affixes.as_sequence().items : one) {
    if (!affix.is(Kind::kString)) return WrongType("a string", affix);
    if (window &&
        (at_end ? window->ends_with(affix.as_string()) : window->starts_with(affix.as_string()))) {
      return Value(true);
    }
  }
  return Value(false);
}

// str.find, rfind, index and rindex.
template <bool from_right, bool must_exist>
Result<Value> FindMethodOf(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("find", arguments, {"sub", "start", "end"}));
  ASSIGN_OR_RETURN(const std::string part, bound.NeedString(0));
  ASSIGN_OR_RETURN(const Integer start, bound.Int(1, 0));
  ASSIGN_OR_RETURN(const Integer end, bound.Int(2, INT64_MAX));
  const std::string_view text = self.as_string();
  if (const std::optional<std::string_view> window = Window(text, start, end)) {
    const size_t at = from_right ? window->rfind(part) : window->find(part);
    if (at != std::string_view::npos) {
      const auto bytes = static_cast<size_t>(window->data() - text.data()) + at;
      return Value(static_cast<int64_t>(CountCodePoints(text.substr(0, bytes))));
    }
  }
  if (must_exist) return Fail(Code::kFailedPrecondition, "substring not found");
  return Value(-1);
}

Result<Value> ReplaceMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("replace", arguments, {"old", "new", "count"}));
  ASSIGN_OR_RETURN(const std::string from, bound.NeedString(0));
  ASSIGN_OR_RETURN(const std::string to, bound.NeedString(1));
  ASSIGN_OR_RETURN(const Integer limit, bound.Int(2, -1));
  RETURN_IF_ERROR(runtime.Make(CountText(self.as_string(), from) * to.size()));
  return runtime.Text(ReplaceText(self.as_string(), from, to,
                                  static_cast<int64_t>(std::clamp<Integer>(limit, -1, INT64_MAX))));
}

Result<Value> CountMethod(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("count", arguments, {"sub"}));
  ASSIGN_OR_RETURN(const std::string part, bound.NeedString(0));
  return Value(static_cast<uint64_t>(CountText(self.as_string(), part)));
}

Result<Value> JoinMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("join", arguments, {"iterable"}));
  ASSIGN_OR_RETURN(const Value iterable, bound.Need(0));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, iterable));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::kString)) return WrongType("a string to join", items[i]);
    const std::string_view between = i > 0 ? std::string_view(self.as_string()) : "";
    RETURN_IF_ERROR(runtime.Make(between.size() + items[i].as_string().size()));
    out += between;
    out += items[i].as_string();
  }
  return runtime.Text(std::move(out));
}

template <auto change>
Result<Value> ChangeMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN([[maybe_unused]] const Bound bound, Bound::Bind("the method", arguments, {}));
  return runtime.Text(change(self.as_string()));
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    NextCodePoint(text, at);
    const std::string_view character = text.substr(begin, at - begin);
    const std::string lower = Lower(character);
    out += lower == character ? Upper(character) : lower;
  }
  return out;
}

// Whether there are characters and all of them pass.
template <bool (*passes)(char32_t)>
Result<Value> AllMethod(Runtime&, const Value& self, const Arguments&) {
  const std::string_view text = self.as_string();
  for (size_t at = 0; at < text.size();) {
    if (!passes(NextCodePoint(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}
bool IsDecimal(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_ND; }
bool IsDigit(char32_t c) {
  return IsDecimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089);
}
bool IsAlpha(char32_t c) {
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool IsAlnum(char32_t c) { return IsAlpha(c) || IsNumeric(c); }

// str.isupper and str.islower: no cased character is of the other case, and there is one.
template <auto change, auto other>
Result<Value> IsCaseMethod(Runtime&, const Value& self, const Arguments&) {
  const std::string& text = self.as_string();
  return Value(change(text) == text && other(text) != text);
}

template <bool suffix>
Result<Value> RemoveAffixMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("removeprefix", arguments, {"affix"}));
  ASSIGN_OR_RETURN(const std::string affix, bound.NeedString(0));
  std::string_view text = self.as_string();
  if (suffix ? text.ends_with(affix) : text.starts_with(affix)) {
    text = suffix ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size());
  }
  return runtime.Text(std::string(text));
}

// str.ljust, rjust, center and zfill; `align` is the side the text stays on.
template <char align>
Result<Value> PadMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("the method", arguments, {"width", "fillchar"}));
  ASSIGN_OR_RETURN(const Integer width, bound.Int(0, 0));
  ASSIGN_OR_RETURN(const std::string fill, bound.String(1, align == '0' ? "0" : " "));
  if (CountCodePoints(fill) != 1) return Fail(Code::kFailedPrecondition, "expected one character");
  std::string text = self.as_string();
  const auto size = static_cast<Integer>(CountCodePoints(text));
  if (width <= size) return self;
  if (width > static_cast<Integer>(runtime.limits().output_bytes)) {
    return Fail(Code::kResourceExhausted, "a text padded to too many characters");
  }
  const auto missing = static_cast<size_t>(width - size);
  const auto repeat = [&](size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += fill;
    return out;
  };
  if (align == '<') return runtime.Text(text + repeat(missing));
  if (align == '^') {
    const size_t left = missing / 2 + (missing & static_cast<size_t>(width) & 1);
    return runtime.Text(repeat(left) + text + repeat(missing - left));
  }
  const size_t signs = align == '0' && (text.starts_with('-') || text.starts_with('+')) ? 1 : 0;
  return runtime.Text(text.substr(0, signs) + repeat(missing) + text.substr(signs));
}

Result<Value> FormatMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(std::string text, BraceFormat(runtime, self.as_string(), arguments));
  return runtime.Text(std::move(text));
}

}  // namespace

const MethodTable& StringMethods() {
  static const MethodTable* const table = new MethodTable{
      {"strip", StripMethod<Sides::kBoth>},
      {"lstrip", StripMethod<Sides::kLeft>},
      {"rstrip", StripMethod<Sides::kRight>},
      {"split", SplitMethod<Split>},
      {"rsplit", SplitMethod<SplitFromRight>},
      {"splitlines", SplitLinesMethod},
      {"partition", PartitionMethod<false>},
      {"rpartition", PartitionMethod<true>},
      {"startswith", AffixMethod<false>},
      {"endswith", AffixMethod<true>},
      {"find", FindMethodOf<false, false>},
      {"rfind", FindMethodOf<true, false>},
      {"index", FindMethodOf<false, true>},
      {"rindex", FindMethodOf<true, true>},
      {"replace", ReplaceMethod},
      {"count", CountMethod},
      {"join", JoinMethod},
      {"upper", ChangeMethod<Upper>},
      {"lower", ChangeMethod<Lower>},
      {"casefold", ChangeMethod<Lower>},
      {"title", ChangeMethod<TitleCase>},
      {"capitalize", ChangeMethod<Capitalize>},
      {"swapcase", ChangeMethod<SwapCase>},
      {"isspace", AllMethod<IsPythonSpace>},
      {"isdigit", AllMethod<IsDigit>},
      {"isdecimal", AllMethod<IsDecimal>},
      {"isnumeric", AllMethod<IsNumeric>},
      {"isalpha", AllMethod<IsAlpha>},
      {"isalnum", AllMethod<IsAlnum>},
      {"isupper", IsCaseMethod<Upper, Lower>},
      {"islower", IsCaseMethod<Lower, Upper>},
      {"removeprefix", RemoveAffixMethod<false>},
      {"removesuffix", RemoveAffixMethod<true>},
      {"ljust", PadMethod<'<'>},
      {"rjust", PadMethod<'>'>},
      {"center", PadMethod<'^'>},
      {"zfill", PadMethod<'0'>},
      {"format", FormatMethod},
  };
  return *table;
}

}  // namespace shoal::tokenizer::jinja
