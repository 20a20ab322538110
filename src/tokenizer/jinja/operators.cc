#include "tokenizer/jinja/operators.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/str_cat.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/python_text.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

constexpr std::string_view kSymbols[] = {"and", "or", "+", "-", "*", "/", "//", "%", "**"};

std::unexpected<Error> Unsupported(BinaryOperator op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b}) {
    if (value->is(Kind::kUndefined)) return WrongType("a value", *value);
  }
  return Fail(Code::kFailedPrecondition,
              StrCat("unsupported operand types for ", kSymbols[static_cast<size_t>(op)], ": '",
                     a.TypeName(), "' and '", b.TypeName(), "'"));
}

std::unexpected<Error> Overflow() {
  return Fail(Code::kResourceExhausted, "a whole number grows beyond 127 bits");
}

std::unexpected<Error> ByZero() { return Fail(Code::kFailedPrecondition, "division by zero"); }

Integer FloorDivide(Integer a, Integer b) {
  const Integer quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Result<Value> Power(Integer base, Integer exponent) {
  if (exponent < 0) {
    if (base == 0) return ByZero();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Integer result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return Overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return Overflow();
  }
  return Value(result);
}

Result<Value> ApplyToIntegers(BinaryOperator op, Integer a, Integer b) {
  Integer result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return Overflow();
      return Value(result);
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return Overflow();
      return Value(result);
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return Overflow();
      return Value(result);
    case BinaryOperator::kDivide:
      if (b == 0) return ByZero();
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOperator::kFloorDivide:
    case BinaryOperator::kModulo:
      if (b == 0) return ByZero();
      // The one quotient that does not fit.
      if (b == -1) {
        if (op == BinaryOperator::kModulo) return Value(Integer{0});
        if (__builtin_sub_overflow(Integer{0}, a, &result)) return Overflow();
        return Value(result);
      }
      return Value(op == BinaryOperator::kFloorDivide ? FloorDivide(a, b)
                                                      : a - FloorDivide(a, b) * b);
    default:
      return Power(a, b);
  }
}

Result<Value> ApplyToFloats(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value(a + b);
    case BinaryOperator::kSubtract:
      return Value(a - b);
    case BinaryOperator::kMultiply:
      return Value(a * b);
    case BinaryOperator::kPower:
      return Value(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) return ByZero();
  if (op == BinaryOperator::kDivide) return Value(a / b);
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (op == BinaryOperator::kModulo) return Value(rest == 0 ? std::copysign(0.0, b) : rest);
  const double quotient = (a - rest) / b;
  double floored = std::floor(quotient);
  if (quotient - floored > 0.5) floored += 1;
  return Value(floored);
}

// text * count and list * count.
Result<Value> Repeat(Runtime& runtime, const Value& value, Integer count) {
  const bool is_text = value.is(Kind::kString);
  const size_t size = is_text ? value.as_string().size() : value.as_sequence().items.size();
  const auto limit = static_cast<Integer>(runtime.limits().output_bytes);
  const Integer times = std::max<Integer>(count, 0);
  if (size > 0 && times > limit / static_cast<Integer>(size)) {
    return Fail(Code::kResourceExhausted, "a repetition with too many items");
  }
  if (is_text) {
    std::string text;
    text.reserve(size * static_cast<size_t>(times));
    for (Integer i = 0; size > 0 && i < times; ++i) text += value.as_string();
    return runtime.Text(std::move(text));
  }
  RETURN_IF_ERROR(runtime.Make(size * static_cast<size_t>(times) * 32));
  Values items;
  for (Integer i = 0; size > 0 && i < times; ++i) {
    items.insert(items.end(), value.as_sequence().items.begin(), value.as_sequence().items.end());
  }
  return runtime.Items(value.as_sequence().flavor, std::move(items));
}

bool IsListOrTuple(const Value& value) {
  return value.is(Kind::kSequence) && (value.as_sequence().flavor == Sequence::Flavor::kList ||
                                       value.as_sequence().flavor == Sequence::Flavor::kTuple);
}

