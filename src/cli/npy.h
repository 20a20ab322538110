// NumPy's .npy files (NEP 1, format version 1.0), for float32 matrices.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace shoal::cli {

// The content of a C-ordered little-endian float32 array [rows, columns].
ByteVector SerializeNpy(std::span<const float> values, uint64_t rows, uint64_t columns);

}  // namespace shoal::cli
