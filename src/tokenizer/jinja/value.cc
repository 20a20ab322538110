#include "tokenizer/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "base/str_cat.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

std::unexpected<Error> TooDeep() {
  return Fail(Code::kResourceExhausted, StrCat("values nest deeper than ", kMaxNesting));
}

// A text that is the same for keys that are equal in Python (1, 1.0 and True are).
std::optional<std::string> KeyText(const Value& key, int depth = 0) {
  if (depth > kMaxNesting) return std::nullopt;
  switch (key.kind()) {
    case Kind::kNone:
      return "none";
    case Kind::kString:
      return StrCat("s", key.as_string());
    case Kind::kBool:
    case Kind::kInt:
      return StrCat("i", IntegerToText(*key.ToInteger()));
    case Kind::kFloat: {
      const double number = key.as_float();
      if (std::floor(number) == number && std::abs(number) < 0x1p100) {
        return StrCat("i", IntegerToText(static_cast<Integer>(number)));
      }
      return StrCat("f", FloatToText(number));
    }
    case Kind::kSequence: {
      if (key.as_sequence().flavor != Sequence::Flavor::kTuple) return std::nullopt;
      std::string text = "t";
      for (const Value& item : key.as_sequence().items) {
        const std::optional<std::string> part = KeyText(item, depth + 1);
        if (!part) return std::nullopt;
        text += StrCat(part->size(), ":", *part);
      }
      return text;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Value Value::MakeUndefined(std::string why) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(why))});
}

std::optional<Integer> Value::ToInteger() const {
  if (is(Kind::kBool)) return Integer{as_bool()};
  if (is(Kind::kInt)) return std::get<Integer>(data_);
  return std::nullopt;
}

std::optional<double> Value::ToNumber() const {
  if (is(Kind::kFloat)) return as_float();
  const std::optional<Integer> integer = ToInteger();
  return integer ? std::optional(static_cast<double>(*integer)) : std::nullopt;
}

bool Value::IsTrue() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return *ToInteger() != 0;
    case Kind::kFloat:
      return as_float() != 0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kSequence:
      return as_sequence().flavor == Sequence::Flavor::kGenerator || !as_sequence().items.empty();
    case Kind::kDict:
      return as_dict().size() > 0;
    case Kind::kObject:
      return true;
  }
  return false;
}

int Value::Nesting() const {
  if (is(Kind::kSequence)) return as_sequence().nesting;
  if (is(Kind::kDict)) return as_dict().nesting();
  if (is(Kind::kObject)) return as_object().Nesting();
  return 0;
}

std::string Value::TypeName() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kSequence: {
      constexpr const char* kNames[] = {"list",      "tuple",       "range",     "generator",
                                        "dict_keys", "dict_values", "dict_items"};
      return kNames[static_cast<size_t>(as_sequence().flavor)];
    }
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return as_object().TypeName();
  }
  return {};
}

Result<Value> MakeSequence(Sequence::Flavor flavor, Values items) {
  auto sequence = std::make_shared<Sequence>();
  sequence->flavor = flavor;
  for (const Value& item : items)
    sequence->nesting = std::max(sequence->nesting, item.Nesting() + 1);
  sequence->items = std::move(items);
  if (sequence->nesting > kMaxNesting) return TooDeep();
  return Value(std::move(sequence));
}

