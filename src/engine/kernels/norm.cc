#include "engine/kernels/norm.h"

#include <cmath>

#include "engine/kernels/sum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/norm.cc"
#include "engine/kernels/targets.h"
// After targets.h:
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace shoal::engine {
namespace HWY_NAMESPACE {
namespace {

void RmsNorm(const float* x, const float* scale, float epsilon, size_t rows, size_t width,
             float* __restrict out) {
  for (size_t r = 0; r < rows; ++r, x += width, out += width) {
    const float mean = Dot(x, x, width) / static_cast<float>(width);
    const float factor = 1.0f / std::sqrt(mean + epsilon);
    for (size_t i = 0; i < width; ++i) out[i] = x[i] * factor * scale[i];
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace shoal::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shoal::engine {

HWY_EXPORT(RmsNorm);
void RmsNorm(const float* x, const float* scale, float epsilon, size_t rows, size_t width,
             float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, scale, epsilon, rows, width, out);
}

}  // namespace shoal::engine
#endif
