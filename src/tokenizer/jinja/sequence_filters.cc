// Filters that go through the items of a value.
#include <algorithm>
#include <utility>

#include "base/str_cat.h"
#include "tokenizer/jinja/filter_tables.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/python_text.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

Result<Value> Generator(Runtime& runtime, Values items) {
  return runtime.Items(Sequence::Flavor::kGenerator, std::move(items));
}

Result<Value> Length(Runtime&, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const size_t length, LengthOf(input));
  return Value(static_cast<uint64_t>(length));
}

Result<Value> List(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Values items, TakeItems(runtime, input));
  return runtime.List(std::move(items));
}

Result<Value> First(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  if (items.empty()) return Value::MakeUndefined("No first item, sequence was empty.");
  return items.front();
}

Result<Value> Last(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  if (items.empty()) return Value::MakeUndefined("No last item, sequence was empty.");
  return items.back();
}

Result<Value> Reverse(Runtime& runtime, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Values items, TakeItems(runtime, input));
  std::ranges::reverse(items);
  if (!input.is(Kind::kString)) return Generator(runtime, std::move(items));
  std::string text;
  for (const Value& item : items) text += item.as_string();
  return runtime.Text(std::move(text));
}

Result<Value> Join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("join", arguments, {"d", "attribute"}));
  ASSIGN_OR_RETURN(const std::string between,
                   bound.Has(0) ? ToText(*bound.Find(0)) : std::string());
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (bound.Has(1) && !bound.Find(1)->is(Kind::kNone)) {
      ASSIGN_OR_RETURN(item, PathOf(runtime, item, *bound.Find(1)));
    }
    ASSIGN_OR_RETURN(const std::string text, ToText(item));
    RETURN_IF_ERROR(runtime.Make(between.size() + text.size()));
    if (i > 0) out += between;
    out += text;
  }
  return runtime.Text(std::move(out));
}

// map('filter', ...) and map(attribute='name', default=...).
Result<Value> Map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!input.IsTrue()) return Generator(runtime, {});  // Also none and 0: nothing is gone through.
  ASSIGN_OR_RETURN(Values items, TakeItems(runtime, input));
  if (arguments.positional.empty()) {
    ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("map", arguments, {"attribute", "default"}));
    if (!bound.Has(0)) return Fail(Code::kFailedPrecondition, "map requires a filter argument");
    for (Value& item : items) {
      ASSIGN_OR_RETURN(item, PathOf(runtime, item, *bound.Find(0)));
      if (item.is(Kind::kUndefined) && bound.Has(1)) item = *bound.Find(1);
    }
    return Generator(runtime, std::move(items));
  }
  if (!arguments.positional[0].is(Kind::kString)) {
    return WrongType("the name of a filter", arguments.positional[0]);
  }
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (Value& item : items) {
    ASSIGN_OR_RETURN(item, ApplyFilter(runtime, arguments.positional[0].as_string(), item, rest));
  }
  return Generator(runtime, std::move(items));
}

// select, reject, selectattr and rejectattr: by a test, or by being true.
template <bool keeps, bool by_attribute>
Result<Value> Select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!input.IsTrue()) return Generator(runtime, {});
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  constexpr size_t kOffset = by_attribute ? 1 : 0;
  if (arguments.positional.size() < kOffset) {
    return Fail(Code::kFailedPrecondition, "the name of an attribute is missing");
  }
  const bool has_test = arguments.positional.size() > kOffset;
  if (has_test && !arguments.positional[kOffset].is(Kind::kString)) {
    return WrongType("the name of a test", arguments.positional[kOffset]);
  }
  Arguments rest = arguments;
  rest.positional.erase(
      rest.positional.begin(),
      rest.positional.begin() + static_cast<ptrdiff_t>(kOffset + (has_test ? 1 : 0)));
  Values kept;
  for (const Value& item : items) {
    Value tested = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(tested, PathOf(runtime, item, arguments.positional[0]));
    }
    bool passes = tested.IsTrue();
    if (has_test) {
      ASSIGN_OR_RETURN(passes,
                       ApplyTest(runtime, arguments.positional[kOffset].as_string(), tested, rest));
    }
    if (passes == keeps) kept.push_back(item);
  }
  return Generator(runtime, std::move(kept));
}

// What items are sorted and told apart by: an attribute or several ("a,b"), or the item itself;
// strings in lower case unless `case_sensitive`. A tuple.
Result<Value> SortKey(Runtime& runtime, const Value& item, const Value* attribute,
                      bool case_sensitive) {
  Values keys;
  if (attribute == nullptr || attribute->is(Kind::kNone)) {
    keys.push_back(item);
  } else if (attribute->is(Kind::kString)) {
    for (const std::string_view path : Split(attribute->as_string(), ",", -1)) {
      ASSIGN_OR_RETURN(Value key, PathOf(runtime, item, Value(path)));
      keys.push_back(std::move(key));
    }
  } else {
    ASSIGN_OR_RETURN(Value key, PathOf(runtime, item, *attribute));
    keys.push_back(std::move(key));
  }
  for (Value& key : keys) {
    if (!case_sensitive && key.is(Kind::kString)) {
      ASSIGN_OR_RETURN(key, runtime.Text(Lower(key.as_string())));
    }
  }
  return MakeSequence(Sequence::Flavor::kTuple, std::move(keys));
}

