// Stored weights (f32, f16, bf16) as floats. The same values as tensor/convert.h gives, in loops
// that the compiler can vectorise: these run over every 16-bit weight in every step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace shoal::engine {

// Whether kernels can read weights of this type.
bool IsWeightType(DType type);

// `count` weights at `data` (aligned to their size) as floats: where they are if they are floats,
// else widened into `scratch` [count].
const float* Widen(DType type, const uint8_t* data, size_t count, float* scratch);

}  // namespace shoal::engine
