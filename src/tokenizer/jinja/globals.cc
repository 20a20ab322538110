#include "tokenizer/jinja/globals.h"

#include <array>
#include <ctime>

#include "base/str_cat.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/python_text.h"

namespace shoal::tokenizer::jinja {

namespace {

Result<Value> Range(Runtime& runtime, const Arguments& arguments) {
  Integer numbers[3] = {0, 0, 1};
  const size_t count = arguments.positional.size();
  if (count < 1 || count > 3 || !arguments.named.empty()) {
    return Fail(Code::kFailedPrecondition, "range takes one to three numbers");
  }
  for (size_t i = 0; i < count; ++i) {
    const std::optional<Integer> number = arguments.positional[i].ToInteger();
    if (!number) return WrongType("a whole number for range", arguments.positional[i]);
    numbers[i] = *number;
  }
  if (count == 1) std::swap(numbers[0], numbers[1]);
  const auto [start, stop, step] = numbers;
  if (step == 0) return Fail(Code::kFailedPrecondition, "range: the step must not be zero");
  Values items;
  for (Integer at = start; step > 0 ? at < stop : at > stop;) {
    if (items.size() == runtime.limits().range_items) {
      return Fail(Code::kResourceExhausted,
                  StrCat("range too big, the maximum is ", runtime.limits().range_items));
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return runtime.Items(Sequence::Flavor::kRange, std::move(items));
}

// The names and values that dict() and namespace() are given.
Status CopyEntries(Runtime& runtime, const Arguments& arguments, const auto& set) {
  if (arguments.positional.size() > 1) {
    return Fail(Code::kFailedPrecondition, "at most one argument without a name");
  }
  if (!arguments.positional.empty()) {
    const Value& other = arguments.positional[0];
    if (other.is(Value::Kind::kDict)) {
      for (const auto& [key, value] : other.as_dict().entries()) RETURN_IF_ERROR(set(key, value));
    } else {
      ASSIGN_OR_RETURN(const Values pairs, TakeItems(runtime, other));
      for (const Value& pair : pairs) {
        ASSIGN_OR_RETURN(const Values parts, TakeItems(runtime, pair));
        if (parts.size() != 2) return WrongType("pairs of a key and a value", pair);
        RETURN_IF_ERROR(set(parts[0], parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) RETURN_IF_ERROR(set(Value(name), value));
  return {};
}

Result<Value> MakeDict(Runtime& runtime, const Arguments& arguments) {
  auto dict = std::make_shared<Dict>();
  const auto set = [&](const Value& key, const Value& value) -> Status {
    RETURN_IF_ERROR(runtime.Make(4 * sizeof(Value)));
    return dict->Set(key, value);
  };
  RETURN_IF_ERROR(CopyEntries(runtime, arguments, set));
  return Value(std::move(dict));
}

Result<Value> MakeNamespace(Runtime& runtime, const Arguments& arguments) {
  RETURN_IF_ERROR(runtime.Make(sizeof(Namespace) + 128));
  const auto made = std::make_shared<Namespace>();
  runtime.ClearAtEnd(made.get(), [made] { made->Clear(); });
  RETURN_IF_ERROR(
      CopyEntries(runtime, arguments, [&](const Value& key, const Value& value) -> Status {
        if (!key.is(Value::Kind::kString)) return WrongType("a name", key);
        return made->SetAttribute(runtime, key.as_string(), value);
      }));
  return Value(std::shared_ptr<Object>(made));
}

// Gives its items in turn, for ever.
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string TypeName() const override { return "Cycler"; }
  int Nesting() const override { return items_.Nesting() + 1; }
  std::optional<Value> GetAttribute(std::string_view name) override {
    const Values& items = items_.as_sequence().items;
    if (name == "current") return items[at_];
    if (name != "next" && name != "reset") return std::nullopt;
    const bool advances = name == "next";
    return Value(std::shared_ptr<Object>(std::make_shared<Function>(
        std::string(name),
        [self = shared_from_this(), advances](Runtime&, const Arguments&) -> Result<Value> {
          const Values& all = self->items_.as_sequence().items;
          const Value current = advances ? all[self->at_] : Value();
          self->at_ = advances ? (self->at_ + 1) % all.size() : 0;
          return current;
        },
        Nesting())));
  }

 private:
  const Value items_;
  size_t at_ = 0;
};

Result<Value> MakeCycler(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty()) {
    return Fail(Code::kFailedPrecondition, "cycler needs at least one item");
  }
  ASSIGN_OR_RETURN(Value items, runtime.List(arguments.positional));
  return Value(std::shared_ptr<Object>(std::make_shared<Cycler>(std::move(items))));
}

// Gives nothing the first time it is called and its separator ever after.
Result<Value> MakeJoiner(Runtime& runtime, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("joiner", arguments, {"sep"}));
  const Value separator = bound.Has(0) ? *bound.Find(0) : Value(", ");
  RETURN_IF_ERROR(runtime.Make(sizeof(Function)));
  const int nesting = separator.Nesting() + 1;
  return Value(std::shared_ptr<Object>(std::make_shared<Function>(
      "joiner",
      [separator, used = false](Runtime&, const Arguments&) mutable -> Result<Value> {
        return std::exchange(used, true) ? separator : Value("");
      },
      nesting)));
}

Result<Value> RaiseException(Runtime&, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("raise_exception", arguments, {"message"}));
  ASSIGN_OR_RETURN(const Value message, bound.Need(0));
  ASSIGN_OR_RETURN(std::string text, ToText(message));
  return Fail(Code::kInvalidArgument, std::move(text));
}

Result<Value> StrftimeNow(Runtime& runtime, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("strftime_now", arguments, {"format"}));
  ASSIGN_OR_RETURN(const std::string format, bound.NeedString(0));
  if (!runtime.clock()) {
    return Fail(Code::kFailedPrecondition, "the template asks for the time and was given no clock");
  }
  const std::tm now = runtime.clock()();
  // A format can be wider than any text needs to be; what does not fit is an error.
  std::array<char, 1024> text{};
  const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &now);
  if (size == 0 && !format.empty()) {
    return Fail(Code::kFailedPrecondition,
                "strftime_now: the format makes too long a text, or none");
  }
  return runtime.Text(std::string(text.data(), size));
}

Value Named(const char* name, Result<Value> (*body)(Runtime&, const Arguments&)) {
  return Value(std::shared_ptr<Object>(std::make_shared<Function>(name, body)));
}

}  // namespace

std::optional<Value> Namespace::GetAttribute(std::string_view name) {
  const Value* value = attributes_.Find(name);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

Status Namespace::SetAttribute(Runtime& runtime, std::string_view name, Value value) {
  RETURN_IF_ERROR(runtime.Make(sizeof(Value)));
  return attributes_.Set(Value(name), std::move(value));
}

TextMap<Value> MakeGlobals() {
  TextMap<Value> globals;
  globals.emplace("range", Named("range", Range));
  globals.emplace("dict", Named("dict", MakeDict));
  globals.emplace("namespace", Named("namespace", MakeNamespace));
  globals.emplace("cycler", Named("cycler", MakeCycler));
  globals.emplace("joiner", Named("joiner", MakeJoiner));
  globals.emplace("raise_exception", Named("raise_exception", RaiseException));
  globals.emplace("strftime_now", Named("strftime_now", StrftimeNow));
  return globals;
}

}  // namespace shoal::tokenizer::jinja