Result<Value> Join(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    return runtime.Text(a.as_string() + b.as_string());
  }
  if (IsListOrTuple(a) && IsListOrTuple(b) && a.as_sequence().flavor == b.as_sequence().flavor) {
    Values items = a.as_sequence().items;
    items.insert(items.end(), b.as_sequence().items.begin(), b.as_sequence().items.end());
    return runtime.Items(a.as_sequence().flavor, std::move(items));
  }
  return Unsupported(BinaryOperator::kAdd, a, b);
}

// "dict object", "str object", "None": how Jinja names what lacks something.
std::string ObjectName(const Value& value) {
  if (value.is(Kind::kNone)) return "None";
  return StrCat(value.TypeName(), " object");
}

}  // namespace

Result<Value> Apply(Runtime& runtime, BinaryOperator op, const Value& a, const Value& b) {
  const std::optional<Integer> a_integer = a.ToInteger(), b_integer = b.ToInteger();
  if (a_integer && b_integer) return ApplyToIntegers(op, *a_integer, *b_integer);
  const std::optional<double> a_number = a.ToNumber(), b_number = b.ToNumber();
  if (a_number && b_number) return ApplyToFloats(op, *a_number, *b_number);
  if (op == BinaryOperator::kAdd) return Join(runtime, a, b);
  if (op == BinaryOperator::kMultiply) {
    if ((a.is(Kind::kString) || IsListOrTuple(a)) && b_integer) {
      return Repeat(runtime, a, *b_integer);
    }
    if ((b.is(Kind::kString) || IsListOrTuple(b)) && a_integer) {
      return Repeat(runtime, b, *a_integer);
    }
  }
  if (op == BinaryOperator::kModulo && a.is(Kind::kString)) {
    ASSIGN_OR_RETURN(std::string text, PercentFormat(runtime, a.as_string(), b));
    return runtime.Text(std::move(text));
  }
  return Unsupported(op, a, b);
}

Result<bool> Apply(Runtime& runtime, CompareOperator op, const Value& a, const Value& b) {
  RETURN_IF_ERROR(runtime.Compare(a, b));
  switch (op) {
    case CompareOperator::kEq:
      return Equal(a, b);
    case CompareOperator::kNe:
      return !Equal(a, b);
    case CompareOperator::kLt:
      return Less(a, b);
    case CompareOperator::kGt:
      return Less(b, a);
    case CompareOperator::kLe:
    case CompareOperator::kGe: {
      const bool swapped = op == CompareOperator::kGe;
      const Value &low = swapped ? b : a, &high = swapped ? a : b;
      ASSIGN_OR_RETURN(const bool less, Less(low, high));
      return less || Equal(low, high);
    }
    case CompareOperator::kIn:
      return Contains(b, a);
    case CompareOperator::kNotIn: {
      ASSIGN_OR_RETURN(const bool contains, Contains(b, a));
      return !contains;
    }
  }
  return false;
}

Result<Value> Apply(UnaryOperator op, const Value& value) {
  if (op == UnaryOperator::kNot) return Value(!value.IsTrue());
  const bool negates = op == UnaryOperator::kMinus;
  if (const std::optional<Integer> integer = value.ToInteger()) {
    Integer result = *integer;
    if (negates && __builtin_sub_overflow(Integer{0}, *integer, &result)) return Overflow();
    return Value(result);
  }
  if (value.is(Kind::kFloat)) return Value(negates ? -value.as_float() : value.as_float());
  return WrongType("a number", value);
}

Result<bool> Contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is(Kind::kString)) return WrongType("a string on the left of 'in'", item);
      return container.as_string().contains(item.as_string());
    case Kind::kSequence:
      return std::ranges::any_of(container.as_sequence().items,
                                 [&](const Value& one) { return Equal(one, item); });
    case Kind::kDict:
      return container.as_dict().Find(item) != nullptr;
    case Kind::kUndefined:
      return false;
    default:
      return WrongType("a container on the right of 'in'", container);
  }
}

Result<size_t> LengthOf(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return CountCodePoints(value.as_string());
    case Kind::kDict:
      return value.as_dict().size();
    case Kind::kSequence:
      if (value.as_sequence().flavor != Sequence::Flavor::kGenerator) {
        return value.as_sequence().items.size();
      }
      break;
    default:
      break;
  }
  return Fail(Code::kFailedPrecondition, StrCat("a ", value.TypeName(), " has no length"));
}

