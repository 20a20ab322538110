#include "wire/fields_from_json.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/str_cat.h"
#include "wire/decimal.h"

namespace shoal::wire {
namespace {

constexpr size_t kQuotedMax = 32;  // Of foreign text in a message.

// Looks for the field that a key names.
class FieldFinder final : public FieldVisitor {
 public:
  explicit FieldFinder(std::string_view key) : key_(key) {}

  void Field(std::string_view name, const FieldType& type, void* value) override {
    if (name == key_) Found({.name = name, .type = &type, .value = value, .index = fields_});
    ++fields_;
  }
  // Its key is its name, or says that only its size is there.
  void Payload(std::string_view name, ByteVector& bytes) override {
    const bool beside = key_.starts_with(name) && key_.substr(name.size()) == "_bytes";
    if (beside || name == key_) {
      Found({.name = name,
             .type = &kFieldType<ByteVector>,
             .value = &bytes,
             .index = fields_,
             .beside = beside});
    }
    ++fields_;
  }

  struct Match {
    std::string_view name;
    const FieldType* type = nullptr;
    void* value = nullptr;
    int index = 0;
    bool beside = false;
  };
  const std::optional<Match>& match() const { return match_; }

 private:
  void Found(const Match& match) { match_ = match; }

  std::string_view key_;
  int fields_ = 0;
  std::optional<Match> match_;
};

// Looks for a field that has not been read.
class MissingFinder final : public FieldVisitor {
 public:
  explicit MissingFinder(uint64_t seen) : seen_(seen) {}

  void Field(std::string_view name, const FieldType&, void*) override {
    if (missing_.empty() && (seen_ & 1) == 0) missing_ = name;
    seen_ >>= 1;
  }
  void Payload(std::string_view name, ByteVector& bytes) override {
    Field(name, kFieldType<ByteVector>, &bytes);
  }

  // Empty: there is none.
  std::string_view missing() const { return missing_; }

