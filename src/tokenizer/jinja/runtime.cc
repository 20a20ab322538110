#include "tokenizer/jinja/runtime.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

constexpr size_t kItemBytes = 32;
constexpr size_t kContainerBytes = 64;
constexpr size_t kBytesPerStep = 256;
constexpr size_t kItemsPerStep = 4;
constexpr uint64_t kStepsPerContainer = 1000;

}  // namespace

Runtime::~Runtime() {
  // What is cleared is held by its own entry, so freeing never runs from one to the next.
  for (auto& [what, clear] : to_clear_) clear();
}

Status Runtime::Steps(uint64_t count) {
  steps_ += count;
  if (steps_ <= limits_.steps) return {};
  return Fail(Code::kResourceExhausted,
              StrCat("the template did not end within ", limits_.steps, " steps"));
}

Status Runtime::Read(const Value& value) {
  if (value.is(Value::Kind::kString)) return Steps(value.as_string().size() / kBytesPerStep);
  if (value.is(Value::Kind::kSequence)) {
    return Steps(value.as_sequence().items.size() / kItemsPerStep);
  }
  return {};
}

Status Runtime::Compare(const Value& a, const Value& b) {
  const auto is_container = [](const Value& value) {
    return value.is(Value::Kind::kSequence) || value.is(Value::Kind::kDict);
  };
  if (is_container(a) && is_container(b)) return Steps(kStepsPerContainer);
  RETURN_IF_ERROR(Read(a));
  return Read(b);
}

Status Runtime::Make(size_t bytes) {
  made_bytes_ += std::min(bytes, limits_.made_bytes + 1);
  if (made_bytes_ <= limits_.made_bytes) return {};
  return Fail(Code::kResourceExhausted, StrCat("the template makes more than ",
                                               FormatSize(limits_.made_bytes), " of values"));
}

Result<Value> Runtime::Text(std::string text) {
  RETURN_IF_ERROR(Make(text.size()));
  if (text.size() > limits_.output_bytes) {
    return Fail(Code::kResourceExhausted,
                StrCat("a text of more than ", FormatSize(limits_.output_bytes)));
  }
  return Value(std::move(text));
}

Result<Value> Runtime::Items(Sequence::Flavor flavor, Values items) {
  RETURN_IF_ERROR(Make(kContainerBytes + items.size() * kItemBytes));
  return MakeSequence(flavor, std::move(items));
}

Status Runtime::Nested::Check() const {
  if (runtime_.depth_ <= runtime_.limits_.depth) return {};
  return Fail(Code::kResourceExhausted,
              StrCat("the template nests more than ", runtime_.limits_.depth, " evaluations"));
}

void Runtime::ClearAtEnd(const void* what, std::function<void()> clear) {
  to_clear_.try_emplace(what, std::move(clear));
}

Result<Bound> Bound::Bind(std::string_view callee, const Arguments& arguments,
                          std::initializer_list<std::string_view> parameters) {
  Bound bound;
  bound.callee_ = callee;
  bound.parameters_ = parameters;
  bound.values_.resize(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return Fail(Code::kFailedPrecondition, StrCat(callee, " takes at most ", parameters.size(),
                                                  " arguments, not ", arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto place = std::ranges::find(bound.parameters_, name);
    if (place == bound.parameters_.end()) {
      return Fail(Code::kFailedPrecondition, StrCat(callee, " has no argument '", name, "'"));
    }
    const Value*& slot = bound.values_[static_cast<size_t>(place - bound.parameters_.begin())];
    if (slot != nullptr) {
      return Fail(Code::kFailedPrecondition, StrCat(callee, " got '", name, "' twice"));
    }
    slot = &value;
  }
  return bound;
}

std::unexpected<Error> Bound::Wrong(size_t parameter, std::string_view expected) const {
  const Value* value = values_[parameter];
  return Fail(Code::kFailedPrecondition,
              StrCat(callee_, ": ", parameters_[parameter], ": expected ", expected, ", found ",
                     value == nullptr ? "nothing" : value->TypeName()));
}

Result<Value> Bound::Need(size_t parameter) const {
  if (!Has(parameter)) return Wrong(parameter, "a value");
  return *values_[parameter];
}

Result<Integer> Bound::Int(size_t parameter, Integer otherwise) const {
  if (!Has(parameter)) return otherwise;
  const std::optional<Integer> integer = values_[parameter]->ToInteger();
  if (!integer) return Wrong(parameter, "a whole number");
  return *integer;
}

bool Bound::Bool(size_t parameter, bool otherwise) const {
  return Has(parameter) ? values_[parameter]->IsTrue() : otherwise;
}

Result<std::string> Bound::String(size_t parameter, std::string_view otherwise) const {
  if (!Has(parameter)) return std::string(otherwise);
  return NeedString(parameter);
}

Result<std::string> Bound::NeedString(size_t parameter) const {
  if (!Has(parameter) || !values_[parameter]->is(Value::Kind::kString)) {
    return Wrong(parameter, "a string");
  }
  return values_[parameter]->as_string();
}

Result<Values> TakeItems(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return Values();
    case Kind::kSequence: {
      Sequence& sequence = value.as_sequence();
      if (sequence.flavor == Sequence::Flavor::kGenerator) return std::exchange(sequence.items, {});
      RETURN_IF_ERROR(runtime.Make(sequence.items.size() * kItemBytes));
      return sequence.items;
    }
    case Kind::kDict: {
      RETURN_IF_ERROR(runtime.Make(value.as_dict().size() * kItemBytes));
      Values keys;
      for (const auto& [key, item] : value.as_dict().entries()) keys.push_back(key);
      return keys;
    }
    case Kind::kString: {
      const std::string& text = value.as_string();
      RETURN_IF_ERROR(runtime.Make(text.size() * 2 * kItemBytes));
      Values characters;
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        NextCodePoint(text, at);
        characters.emplace_back(std::string_view(text).substr(begin, at - begin));
      }
      return characters;
    }
    default:
      return WrongType("something to go through", value);
  }
}

std::unexpected<Error> WrongType(std::string_view wanted, const Value& value) {
  if (value.is(Value::Kind::kUndefined)) {
    return Fail(Code::kFailedPrecondition, value.why_undefined());
  }
  return Fail(Code::kFailedPrecondition, StrCat("expected ", wanted, ", found ", value.TypeName()));
}

}  // namespace shoal::tokenizer::jinja