Status Dict::Set(const Value& key, Value value) {
  std::optional<std::string> text = KeyText(key);
  if (!text) {
    return Fail(Code::kFailedPrecondition,
                StrCat("a ", key.TypeName(), " cannot be the key of a dict"));
  }
  nesting_ = std::max({nesting_, value.Nesting() + 1, key.Nesting() + 1});
  if (nesting_ > kMaxNesting) return TooDeep();
  const auto [place, is_new] = index_.try_emplace(*std::move(text), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
  return {};
}

const Value* Dict::Find(const Value& key) const {
  const std::optional<std::string> text = KeyText(key);
  if (!text) return nullptr;
  const auto found = index_.find(*text);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::Find(std::string_view key) const {
  const auto found = index_.find(StrCat("s", key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

std::optional<Value> Dict::Remove(const Value& key) {
  const std::optional<std::string> text = KeyText(key);
  const auto found = text ? index_.find(*text) : index_.end();
  if (found == index_.end()) return std::nullopt;
  const size_t place = found->second;
  Value removed = entries_[place].second;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(place));
  index_.erase(found);
  for (auto& [name, index] : index_) index -= index > place ? 1 : 0;
  return removed;
}

void Dict::Clear() {
  index_.clear();
  entries_.clear();
}

Result<Value> Object::Call(Runtime&, const Arguments&) {
  return Fail(Code::kFailedPrecondition, StrCat("'", TypeName(), "' object is not callable"));
}

std::string Object::ToText() const { return StrCat("<", TypeName(), " object>"); }

namespace {

// Compares two values, each as large as it looks: a container can hold another many times over.
class Comparison {
 public:
  bool Equal(const Value& a, const Value& b, int depth);
  Result<bool> Less(const Value& a, const Value& b, int depth);

 private:
  // Values that are compared before the two count as different.
  static constexpr int kMaxCompared = 50'000;

  bool EqualItems(const Values& a, const Values& b, int depth) {
    return std::ranges::equal(
        a, b, [&](const Value& left, const Value& right) { return Equal(left, right, depth); });
  }

  int compared_ = 0;
};

bool Comparison::Equal(const Value& a, const Value& b, int depth) {
  if (depth > kMaxNesting || ++compared_ > kMaxCompared) return false;
  const std::optional<Integer> a_integer = a.ToInteger(), b_integer = b.ToInteger();
  if (a_integer && b_integer) return *a_integer == *b_integer;
  const std::optional<double> a_number = a.ToNumber(), b_number = b.ToNumber();
  if (a_number && b_number) return *a_number == *b_number;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.as_string() == b.as_string();
    case Kind::kSequence: {
      const Sequence &left = a.as_sequence(), &right = b.as_sequence();
      if (&left == &right) return true;
      if (left.flavor != right.flavor || left.flavor == Sequence::Flavor::kGenerator) return false;
      return EqualItems(left.items, right.items, depth + 1);
    }
    case Kind::kDict: {
      const Dict &left = a.as_dict(), &right = b.as_dict();
      if (&left == &right) return true;
      if (left.size() != right.size()) return false;
      return std::ranges::all_of(left.entries(), [&](const Dict::Entry& entry) {
        const Value* other = right.Find(entry.first);
        return other != nullptr && Equal(entry.second, *other, depth + 1);
      });
    }
    case Kind::kObject:
      return a.object_ptr() == b.object_ptr();
    default:
      return false;
  }
}

Result<bool> Comparison::Less(const Value& a, const Value& b, int depth) {
  const std::optional<Integer> a_integer = a.ToInteger(), b_integer = b.ToInteger();
  if (a_integer && b_integer) return *a_integer < *b_integer;
  const std::optional<double> a_number = a.ToNumber(), b_number = b.ToNumber();
  if (a_number && b_number) return *a_number < *b_number;
  // The bytes of UTF-8 are in the order of code points.
  if (a.is(Kind::kString) && b.is(Kind::kString)) return a.as_string() < b.as_string();
  if (a.is(Kind::kSequence) && b.is(Kind::kSequence) && depth < kMaxNesting) {
    const Sequence &left = a.as_sequence(), &right = b.as_sequence();
    const bool ordered =
        left.flavor == Sequence::Flavor::kList || left.flavor == Sequence::Flavor::kTuple;
    if (ordered && left.flavor == right.flavor) {
      const size_t common = std::min(left.items.size(), right.items.size());
      for (size_t i = 0; i < common; ++i) {
        if (!Equal(left.items[i], right.items[i], depth + 1)) {
          return Less(left.items[i], right.items[i], depth + 1);
        }
      }
      return left.items.size() < right.items.size();
    }
  }
  if (a.is(Kind::kUndefined)) return Fail(Code::kFailedPrecondition, a.why_undefined());
  if (b.is(Kind::kUndefined)) return Fail(Code::kFailedPrecondition, b.why_undefined());
  return Fail(Code::kFailedPrecondition,
              StrCat("'", a.TypeName(), "' and '", b.TypeName(), "' cannot be compared by size"));
}

}  // namespace

bool Equal(const Value& a, const Value& b) { return Comparison().Equal(a, b, 0); }

Result<bool> Less(const Value& a, const Value& b) { return Comparison().Less(a, b, 0); }

}  // namespace shoal::tokenizer::jinja
