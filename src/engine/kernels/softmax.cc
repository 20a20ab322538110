#include "engine/kernels/softmax.h"

#include "engine/kernels/math.h"

namespace shoal::engine {

void Softmax(const float* x, size_t rows, size_t width, float* out) {
  for (size_t r = 0; r < rows; ++r, x += width, out += width) {
    float largest = x[0];
    for (size_t i = 1; i < width; ++i) largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < width; ++i) out[i] = Exp(x[i] - largest);
    float sum = 0;
    for (size_t i = 0; i < width; ++i) sum += out[i];
    const float factor = 1.0f / sum;
    for (size_t i = 0; i < width; ++i) out[i] *= factor;
  }
}

}  // namespace shoal::engine
