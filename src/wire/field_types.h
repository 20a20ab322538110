// What types a frame's fields have, at run time: so each visitor of fields is one piece of code for
// all frames, not one for each, and the module that tabs download is small.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {

enum class FieldClass : uint8_t {
  kBool,
  kUnsigned,  // Identifiers, too.
  kSigned,
  kFloat,
  kEnum,
  kString,
  kBytes,
  kHash,
  kList,
  kStruct,
};

struct FieldType;

// Is shown the fields of a struct one after the other, in wire order. A visitor that only reads may
// be shown those of a const struct.
class FieldVisitor {
 public:
  // `value` points to an object of the type that `type` describes.
  virtual void Field(std::string_view name, const FieldType& type, void* value) = 0;
  // A frame's last, bulky field.
  virtual void Payload(std::string_view name, ByteVector& bytes) = 0;

  // What the structs' own `Fields` call.
  template <typename T>
  void operator()(const char* name, T& value);

 protected:
  ~FieldVisitor() = default;

 private:
  // Field, in a call that is as short as it can be: there is one for each field of all frames.
  void Show(const char* name, const FieldType& type, void* value);
};

// A std::vector of some type of items.
struct ListType {
  const FieldType& item;
  size_t item_bytes;  // In memory, from one to the next.
  size_t (*item_min_wire_bytes)();
  uint32_t items_max;
  size_t (*size)(const void* list);
  void* (*data)(void* list);
  // New items are those that their type makes by default.
  void (*resize)(void* list, size_t size);
};

struct FieldType {
  FieldClass field_class;
  uint8_t bytes = 0;  // Of numbers, enumerators and hashes, in memory as on the wire.
  std::span<const Enumerator> enumerators = {};                 // Of kEnum.
  const ListType* list = nullptr;                               // Of kList.
  void (*visit)(FieldVisitor& visitor, void* value) = nullptr;  // Of kStruct.

  // Whether a value's bytes in memory are those on the wire, and any bytes are a value.
  constexpr bool IsPlain() const {
    return field_class == FieldClass::kUnsigned || field_class == FieldClass::kSigned ||
           field_class == FieldClass::kHash;
  }
};

// A value of a type that is known at run time.
struct FieldRef {
  const FieldType& type;
  void* value;
};

namespace internal {

template <typename T>
constexpr FieldType DescribeField();

template <typename T>
inline constexpr FieldType kDescribed = DescribeField<T>();

template <typename Item>
inline constexpr ListType kListType{
    .item = kDescribed<Item>,
    .item_bytes = sizeof(Item),
    .item_min_wire_bytes = [] { return MinWireBytes<Item>(); },
    .items_max = std::is_same_v<Item, Row> ? kLimits.rows : kLimits.list_items,
    .size = [](const void* list) { return static_cast<const std::vector<Item>*>(list)->size(); },
    .data = [](void* list) -> void* { return static_cast<std::vector<Item>*>(list)->data(); },
    .resize = [](void* list, size_t size) { static_cast<std::vector<Item>*>(list)->resize(size); }};

template <typename Item>
constexpr const ListType* ListTypeOf(const std::vector<Item>*) {
  return &kListType<Item>;
}

template <typename T>
constexpr FieldClass NumberClass() {
  if (std::is_floating_point_v<T>) return FieldClass::kFloat;
  return std::is_signed_v<T> ? FieldClass::kSigned : FieldClass::kUnsigned;
}

template <typename T>
constexpr FieldType DescribeField() {
  if constexpr (kIsId<T>) {
    static_assert(sizeof(T) == sizeof(typename T::repr_type));
    return DescribeField<typename T::repr_type>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return {FieldClass::kBool, 1};
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(sizeof(T) == 1);
    return {FieldClass::kEnum, 1, kEnumerators<T>};
  } else if constexpr (std::is_arithmetic_v<T>) {
    // Visitors know these alone.
    static_assert(!std::is_signed_v<T> || std::is_floating_point_v<T> ||
                  std::is_same_v<T, int32_t>);
    return {NumberClass<T>(), sizeof(T)};
  } else if constexpr (std::is_same_v<T, Sha256>) {
    return {FieldClass::kHash, sizeof(T)};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {FieldClass::kString, 0};
  } else if constexpr (kIsByteString<T>) {
    return {FieldClass::kBytes, 0};
  } else if constexpr (kIsList<T>) {
    return {.field_class = FieldClass::kList, .list = ListTypeOf(static_cast<const T*>(nullptr))};
  } else {
    return {.field_class = FieldClass::kStruct, .visit = [](FieldVisitor& visitor, void* value) {
              T::Fields(visitor, *static_cast<T*>(value));
            }};
  }
}

}  // namespace internal

// The description of T.
template <typename T>
inline constexpr const FieldType& kFieldType = internal::kDescribed<T>;

template <typename T>
void FieldVisitor::operator()(const char* name, T& value) {
  Show(name, kFieldType<T>, &value);
}

}  // namespace shoal::wire
