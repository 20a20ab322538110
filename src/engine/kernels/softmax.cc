#include "engine/kernels/softmax.h"

#include "engine/kernels/softmax_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/softmax.cc"
#include "engine/kernels/targets.h"
// After targets.h:
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace shoal::engine {
namespace HWY_NAMESPACE {
namespace {

void Softmax(const float* x, size_t rows, size_t width, float* out) {
  for (size_t r = 0; r < rows; ++r) SoftmaxRow(x + r * width, width, out + r * width);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace shoal::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shoal::engine {

HWY_EXPORT(Softmax);
void Softmax(const float* x, size_t rows, size_t width, float* out) {
  HWY_DYNAMIC_DISPATCH(Softmax)(x, rows, width, out);
}

}  // namespace shoal::engine
#endif