Result<Value> AttributeOf(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is(Kind::kUndefined)) return WrongType("a value", object);
  if (object.is(Kind::kObject)) {
    if (std::optional<Value> value = object.as_object().GetAttribute(name)) return *value;
  }
  if (HasMethod(object, name)) return MethodOf(runtime, object, name);
  if (object.is(Kind::kDict)) {
    if (const Value* value = object.as_dict().Find(name)) return *value;
  }
  return Value::MakeUndefined(StrCat("'", ObjectName(object), "' has no attribute '", name, "'"));
}

Result<Value> ItemOf(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is(Kind::kUndefined)) return WrongType("a value", object);
  if (object.is(Kind::kDict)) {
    if (const Value* value = object.as_dict().Find(index)) return *value;
  }
  const std::optional<Integer> place = index.ToInteger();
  if (place && (object.is(Kind::kString) ||
                (object.is(Kind::kSequence) && object.as_sequence().IsIndexable()))) {
    ASSIGN_OR_RETURN(const size_t length, LengthOf(object));
    const Integer at = *place < 0 ? *place + static_cast<Integer>(length) : *place;
    if (at >= 0 && at < static_cast<Integer>(length)) {
      if (object.is(Kind::kSequence)) return object.as_sequence().items[static_cast<size_t>(at)];
      size_t begin = 0;
      for (Integer i = 0; i < at; ++i) NextCodePoint(object.as_string(), begin);
      size_t end = begin;
      NextCodePoint(object.as_string(), end);
      return runtime.Text(object.as_string().substr(begin, end - begin));
    }
  }
  if (index.is(Kind::kString)) {
    const std::string& name = index.as_string();
    if (object.is(Kind::kObject) || HasMethod(object, name)) {
      return AttributeOf(runtime, object, name);
    }
    return Value::MakeUndefined(StrCat("'", ObjectName(object), "' has no attribute '", name, "'"));
  }
  ASSIGN_OR_RETURN(const std::string shown, ToRepr(index));
  return Value::MakeUndefined(StrCat(ObjectName(object), " has no element ", shown));
}

Result<Value> PathOf(Runtime& runtime, const Value& object, const Value& path) {
  if (!path.is(Kind::kString)) return ItemOf(runtime, object, path);
  Value value = object;
  for (const std::string_view part : Split(path.as_string(), ".", -1)) {
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_number = error == std::errc() && end == part.data() + part.size();
    ASSIGN_OR_RETURN(value, ItemOf(runtime, value, is_number ? Value(index) : Value(part)));
  }
  return value;
}

Result<Value> SliceOf(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                      const Value& step) {
  std::optional<Integer> ends[3];
  const Value* const given[3] = {&start, &stop, &step};
  for (int i = 0; i < 3; ++i) {
    if (given[i]->is(Kind::kNone)) continue;
    ends[i] = given[i]->ToInteger();
    if (!ends[i]) return WrongType("a whole number in a slice", *given[i]);
  }
  const bool is_text = object.is(Kind::kString);
  if (!is_text && !(object.is(Kind::kSequence) && object.as_sequence().IsIndexable())) {
    return WrongType("a list or a string to slice", object);
  }
  ASSIGN_OR_RETURN(const size_t size, LengthOf(object));
  ASSIGN_OR_RETURN(const std::vector<size_t> places, SlicePlaces(size, ends[0], ends[1], ends[2]));
  if (!is_text) {
    Values items;
    for (const size_t place : places) items.push_back(object.as_sequence().items[place]);
    return runtime.Items(object.as_sequence().flavor, std::move(items));
  }
  RETURN_IF_ERROR(runtime.Make(object.as_string().size() * sizeof(char32_t)));
  const std::u32string points = ToCodePoints(object.as_string());
  std::string text;
  for (const size_t place : places) AppendUtf8(points[place], text);
  return runtime.Text(std::move(text));
}

}  // namespace shoal::tokenizer::jinja
