#include "engine/kernels/norm.h"

#include <cmath>

#include "engine/kernels/sum.h"

namespace shoal::engine {

void RmsNorm(const float* x, const float* scale, float epsilon, size_t rows, size_t width,
             float* out) {
  for (size_t r = 0; r < rows; ++r, x += width, out += width) {
    const float mean = Dot(x, x, width) / static_cast<float>(width);
    const float factor = 1.0f / std::sqrt(mean + epsilon);
    for (size_t i = 0; i < width; ++i) out[i] = x[i] * factor * scale[i];
  }
}

}  // namespace shoal::engine
