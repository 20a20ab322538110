// Jinja's tests: value is name(arguments).
#include "base/str_cat.h"
#include "tokenizer/jinja/filter_tables.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/python_text.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;
using TestFunction = Result<bool> (*)(Runtime& runtime, const Value& input,
                                      const Arguments& arguments);

bool IsDefined(const Value& value) { return !value.is(Kind::kUndefined); }
bool IsUndefined(const Value& value) { return value.is(Kind::kUndefined); }
bool IsNone(const Value& value) { return value.is(Kind::kNone); }
bool IsString(const Value& value) { return value.is(Kind::kString); }
bool IsBoolean(const Value& value) { return value.is(Kind::kBool); }
bool IsInteger(const Value& value) { return value.is(Kind::kInt); }
bool IsFloat(const Value& value) { return value.is(Kind::kFloat); }
bool IsNumber(const Value& value) { return value.ToNumber().has_value(); }
bool IsMapping(const Value& value) { return value.is(Kind::kDict); }
bool IsTrueItself(const Value& value) { return value.is(Kind::kBool) && value.as_bool(); }
bool IsFalseItself(const Value& value) { return value.is(Kind::kBool) && !value.as_bool(); }
bool IsCallable(const Value& value) {
  return value.is(Kind::kObject) && value.as_object().IsCallable();
}
bool IsIterable(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kSequence) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined);
}
// What has a length and items by place: generators and the views of a dict have not.
bool IsSequence(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kDict) || value.is(Kind::kUndefined) ||
         (value.is(Kind::kSequence) && value.as_sequence().IsIndexable());
}

template <bool (*is)(const Value&)>
Result<bool> Plain(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN([[maybe_unused]] const Bound bound, Bound::Bind("the test", arguments, {}));
  return is(input);
}

template <CompareOperator op>
Result<bool> Compared(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("the test", arguments, {"other"}));
  ASSIGN_OR_RETURN(const Value other, bound.Need(0));
  return Apply(runtime, op, input, other);
}

Result<bool> DivisibleBy(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("divisibleby", arguments, {"num"}));
  ASSIGN_OR_RETURN(const Value number, bound.Need(0));
  ASSIGN_OR_RETURN(const Value rest, Apply(runtime, BinaryOperator::kModulo, input, number));
  return Equal(rest, Value(0));
}

template <int wanted>
Result<bool> Parity(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const Value rest, Apply(runtime, BinaryOperator::kModulo, input, Value(2)));
  return Equal(rest, Value(wanted));
}

template <auto change, auto other>
Result<bool> IsCase(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const std::string text, ToText(input));
  RETURN_IF_ERROR(runtime.Make(text.size()));
  return change(text) == text && other(text) != text;
}

Result<bool> SameAs(Runtime&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("sameas", arguments, {"other"}));
  ASSIGN_OR_RETURN(const Value other, bound.Need(0));
  if (input.kind() != other.kind()) return false;
  if (input.is(Kind::kSequence)) return input.sequence_ptr() == other.sequence_ptr();
  if (input.is(Kind::kDict)) return input.dict_ptr() == other.dict_ptr();
  return Equal(input, other);
}

const TextMap<TestFunction>& Tests();

// Whether the value names a filter, or a test: templates ask before they use a newer one.
bool IsFilterName(const Value& value) {
  return value.is(Kind::kString) && (ValueFilters().contains(value.as_string()) ||
                                     SequenceFilters().contains(value.as_string()));
}
bool IsTestName(const Value& value) {
  return value.is(Kind::kString) && Tests().contains(value.as_string());
}

const TextMap<TestFunction>& Tests() {
  static const auto* const table = new TextMap<TestFunction>{
      {"defined", Plain<IsDefined>},
      {"undefined", Plain<IsUndefined>},
      {"none", Plain<IsNone>},
      {"string", Plain<IsString>},
      {"boolean", Plain<IsBoolean>},
      {"integer", Plain<IsInteger>},
      {"float", Plain<IsFloat>},
      {"number", Plain<IsNumber>},
      {"mapping", Plain<IsMapping>},
      {"iterable", Plain<IsIterable>},
      {"sequence", Plain<IsSequence>},
      {"callable", Plain<IsCallable>},
      {"true", Plain<IsTrueItself>},
      {"false", Plain<IsFalseItself>},
      {"filter", Plain<IsFilterName>},
      {"test", Plain<IsTestName>},
      {"odd", Parity<1>},
      {"even", Parity<0>},
      {"divisibleby", DivisibleBy},
      {"sameas", SameAs},
      {"upper", IsCase<Upper, Lower>},
      {"lower", IsCase<Lower, Upper>},
      {"in", Compared<CompareOperator::kIn>},
      {"eq", Compared<CompareOperator::kEq>},
      {"equalto", Compared<CompareOperator::kEq>},
      {"==", Compared<CompareOperator::kEq>},
      {"ne", Compared<CompareOperator::kNe>},
      {"!=", Compared<CompareOperator::kNe>},
      {"lt", Compared<CompareOperator::kLt>},
      {"lessthan", Compared<CompareOperator::kLt>},
      {"<", Compared<CompareOperator::kLt>},
      {"le", Compared<CompareOperator::kLe>},
      {"<=", Compared<CompareOperator::kLe>},
      {"gt", Compared<CompareOperator::kGt>},
      {"greaterthan", Compared<CompareOperator::kGt>},
      {">", Compared<CompareOperator::kGt>},
      {"ge", Compared<CompareOperator::kGe>},
      {">=", Compared<CompareOperator::kGe>},
  };
  return *table;
}

}  // namespace

Result<bool> ApplyTest(Runtime& runtime, std::string_view name, const Value& input,
                       const Arguments& arguments) {
  RETURN_IF_ERROR(runtime.Step());
  RETURN_IF_ERROR(runtime.Read(input));
  const auto found = Tests().find(name);
  if (found == Tests().end()) {
    return Fail(Code::kUnimplemented, StrCat("there is no test '", name, "'"));
  }
  return found->second(runtime, input, arguments);
}

}  // namespace shoal::tokenizer::jinja
