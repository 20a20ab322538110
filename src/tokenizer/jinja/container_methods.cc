#include <algorithm>

#include "base/str_cat.h"
#include "tokenizer/jinja/method_tables.h"
#include "tokenizer/jinja/operators.h"

namespace shoal::tokenizer::jinja {

namespace {

// Before a container is changed: from then on it may hold itself.
void WillChange(Runtime& runtime, const Value& self) {
  if (self.is(Value::Kind::kDict)) {
    const std::shared_ptr<Dict> dict = self.dict_ptr();
    runtime.ClearAtEnd(dict.get(), [dict] { dict->Clear(); });
  } else {
    const std::shared_ptr<Sequence> list = self.sequence_ptr();
    runtime.ClearAtEnd(list.get(), [list] { list->items.clear(); });
  }
}

Status Insert(Runtime& runtime, const Value& self, size_t place, Value item) {
  WillChange(runtime, self);
  RETURN_IF_ERROR(runtime.Make(sizeof(Value)));
  Sequence& list = self.as_sequence();
  const int nesting = std::max(list.nesting, item.Nesting() + 1);
  if (nesting > kMaxNesting) {
    return Fail(Code::kResourceExhausted, StrCat("values nest deeper than ", kMaxNesting));
  }
  list.nesting = nesting;
  list.items.insert(list.items.begin() + static_cast<ptrdiff_t>(place), std::move(item));
  return {};
}

Result<Value> Append(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("append", arguments, {"object"}));
  ASSIGN_OR_RETURN(Value item, bound.Need(0));
  RETURN_IF_ERROR(Insert(runtime, self, self.as_sequence().items.size(), std::move(item)));
  return Value();
}

Result<Value> Extend(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("extend", arguments, {"iterable"}));
  ASSIGN_OR_RETURN(const Value iterable, bound.Need(0));
  ASSIGN_OR_RETURN(Values items, TakeItems(runtime, iterable));
  for (Value& item : items) {
    RETURN_IF_ERROR(Insert(runtime, self, self.as_sequence().items.size(), std::move(item)));
  }
  return Value();
}

// The place that Python's index `at` means in a list of `size`.
size_t Clamp(Integer at, size_t size) {
  const auto count = static_cast<Integer>(size);
  return static_cast<size_t>(std::clamp<Integer>(at < 0 ? at + count : at, 0, count));
}

Result<Value> InsertAt(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("insert", arguments, {"index", "object"}));
  ASSIGN_OR_RETURN(const Integer at, bound.Int(0, 0));
  ASSIGN_OR_RETURN(Value item, bound.Need(1));
  RETURN_IF_ERROR(
      Insert(runtime, self, Clamp(at, self.as_sequence().items.size()), std::move(item)));
  return Value();
}

Result<Value> PopItem(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("pop", arguments, {"index"}));
  ASSIGN_OR_RETURN(Integer at, bound.Int(0, -1));
  Values& items = self.as_sequence().items;
  if (at < 0) at += static_cast<Integer>(items.size());
  if (at < 0 || at >= static_cast<Integer>(items.size())) {
    return Fail(Code::kFailedPrecondition, "pop: index out of range");
  }
  WillChange(runtime, self);
  const Value item = items[static_cast<size_t>(at)];
  items.erase(items.begin() + static_cast<ptrdiff_t>(at));
  return item;
}

Result<Value> RemoveItem(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("remove", arguments, {"value"}));
  ASSIGN_OR_RETURN(const Value wanted, bound.Need(0));
  Values& items = self.as_sequence().items;
  const auto found =
      std::ranges::find_if(items, [&](const Value& item) { return Equal(item, wanted); });
  if (found == items.end()) return Fail(Code::kFailedPrecondition, "remove: value not in list");
  WillChange(runtime, self);
  items.erase(found);
  return Value();
}

Result<Value> ReverseItems(Runtime& runtime, const Value& self, const Arguments&) {
  WillChange(runtime, self);
  std::ranges::reverse(self.as_sequence().items);
  return Value();
}

Result<Value> ClearItems(Runtime& runtime, const Value& self, const Arguments&) {
  WillChange(runtime, self);
  if (self.is(Value::Kind::kDict)) {
    self.as_dict().Clear();
  } else {
    self.as_sequence().items.clear();
  }
  return Value();
}

Result<Value> IndexOf(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("index", arguments, {"value"}));
  ASSIGN_OR_RETURN(const Value wanted, bound.Need(0));
  const Values& items = self.as_sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (Equal(items[i], wanted)) return Value(static_cast<uint64_t>(i));
  }
  return Fail(Code::kFailedPrecondition, "index: value not in list");
}

