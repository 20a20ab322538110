#include "wire/fields_from_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/str_cat.h"
#include "wire/decimal.h"

namespace shoal::wire {
namespace {

constexpr size_t kQuotedMax = 32;  // Of foreign text in a message.

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

bool FieldsFromJson::FieldReader::Finds(std::string_view name) {
  const uint64_t bit = uint64_t{1} << index++;
  if (name != key) return false;
  found = true;
  if ((seen & bit) != 0) parent.Wrong(StrCat("\"", name, "\" is there twice"));
  seen |= bit;
  return !parent.path_.failed();
}

void FieldsFromJson::FieldReader::Payload(std::string_view name, ByteVector& bytes) {
  const bool is_size = key.starts_with(name) && key.substr(name.size()) == "_bytes";
  if (is_size) key = name;
  if (!Finds(name)) return;
  const FieldPath::Scope scope(parent.path_, name);
  if (is_size) {
    parent.GetBeside(bytes);
  } else {
    parent.Get(bytes);
  }
}

void FieldsFromJson::MissingFinder::Visit(std::string_view name) {
  if (missing.empty() && (seen >> index & 1) == 0) missing = name;
  ++index;
}

void FieldsFromJson::Wrong(std::string_view what) {
  // What the scanner found came first, and made what it gave empty.
  KeepScannerError();
  path_.Fail(Code::kInvalidArgument, what);
}

void FieldsFromJson::KeepScannerError() {
  if (!scanner_.ok()) path_.Fail(Code::kInvalidArgument, scanner_.error());
}

void FieldsFromJson::GetObject(const StructVisits& visits) {
  uint64_t seen = 0;
  scanner_.Expect('{');
  if (!scanner_.Consume('}')) {
    do {
      const std::string key = scanner_.String();
      scanner_.Expect(':');
      if (!scanner_.ok()) return;
      FieldReader reader{*this, key, seen};
      visits.read(visits.value, reader);
      if (!reader.found) Wrong(StrCat("there is no field \"", key.substr(0, kQuotedMax), "\""));
      if (path_.failed()) return;
    } while (scanner_.Consume(','));
    scanner_.Expect('}');
  }
  MissingFinder finder{seen};
  visits.find(visits.value, finder);
  if (!finder.missing.empty()) Wrong(StrCat("no \"", finder.missing, "\""));
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

void FieldsFromJson::GetSha256(Sha256& hash) {
  ByteVector bytes;
  GetHex(bytes);
  if (bytes.size() != hash.size()) {
    return Wrong(StrCat(bytes.size(), " bytes, must be ", hash.size()));
  }
  std::ranges::copy(bytes, hash.begin());
}

void FieldsFromJson::GetString(std::string& text) {
  text = scanner_.String();
  if (text.size() <= kLimits.string_bytes) return;
  path_.Fail(Code::kResourceExhausted,
             StrCat(text.size(), " bytes, at most ", kLimits.string_bytes));
}

int64_t FieldsFromJson::ParseSigned(std::string_view text, int64_t min, int64_t max) {
  const std::optional<int64_t> value = ParseInteger<int64_t>(text);
  if (value && *value >= min && *value <= max) return *value;
  Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no integer from ", min, " to ", max));
  return 0;
}

uint64_t FieldsFromJson::ParseUnsigned(std::string_view text, uint64_t max) {
  const std::optional<uint64_t> value = ParseInteger<uint64_t>(text);
  if (value && *value <= max) return *value;
  Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no integer from 0 to ", max));
  return 0;
}

double FieldsFromJson::ParseFloat(std::string_view text, double max) {
  const std::optional<double> value = DecimalToDouble(text);
  if (value && std::abs(*value) <= max) return *value;
  Wrong(StrCat("\"", text.substr(0, kQuotedMax), "\" is no number in range with at most ",
               kDecimalDigitsMax, " digits"));
  return 0;
}

void FieldsFromJson::UnknownName(std::string_view name, const std::string& choices) {
  Wrong(StrCat("\"", name.substr(0, kQuotedMax), "\" is not known; known are ", choices));
}

void FieldsFromJson::TooMany(size_t limit) {
  path_.Fail(Code::kResourceExhausted, StrCat("more than ", limit, " items"));
}

}  // namespace shoal::wire