 private:
  uint64_t seen_;
  std::string_view missing_;
};

// JSON's integers have no leading zeros; -0 would not come back.
template <typename T>
std::optional<T> ParseInteger(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool leading_zero = (text.size() > 1 && text[0] == '0') || text.starts_with("-0");
  if (error != std::errc() || stop != end || leading_zero) return std::nullopt;
  return value;
}

}  // namespace

void FieldsFromJson::Get(const FieldType& type, void* value) {
  GetValue(type, value);
  KeepScannerError();
}

void FieldsFromJson::GetValue(const FieldType& type, void* value) {
  switch (type.field_class) {
    case FieldClass::kBool:
      *static_cast<bool*>(value) = scanner_.Boolean();
      return;
    case FieldClass::kUnsigned:
      return GetUnsigned(type, value);
    case FieldClass::kSigned:
      return GetSigned(*static_cast<int32_t*>(value));
    case FieldClass::kFloat:
      return GetFloat(type, value);
    case FieldClass::kEnum:
      return GetEnum(type, *static_cast<uint8_t*>(value));
    case FieldClass::kString:
      return GetString(*static_cast<std::string*>(value));
    case FieldClass::kBytes:
      return GetHex(*static_cast<ByteVector*>(value));
    case FieldClass::kHash:
      return GetHash(type, value);
    case FieldClass::kList:
      return GetList(*type.list, value);
    case FieldClass::kStruct:
      return GetObject(type, value);
  }
}

void FieldsFromJson::Wrong(std::string_view what) {
  // What the scanner found came first, and made what it gave empty.
  KeepScannerError();
  path_.Fail(Code::kInvalidArgument, what);
}

void FieldsFromJson::KeepScannerError() {
  if (!scanner_.ok()) path_.Fail(Code::kInvalidArgument, scanner_.error());
}

void FieldsFromJson::GetObject(const FieldType& type, void* value) {
  uint64_t seen = 0;
  scanner_.Expect('{');
  if (!scanner_.Consume('}')) {
    do {
      const std::string key = scanner_.String();
      scanner_.Expect(':');
      if (!scanner_.ok()) return;
      GetMember(type, value, key, seen);
      if (path_.failed()) return;
    } while (scanner_.Consume(','));
    scanner_.Expect('}');
  }
  MissingFinder finder(seen);
  type.visit(finder, value);
  if (!finder.missing().empty()) Wrong(StrCat("no \"", finder.missing(), "\""));
}

void FieldsFromJson::GetMember(const FieldType& type, void* value, std::string_view key,
                               uint64_t& seen) {
  FieldFinder finder(key);
  type.visit(finder, value);
  const auto& match = finder.match();
  if (!match) {
    return Wrong(StrCat("there is no field \"", key.substr(0, kQuotedMax), "\""));
  }
  const uint64_t bit = uint64_t{1} << match->index;
  if ((seen & bit) != 0) return Wrong(StrCat("\"", match->name, "\" is there twice"));
  seen |= bit;
  const FieldPath::Scope scope(path_, match->name);
  if (match->beside) return GetBeside(*static_cast<ByteVector*>(match->value));
  Get(*match->type, match->value);
}

void FieldsFromJson::GetList(const ListType& type, void* list) {
  scanner_.Expect('[');
  if (scanner_.Consume(']')) return;
  size_t size = 0;
  do {
    if (size == type.items_max) {
      return path_.Fail(Code::kResourceExhausted, StrCat("more than ", size, " items"));
    }
    const FieldPath::Scope scope(path_, size);
    type.resize(list, size + 1);
    Get(type.item, static_cast<std::byte*>(type.data(list)) + size * type.item_bytes);
    ++size;
  } while (!path_.failed() && scanner_.Consume(','));
  scanner_.Expect(']');
}

void FieldsFromJson::GetBeside(ByteVector& bytes) {
  uint32_t size = 0;
  Get(size);
  if (path_.failed()) return;
  if (!beside_ || beside_->size() != size) {
    return Wrong(StrCat(size, " bytes said, ", beside_ ? beside_->size() : 0, " given"));
  }
  used_beside_ = true;
  bytes.assign(beside_->begin(), beside_->end());
}

void FieldsFromJson::GetHex(ByteVector& bytes) {
  Result<ByteVector> read = FromHex(scanner_.String());
  if (!read) return Wrong(read.error().detail);
  bytes = *std::move(read);
}

void FieldsFromJson::GetHash(const FieldType& type, void* value) {
  ByteVector bytes;
  GetHex(bytes);
  if (bytes.size() != type.bytes) {
    return Wrong(StrCat(bytes.size(), " bytes, must be ", type.bytes));
  }
  std::memcpy(value, bytes.data(), bytes.size());
}

void FieldsFromJson::GetString(std::string& text) {
  text = scanner_.String();
  if (text.size() <= kLimits.string_bytes) return;
  path_.Fail(Code::kResourceExhausted,
             StrCat(text.size(), " bytes, at most ", kLimits.string_bytes));
}

void FieldsFromJson::GetUnsigned(const FieldType& type, void* value) {
  const bool is_wide = type.bytes == sizeof(uint64_t);
  const std::string wide_text = is_wide ? scanner_.String() : std::string();
  const std::string_view text = is_wide ? wide_text : scanner_.Number();
  const uint64_t max = ~uint64_t{0} >> (64 - 8 * type.bytes);
  const std::optional<uint64_t> number = ParseInteger<uint64_t>(text);
  if (!number || *number > max) {
    return Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no integer from 0 to ", max));
  }
  std::memcpy(value, &*number, type.bytes);
}

void FieldsFromJson::GetSigned(int32_t& value) {
  const std::string_view text = scanner_.Number();
  const std::optional<int32_t> number = ParseInteger<int32_t>(text);
  if (!number) {
    return Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no integer from ",
                        std::numeric_limits<int32_t>::min(), " to ",
                        std::numeric_limits<int32_t>::max()));
  }
  value = *number;
}

void FieldsFromJson::GetFloat(const FieldType& type, void* value) {
  const bool is_float = type.bytes == sizeof(float);
  const double max =
      is_float ? double{std::numeric_limits<float>::max()} : std::numeric_limits<double>::max();
  const std::string_view text = scanner_.Number();
  const std::optional<double> number = DecimalToDouble(text);
  if (!number || std::abs(*number) > max) {
    return Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no number in range with at most ",
                        kDecimalDigitsMax, " digits"));
  }
  if (is_float) {
    *static_cast<float*>(value) = static_cast<float>(*number);
  } else {
    *static_cast<double*>(value) = *number;
  }
}

void FieldsFromJson::GetEnum(const FieldType& type, uint8_t& value) {
  const std::string name = scanner_.String();
  const Enumerator* const known = FindEnumerator(type.enumerators, name);
  if (known == nullptr) {
    return Wrong(StrCat("\"", name.substr(0, kQuotedMax), "\" is not known; known are ",
                        EnumChoices(type.enumerators)));
  }
  value = static_cast<uint8_t>(known->number);
}

}  // namespace shoal::wire