Result<Value> CountOf(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("count", arguments, {"value"}));
  ASSIGN_OR_RETURN(const Value wanted, bound.Need(0));
  return Value(static_cast<int64_t>(std::ranges::count_if(
      self.as_sequence().items, [&](const Value& item) { return Equal(item, wanted); })));
}

Result<Value> CopyList(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.List(self.as_sequence().items);
}

Result<Value> ItemsOf(Runtime& runtime, const Value& self, const Arguments&) {
  Values pairs;
  for (const auto& [key, value] : self.as_dict().entries()) {
    ASSIGN_OR_RETURN(Value pair, runtime.Items(Sequence::Flavor::kTuple, {key, value}));
    pairs.push_back(std::move(pair));
  }
  return runtime.Items(Sequence::Flavor::kItems, std::move(pairs));
}

Result<Value> Keys(Runtime& runtime, const Value& self, const Arguments&) {
  Values keys;
  for (const auto& [key, value] : self.as_dict().entries()) keys.push_back(key);
  return runtime.Items(Sequence::Flavor::kKeys, std::move(keys));
}

Result<Value> ValuesOf(Runtime& runtime, const Value& self, const Arguments&) {
  Values values;
  for (const auto& [key, value] : self.as_dict().entries()) values.push_back(value);
  return runtime.Items(Sequence::Flavor::kValues, std::move(values));
}

Result<Value> Get(Runtime&, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("get", arguments, {"key", "default"}));
  ASSIGN_OR_RETURN(const Value key, bound.Need(0));
  if (const Value* value = self.as_dict().Find(key)) return *value;
  return bound.Has(1) ? *bound.Find(1) : Value();
}

Status SetEntry(Runtime& runtime, const Value& self, const Value& key, Value value) {
  WillChange(runtime, self);
  RETURN_IF_ERROR(runtime.Make(4 * sizeof(Value)));
  return self.as_dict().Set(key, std::move(value));
}

Result<Value> SetDefault(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("setdefault", arguments, {"key", "default"}));
  ASSIGN_OR_RETURN(const Value key, bound.Need(0));
  if (const Value* value = self.as_dict().Find(key)) return *value;
  const Value value = bound.Has(1) ? *bound.Find(1) : Value();
  RETURN_IF_ERROR(SetEntry(runtime, self, key, value));
  return value;
}

Result<Value> PopEntry(Runtime& runtime, const Value& self, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("pop", arguments, {"key", "default"}));
  ASSIGN_OR_RETURN(const Value key, bound.Need(0));
  WillChange(runtime, self);
  if (std::optional<Value> value = self.as_dict().Remove(key)) return *value;
  if (bound.Has(1)) return *bound.Find(1);
  return Fail(Code::kFailedPrecondition, "pop: the dict has no such key");
}

Result<Value> Update(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() > 1) {
    return Fail(Code::kFailedPrecondition, "update takes at most one argument without a name");
  }
  if (!arguments.positional.empty()) {
    const Value& other = arguments.positional[0];
    if (!other.is(Value::Kind::kDict)) return WrongType("a dict", other);
    const std::vector<Dict::Entry> entries = other.as_dict().entries();
    for (const auto& [key, value] : entries) {
      RETURN_IF_ERROR(SetEntry(runtime, self, key, value));
    }
  }
  for (const auto& [name, value] : arguments.named) {
    RETURN_IF_ERROR(SetEntry(runtime, self, Value(name), value));
  }
  return Value();
}

Result<Value> CopyDict(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.Make(self.as_dict().size() * 4 * sizeof(Value)));
  return Value(std::make_shared<Dict>(self.as_dict()));
}

}  // namespace

const MethodTable& DictMethods() {
  static const MethodTable* const table = new MethodTable{
      {"items", ItemsOf}, {"keys", Keys},        {"values", ValuesOf},
      {"get", Get},       {"pop", PopEntry},     {"update", Update},
      {"copy", CopyDict}, {"clear", ClearItems}, {"setdefault", SetDefault},
  };
  return *table;
}

const MethodTable& ListMethods() {
  static const MethodTable* const table = new MethodTable{
      {"append", Append},     {"extend", Extend},        {"insert", InsertAt},  {"pop", PopItem},
      {"remove", RemoveItem}, {"reverse", ReverseItems}, {"clear", ClearItems}, {"index", IndexOf},
      {"count", CountOf},     {"copy", CopyList},
  };
  return *table;
}

const MethodTable& TupleMethods() {
  static const MethodTable* const table = new MethodTable{{"index", IndexOf}, {"count", CountOf}};
  return *table;
}

}  // namespace shoal::tokenizer::jinja
