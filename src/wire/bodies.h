// From a frame's kind to the body that belongs to it.
#pragma once

#include <cstddef>
#include <utility>
#include <variant>

#include "wire/field_types.h"
#include "wire/frames.h"

namespace shoal::wire {

inline constexpr size_t kBodyKinds = std::variant_size_v<Body>;

// An empty body of `kind`, which must be an enumerator.
inline Body MakeBody(Kind kind) {
  Body body;
  [&]<size_t... index>(std::index_sequence<index...>) {
    ((std::variant_alternative_t<index, Body>::kKind == kind
          ? static_cast<void>(body.emplace<index>())
          : static_cast<void>(0)),
     ...);
  }(std::make_index_sequence<kBodyKinds>());
  return body;
}

// The body that is held, as a value of its type. Of a const body it must only be read.
inline FieldRef HeldBody(Body& body) {
  return std::visit(
      [](auto& held) {
        return FieldRef{.type = kFieldType<std::remove_cvref_t<decltype(held)>>, .value = &held};
      },
      body);
}
inline FieldRef HeldBody(const Body& body) { return HeldBody(const_cast<Body&>(body)); }

// Calls `visitor` for every field of the body.
template <typename Visitor, typename BodyType>
void VisitFields(Visitor& visitor, BodyType& body) {
  std::visit([&visitor](auto& held) { std::remove_cvref_t<decltype(held)>::Fields(visitor, held); },
             body);
}

}  // namespace shoal::wire
