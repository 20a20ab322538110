// The visitor that reads a body's fields from untrusted bytes.
#pragma once

#include <type_traits>

#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/field_path.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {

// After the first thing that is wrong nothing more is read; path().error() says what it was.
class FieldsDecoder {
 public:
  // `frame` is the whole frame, of which `header_bytes` are skipped.
  FieldsDecoder(Bytes frame, size_t header_bytes) : reader_(frame) {
    reader_.ReadBytes(header_bytes);
  }

  FieldPath& path() { return path_; }
  size_t remaining() const { return reader_.remaining(); }

  template <typename T>
  void operator()(std::string_view name, T& value) {
    if (path_.failed()) return;
    const FieldPath::Scope scope(path_, name);
    Get(value);
  }

  void Payload(std::string_view name, ByteVector& bytes);

 private:
  // `size` bytes to `target`, which stays as it is when they are not there.
  void Take(void* target, size_t size);
  // A length of items that take at least `item_bytes` each; 0 when it cannot be.
  uint32_t TakeCount(uint32_t limit, size_t item_bytes);
  void TakeBytes(uint32_t size, ByteVector& bytes);
  void TakeString(std::string& text);
  void TakeBool(bool& value);
  void CheckFinite(double value);

  template <typename T>
  void Get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      TakeBool(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      TakeString(value);
    } else if constexpr (kIsByteString<T>) {
      TakeBytes(TakeCount(kLimits.list_items, 1), value);
    } else if constexpr (kIsList<T>) {
      GetList(value);
    } else if constexpr (std::is_enum_v<T>) {
      GetEnum(value);
    } else if constexpr (std::is_arithmetic_v<T> || kIsId<T> || std::is_same_v<T, Sha256>) {
      Take(&value, sizeof(value));
      if constexpr (std::is_floating_point_v<T>) CheckFinite(static_cast<double>(value));
    } else {
      T::Fields(*this, value);
    }
  }

  template <typename Item>
  void GetList(std::vector<Item>& list) {
    const uint32_t limit = std::is_same_v<Item, Row> ? kLimits.rows : kLimits.list_items;
    list.resize(TakeCount(limit, MinWireBytes<Item>()));
    for (size_t i = 0; i < list.size() && !path_.failed(); ++i) {
      const FieldPath::Scope scope(path_, i);
      Get(list[i]);
    }
  }

  template <typename Enum>
  void GetEnum(Enum& value) {
    std::underlying_type_t<Enum> number = 0;
    Take(&number, sizeof(number));
    value = static_cast<Enum>(number);
    if (!EnumName(value)) UnknownEnumerator(number, EnumChoices<Enum>());
  }
  void UnknownEnumerator(uint32_t number, const std::string& choices);

  ByteReader reader_;
  FieldPath path_;
};

}  // namespace shoal::wire
