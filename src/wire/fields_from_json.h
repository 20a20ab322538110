// The visitor that reads a struct's fields from untrusted JSON.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/decimal.h"
#include "wire/field_path.h"
#include "wire/json_scanner.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {

// After the first thing that is wrong nothing more is read; path().error() says what it was.
// The nesting is that of the structs, so that no text can make it deep.
class FieldsFromJson {
 public:
  // `beside`: the bytes of a payload whose size alone is in the text.
  FieldsFromJson(JsonScanner& scanner, std::optional<Bytes> beside)
      : scanner_(scanner), beside_(beside) {}

  FieldPath& path() { return path_; }
  bool used_beside() const { return used_beside_; }

  template <typename T>
  void Get(T& value) {
    GetValue(value);
    if (!scanner_.ok()) path_.Fail(Code::kInvalidArgument, scanner_.error());
  }

 private:
  // Visits the fields of a struct in search of the one that a key names, and reads its value.
  struct FieldReader {
    FieldsFromJson& parent;
    std::string_view key;
    uint64_t& seen;  // Bit i: the struct's field i has been read.
    int index = 0;
    bool found = false;

    template <typename T>
    void operator()(std::string_view name, T& value) {
      if (name == key && Enter(name)) {
        const FieldPath::Scope scope(parent.path_, name);
        parent.Get(value);
      }
      ++index;
    }
    void Payload(std::string_view name, ByteVector& bytes) {
      const bool is_size = key.starts_with(name) && key.substr(name.size()) == "_bytes";
      if ((name == key || is_size) && Enter(name)) {
        const FieldPath::Scope scope(parent.path_, name);
        if (is_size) {
          parent.GetBeside(bytes);
        } else {
          parent.Get(bytes);
        }
      }
      ++index;
    }
    bool Enter(std::string_view name) {
      found = true;
      const uint64_t bit = uint64_t{1} << index;
      if ((seen & bit) != 0) parent.Wrong(StrCat("\"", name, "\" is there twice"));
      seen |= bit;
      return !parent.path_.failed();
    }
  };

  // Visits the fields of a struct in search of one that has not been read.
  struct MissingFinder {
    uint64_t seen;
    int index = 0;
    std::string_view missing = {};

    template <typename T>
    void operator()(std::string_view name, const T&) {
      if (missing.empty() && (seen >> index & 1) == 0) missing = name;
      ++index;
    }
    void Payload(std::string_view name, const ByteVector& bytes) { (*this)(name, bytes); }
  };

  void Wrong(std::string_view what) { path_.Fail(Code::kInvalidArgument, what); }

  template <typename T>
  void GetStruct(T& value) {
    uint64_t seen = 0;
    scanner_.Expect('{');
    if (!scanner_.Consume('}')) {
      do {
        const std::string key = scanner_.String();
        scanner_.Expect(':');
        if (!scanner_.ok()) return;
        FieldReader reader{*this, key, seen};
        T::Fields(reader, value);
        if (!reader.found) Wrong(StrCat("there is no field \"", key.substr(0, 64), "\""));
        if (path_.failed()) return;
      } while (scanner_.Consume(','));
      scanner_.Expect('}');
    }
    MissingFinder finder{seen};
    T::Fields(finder, value);
    if (scanner_.ok() && !finder.missing.empty()) Wrong(StrCat("no \"", finder.missing, "\""));
  }

  void GetBeside(ByteVector& bytes) {
    uint32_t size = 0;
    Get(size);
    if (path_.failed()) return;
    if (!beside_ || beside_->size() != size) {
      return Wrong(StrCat(size, " bytes said, ", beside_ ? beside_->size() : 0, " given"));
    }
    used_beside_ = true;
    bytes.assign(beside_->begin(), beside_->end());
  }

  template <typename T>
  void GetInteger(std::string_view text, T& value) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    const bool leading_zero = text.size() > 1 && (text[0] == '0' || text.starts_with("-0"));
    if (error != std::errc() || stop != end || leading_zero) {
      Wrong(StrCat("\"", text.substr(0, 32), "\" is no integer from ",
                   std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max()));
    }
  }

  template <typename T>
  void GetFloat(T& value) {
    const std::string_view text = scanner_.Number();
    if (!scanner_.ok()) return;
    const std::optional<double> number = DecimalToDouble(text);
    if (!number || !std::isfinite(static_cast<T>(*number))) {
      return Wrong(StrCat("\"", text.substr(0, 32), "\" is no number in range with at most ",
                          kDecimalDigitsMax, " digits"));
    }
    value = static_cast<T>(*number);
  }

  void GetHex(std::span<uint8_t> fixed, ByteVector* grown) {
    const std::string text = scanner_.String();
    if (!scanner_.ok()) return;
    const Result<ByteVector> bytes = FromHex(text);
    if (!bytes) return Wrong(bytes.error().detail);
    if (grown != nullptr) {
      *grown = *bytes;
    } else if (bytes->size() == fixed.size()) {
      std::ranges::copy(*bytes, fixed.begin());
    } else {
      Wrong(StrCat(bytes->size(), " bytes, must be ", fixed.size()));
    }
  }

  template <typename T>
  void GetEnum(T& value) {
    const std::string name = scanner_.String();
    if (!scanner_.ok()) return;
    const std::optional<T> known = EnumFromName<T>(name);
    if (!known) {
      return Wrong(
          StrCat("\"", name.substr(0, 32), "\" is not known; known are ", EnumChoices<T>()));
    }
    value = *known;
  }

  template <typename Item>
  void GetList(std::vector<Item>& list) {
    const size_t limit = std::is_same_v<Item, Row> ? kLimits.rows : kLimits.list_items;
    scanner_.Expect('[');
    if (scanner_.Consume(']')) return;
    do {
      if (list.size() == limit) {
        return path_.Fail(Code::kResourceExhausted, StrCat("more than ", limit, " items"));
      }
      const FieldPath::Scope scope(path_, list.size());
      Get(list.emplace_back());
    } while (!path_.failed() && scanner_.Consume(','));
    scanner_.Expect(']');
  }

  template <typename T>
  void GetValue(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = scanner_.Boolean();
    } else if constexpr (std::is_enum_v<T>) {
      GetEnum(value);
    } else if constexpr (kIsId<T>) {
      GetValue(value.value);
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      const std::string text = scanner_.String();
      if (scanner_.ok()) GetInteger(text, value);
    } else if constexpr (std::is_integral_v<T>) {
      const std::string_view text = scanner_.Number();
      if (scanner_.ok()) GetInteger(text, value);
    } else if constexpr (std::is_floating_point_v<T>) {
      GetFloat(value);
    } else if constexpr (std::is_same_v<T, Sha256>) {
      GetHex(value, nullptr);
    } else if constexpr (kIsByteString<T>) {
      GetHex({}, &value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = scanner_.String();
      if (value.size() > kLimits.string_bytes) {
        path_.Fail(Code::kResourceExhausted,
                   StrCat(value.size(), " bytes, at most ", kLimits.string_bytes));
      }
    } else if constexpr (kIsList<T>) {
      GetList(value);
    } else {
      GetStruct(value);
    }
  }

  JsonScanner& scanner_;
  std::optional<Bytes> beside_;
  bool used_beside_ = false;
  FieldPath path_;
};

}  // namespace shoal::wire
