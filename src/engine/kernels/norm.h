// Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467).
#pragma once

#include <cstddef>

namespace shoal::engine {

// out [rows, width] = x [rows, width] / sqrt(mean of the row's squares + epsilon) * scale [width].
void RmsNorm(const float* x, const float* scale, float epsilon, size_t rows, size_t width,
             float* out);

}  // namespace shoal::engine
