// The visitor that reads a body's fields from untrusted bytes.
#pragma once

#include <bit>
#include <cmath>
#include <type_traits>

#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/field_path.h"
#include "wire/names.h"
#include "wire/traits.h"
#include "wire/utf8.h"

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

  void Payload(std::string_view name, ByteVector& bytes) {
    if (path_.failed()) return;
    const FieldPath::Scope scope(path_, name);
    const auto size = GetScalar<uint32_t>();
    while (!path_.failed() && reader_.position() % 4 != 0) {
      if (GetScalar<uint8_t>() != 0) path_.Fail(Code::kInvalidArgument, "padding is not zero");
    }
    GetBytes(size, bytes);
  }

 private:
  template <typename T>
  T GetScalar() {
    const T value = reader_.Read<T>();
    if (!reader_.ok()) path_.Fail(Code::kInvalidArgument, "the frame ends here");
    return value;
  }

  // A length of `unit`s that take at least `unit_bytes` each; 0 when it cannot be.
  uint32_t GetCount(uint32_t limit, size_t unit_bytes, std::string_view unit) {
    const auto count = GetScalar<uint32_t>();
    if (path_.failed()) return 0;
    if (count > limit) {
      path_.Fail(Code::kResourceExhausted, StrCat(count, " ", unit, ", at most ", limit));
      return 0;
    }
    if (count > reader_.remaining() / unit_bytes) {
      path_.Fail(Code::kInvalidArgument, StrCat(count, " ", unit, " said, ", reader_.remaining(),
                                                " bytes left in the frame"));
      return 0;
    }
    return count;
  }

  void GetBytes(uint32_t size, ByteVector& bytes) {
    if (path_.failed()) return;
    const Bytes view = reader_.ReadBytes(size);
    if (!reader_.ok()) {
      path_.Fail(Code::kInvalidArgument,
                 StrCat(size, " bytes said, ", reader_.remaining(), " left in the frame"));
      return;
    }
    bytes.assign(view.begin(), view.end());
  }

  void GetString(std::string& value) {
    const uint32_t size = GetCount(kLimits.string_bytes, 1, "bytes");
    const Bytes view = reader_.ReadBytes(size);
    if (path_.failed()) return;
    if (!IsUtf8(AsText(view))) {
      path_.Fail(Code::kInvalidArgument, "not UTF-8");
      return;
    }
    value = AsText(view);
  }

  template <typename Item>
  void GetList(std::vector<Item>& list) {
    const uint32_t limit = std::is_same_v<Item, Row> ? kLimits.rows : kLimits.list_items;
    const uint32_t count = GetCount(limit, MinWireBytes<Item>(), "items");
    if constexpr (std::is_same_v<Item, uint8_t>) {
      GetBytes(count, list);
    } else {
      list.resize(count);
      for (uint32_t i = 0; i < count && !path_.failed(); ++i) {
        const FieldPath::Scope scope(path_, i);
        Get(list[i]);
      }
    }
  }

  template <typename T>
  void Get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = GetScalar<uint8_t>();
      if (byte > 1) path_.Fail(Code::kInvalidArgument, StrCat(byte, " is neither 0 nor 1"));
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      const auto number = GetScalar<std::underlying_type_t<T>>();
      value = static_cast<T>(number);
      if (!path_.failed() && !EnumName(value)) {
        path_.Fail(Code::kInvalidArgument,
                   StrCat(number, " is not known; known are ", EnumChoices<T>()));
      }
    } else if constexpr (std::is_floating_point_v<T>) {
      value = GetScalar<T>();
      if (!std::isfinite(value)) path_.Fail(Code::kInvalidArgument, "not a finite number");
    } else if constexpr (std::is_integral_v<T>) {
      value = GetScalar<T>();
    } else if constexpr (kIsId<T>) {
      value.value = GetScalar<typename T::repr_type>();
    } else if constexpr (std::is_same_v<T, Sha256>) {
      const Bytes view = reader_.ReadBytes(value.size());
      if (!reader_.ok()) return path_.Fail(Code::kInvalidArgument, "the frame ends here");
      std::copy(view.begin(), view.end(), value.begin());
    } else if constexpr (std::is_same_v<T, std::string>) {
      GetString(value);
    } else if constexpr (kIsList<T>) {
      GetList(value);
    } else {
      T::Fields(*this, value);
    }
  }

  ByteReader reader_;
  FieldPath path_;
};

}  // namespace shoal::wire