// Sorts by keys, keeping the order of equal ones. A merge sort, since a comparison can fail.
Status SortByKeys(Runtime& runtime, std::vector<std::pair<Value, Value>>& entries, bool reverse) {
  std::vector<std::pair<Value, Value>> merged(entries.size());
  for (size_t width = 1; width < entries.size(); width *= 2) {
    for (size_t begin = 0; begin < entries.size(); begin += 2 * width) {
      size_t left = begin, out = begin;
      const size_t middle = std::min(begin + width, entries.size());
      const size_t end = std::min(begin + 2 * width, entries.size());
      size_t right = middle;
      while (left < middle || right < end) {
        RETURN_IF_ERROR(runtime.Step());
        bool takes_right = left == middle;
        if (left < middle && right < end) {
          const Value &a = entries[left].first, &b = entries[right].first;
          ASSIGN_OR_RETURN(takes_right, reverse ? Less(a, b) : Less(b, a));
        }
        merged[out++] = std::move(entries[takes_right ? right++ : left++]);
      }
    }
    std::swap(entries, merged);
  }
  return {};
}

Result<Value> Sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, SortKey(runtime, item, bound.Find(2), bound.Bool(1, false)));
    entries.emplace_back(std::move(key), item);
  }
  RETURN_IF_ERROR(SortByKeys(runtime, entries, bound.Bool(0, false)));
  Values sorted;
  for (auto& [key, item] : entries) sorted.push_back(std::move(item));
  return runtime.List(std::move(sorted));
}

Result<Value> DictSort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  if (!input.is(Kind::kDict)) return WrongType("a dict", input);
  ASSIGN_OR_RETURN(const std::string by, bound.String(1, "key"));
  if (by != "key" && by != "value") {
    return Fail(Code::kFailedPrecondition, "dictsort: by must be \"key\" or \"value\"");
  }
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : input.as_dict().entries()) {
    ASSIGN_OR_RETURN(Value sort_key,
                     SortKey(runtime, by == "key" ? key : value, nullptr, bound.Bool(0, false)));
    ASSIGN_OR_RETURN(Value pair, runtime.Items(Sequence::Flavor::kTuple, {key, value}));
    entries.emplace_back(std::move(sort_key), std::move(pair));
  }
  RETURN_IF_ERROR(SortByKeys(runtime, entries, bound.Bool(2, false)));
  Values sorted;
  for (auto& [key, pair] : entries) sorted.push_back(std::move(pair));
  return runtime.List(std::move(sorted));
}

Result<Value> Unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("unique", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  Dict seen;
  Values kept;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value key, SortKey(runtime, item, bound.Find(1), bound.Bool(0, false)));
    if (seen.Find(key) != nullptr) continue;
    RETURN_IF_ERROR(seen.Set(key, Value()));
    kept.push_back(item);
  }
  return Generator(runtime, std::move(kept));
}

template <bool wants_max>
Result<Value> Extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("min", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  if (items.empty()) return Value::MakeUndefined("No aggregated item, sequence was empty.");
  Value best, best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(Value key, SortKey(runtime, items[i], bound.Find(1), bound.Bool(0, false)));
    bool better = i == 0;
    if (!better) {
      ASSIGN_OR_RETURN(better, wants_max ? Less(best_key, key) : Less(key, best_key));
    }
    if (better) {
      best = items[i];
      best_key = std::move(key);
    }
  }
  return best;
}

Result<Value> Sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("sum", arguments, {"attribute", "start"}));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  Value total = bound.Has(1) ? *bound.Find(1) : Value(0);
  if (total.is(Kind::kString)) {
    return Fail(Code::kFailedPrecondition, "sum: strings are joined with join");
  }
  for (const Value& item : items) {
    Value addend = item;
    if (bound.Has(0) && !bound.Find(0)->is(Kind::kNone)) {
      ASSIGN_OR_RETURN(addend, PathOf(runtime, item, *bound.Find(0)));
    }
    ASSIGN_OR_RETURN(total, Apply(runtime, BinaryOperator::kAdd, total, addend));
  }
  return total;
}

