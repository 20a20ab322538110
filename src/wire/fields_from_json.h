// The visitor that reads a struct's fields from untrusted JSON.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "wire/codec.h"
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
    KeepScannerError();
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
      if (Finds(name)) {
        const FieldPath::Scope scope(parent.path_, name);
        parent.Get(value);
      }
    }
    void Payload(std::string_view name, ByteVector& bytes);
    // Whether `name` is the key and has not been there before.
    bool Finds(std::string_view name);
  };

  // Visits the fields of a struct in search of one that has not been read.
  struct MissingFinder {
    uint64_t seen;
    int index = 0;
    std::string_view missing = {};

    template <typename T>
    void operator()(std::string_view name, const T&) {
      Visit(name);
    }
    void Payload(std::string_view name, const ByteVector&) { Visit(name); }
    void Visit(std::string_view name);
  };

  void Wrong(std::string_view what);
  void KeepScannerError();
  void GetBeside(ByteVector& bytes);
  void GetHex(ByteVector& bytes);
  void GetSha256(Sha256& hash);
  void GetString(std::string& text);
  // A number's text as an integer of the range given.
  int64_t ParseSigned(std::string_view text, int64_t min, int64_t max);
  uint64_t ParseUnsigned(std::string_view text, uint64_t max);
  double ParseFloat(std::string_view text, double max);
  // The name of an enumerator is `name`, which is none of `choices`.
  void UnknownName(std::string_view name, const std::string& choices);
  void TooMany(size_t limit);

  // One struct, type-erased: `read` and `find` call its Fields.
  struct StructVisits {
    void* value;
    void (*read)(void* value, FieldReader& reader);
    void (*find)(void* value, MissingFinder& finder);
  };
  void GetObject(const StructVisits& visits);

  template <typename T>
  void GetStruct(T& value) {
    GetObject({.value = &value,
               .read = [](void* v, FieldReader& r) { T::Fields(r, *static_cast<T*>(v)); },
               .find = [](void* v, MissingFinder& f) { T::Fields(f, *static_cast<T*>(v)); }});
  }

  template <typename Item>
  void GetList(std::vector<Item>& list) {
    const size_t limit = std::is_same_v<Item, Row> ? kLimits.rows : kLimits.list_items;
    scanner_.Expect('[');
    if (scanner_.Consume(']')) return;
    do {
      if (list.size() == limit) return TooMany(limit);
      const FieldPath::Scope scope(path_, list.size());
      Get(list.emplace_back());
    } while (!path_.failed() && scanner_.Consume(','));
    scanner_.Expect(']');
  }

  template <typename Enum>
  void GetEnum(Enum& value) {
    const std::string name = scanner_.String();
    if (const std::optional<Enum> known = EnumFromName<Enum>(name)) {
      value = *known;
    } else {
      UnknownName(name, EnumChoices<Enum>());
    }
  }

  template <typename T>
  void GetValue(T& value) {
    using Range = std::numeric_limits<T>;
    if constexpr (std::is_same_v<T, bool>) {
      value = scanner_.Boolean();
    } else if constexpr (std::is_enum_v<T>) {
      GetEnum(value);
    } else if constexpr (kIsId<T>) {
      GetValue(value.value);
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      value = ParseUnsigned(scanner_.String(), Range::max());
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(ParseFloat(scanner_.Number(), static_cast<double>(Range::max())));
    } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      value = static_cast<T>(ParseSigned(scanner_.Number(), Range::min(), Range::max()));
    } else if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(ParseUnsigned(scanner_.Number(), Range::max()));
    } else if constexpr (std::is_same_v<T, Sha256>) {
      GetSha256(value);
    } else if constexpr (kIsByteString<T>) {
      GetHex(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      GetString(value);
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
