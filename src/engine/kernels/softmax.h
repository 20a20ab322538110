// Softmax over the last dim.
#pragma once

#include <cstddef>

namespace shoal::engine {

// out [rows, width]: every row of x [rows, width] as exp(x - max) / sum. `out` may be `x`.
void Softmax(const float* x, size_t rows, size_t width, float* out);

}  // namespace shoal::engine
