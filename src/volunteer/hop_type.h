// The element type of floats that cross the network.
#pragma once

#include "tensor/dtype.h"
#include "wire/kinds.h"

namespace shoal::volunteer {

inline DType DTypeOf(wire::HopType type) {
  return type == wire::HopType::kF16 ? DType::kF16 : DType::kF32;
}

}  // namespace shoal::volunteer
