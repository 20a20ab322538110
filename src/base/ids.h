// Strong identifiers: a SessionId cannot be passed where a NodeId is meant.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace shoal {

template <typename Tag, typename Repr>
struct Id {
  using repr_type = Repr;
  Repr value = 0;

  auto operator<=>(const Id&) const = default;
};

// An endpoint of frames: 0 is the coordinator, volunteers are numbered from 1 and never reused.
using NodeId = Id<struct NodeTag, uint32_t>;
// One conversation's state on the swarm; one choice of one API request.
using SessionId = Id<struct SessionTag, uint64_t>;
// Grows with every re-route of a session; volunteers refuse frames of older ones.
using Epoch = Id<struct EpochTag, uint32_t>;

inline constexpr NodeId kCoordinator{0};

}  // namespace shoal

template <typename Tag, typename Repr>
struct std::hash<shoal::Id<Tag, Repr>> {
  size_t operator()(const shoal::Id<Tag, Repr>& id) const noexcept {
    return std::hash<Repr>()(id.value);
  }
};