Result<Value> Items(Runtime& runtime, const Value& input, const Arguments&) {
  Values pairs;
  if (input.is(Kind::kUndefined)) return Generator(runtime, std::move(pairs));
  if (!input.is(Kind::kDict)) return WrongType("a dict", input);
  for (const auto& [key, value] : input.as_dict().entries()) {
    ASSIGN_OR_RETURN(Value pair, runtime.Items(Sequence::Flavor::kTuple, {key, value}));
    pairs.push_back(std::move(pair));
  }
  return Generator(runtime, std::move(pairs));
}

Result<Value> Batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("batch", arguments, {"linecount", "fill_with"}));
  ASSIGN_OR_RETURN(const Integer size, bound.Int(0, 0));
  if (size < 1 || size > static_cast<Integer>(runtime.limits().range_items)) {
    return Fail(Code::kFailedPrecondition, "batch: linecount out of range");
  }
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  Values batches;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(size)) {
    const size_t end = std::min(begin + static_cast<size_t>(size), items.size());
    Values batch(items.begin() + static_cast<ptrdiff_t>(begin),
                 items.begin() + static_cast<ptrdiff_t>(end));
    if (bound.Has(1) && !bound.Find(1)->is(Kind::kNone)) {
      batch.resize(static_cast<size_t>(size), *bound.Find(1));
    }
    ASSIGN_OR_RETURN(Value list, runtime.List(std::move(batch)));
    batches.push_back(std::move(list));
  }
  return Generator(runtime, std::move(batches));
}

// `slices` lists of nearly the same length.
Result<Value> Slices(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Bind("slice", arguments, {"slices", "fill_with"}));
  ASSIGN_OR_RETURN(const Integer wanted, bound.Int(0, 0));
  if (wanted < 1 || wanted > static_cast<Integer>(runtime.limits().range_items)) {
    return Fail(Code::kFailedPrecondition, "slice: slices out of range");
  }
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  const auto count = static_cast<size_t>(wanted);
  const size_t longer = items.size() % count;
  Values slices;
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = items.size() / count + (i < longer ? 1 : 0);
    Values slice(items.begin() + static_cast<ptrdiff_t>(begin),
                 items.begin() + static_cast<ptrdiff_t>(begin + size));
    begin += size;
    if (bound.Has(1) && !bound.Find(1)->is(Kind::kNone) && i >= longer) {
      slice.push_back(*bound.Find(1));
    }
    ASSIGN_OR_RETURN(Value list, runtime.List(std::move(slice)));
    slices.push_back(std::move(list));
  }
  return Generator(runtime, std::move(slices));
}

// [(value, [items...]), ...] for the distinct values of an attribute, in their order.
Result<Value> GroupBy(Runtime& runtime, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::Bind("groupby", arguments, {"attribute", "default", "case_sensitive"}));
  ASSIGN_OR_RETURN(const Value attribute, bound.Need(0));
  ASSIGN_OR_RETURN(const Values items, TakeItems(runtime, input));
  const auto value_of = [&](const Value& item) -> Result<Value> {
    ASSIGN_OR_RETURN(Value value, PathOf(runtime, item, attribute));
    return value.is(Kind::kUndefined) && bound.Has(1) ? *bound.Find(1) : value;
  };
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value value, value_of(item));
    ASSIGN_OR_RETURN(Value key, SortKey(runtime, value, nullptr, bound.Bool(2, false)));
    entries.emplace_back(std::move(key), item);
  }
  RETURN_IF_ERROR(SortByKeys(runtime, entries, false));
  Values groups;
  for (size_t begin = 0; begin < entries.size();) {
    Values members;
    size_t end = begin;
    while (end < entries.size() && Equal(entries[end].first, entries[begin].first)) {
      members.push_back(entries[end++].second);
    }
    ASSIGN_OR_RETURN(Value grouper, value_of(members.front()));
    ASSIGN_OR_RETURN(Value list, runtime.List(std::move(members)));
    ASSIGN_OR_RETURN(Value group, runtime.Items(Sequence::Flavor::kTuple,
                                                {std::move(grouper), std::move(list)}));
    groups.push_back(std::move(group));
    begin = end;
  }
  return runtime.List(std::move(groups));
}

}  // namespace

const FilterTable& SequenceFilters() {
  static const FilterTable* const table = new FilterTable{
      {"length", Length},
      {"count", Length},
      {"list", List},
      {"first", First},
      {"last", Last},
      {"reverse", Reverse},
      {"join", Join},
      {"map", Map},
      {"select", Select<true, false>},
      {"reject", Select<false, false>},
      {"selectattr", Select<true, true>},
      {"rejectattr", Select<false, true>},
      {"sort", Sort},
      {"dictsort", DictSort},
      {"unique", Unique},
      {"min", Extreme<false>},
      {"max", Extreme<true>},
      {"sum", Sum},
      {"items", Items},
      {"batch", Batch},
      {"slice", Slices},
      {"groupby", GroupBy},
  };
  return *table;
}

}  // namespace shoal::tokenizer::jinja
