#include "engine/kernels/elementwise.h"

#include "engine/kernels/math.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/elementwise.cc"
#include "engine/kernels/targets.h"
// After targets.h:
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace shoal::engine {
namespace HWY_NAMESPACE {
namespace {

void ApplyBinary(Binary op, const float* a, const float* b, size_t count, size_t b_count,
                 float* __restrict out) {
  for (size_t i = 0; i < count; i += b_count) {
    if (op == Binary::kAdd) {
      for (size_t j = 0; j < b_count; ++j) out[i + j] = a[i + j] + b[j];
    } else {
      for (size_t j = 0; j < b_count; ++j) out[i + j] = a[i + j] * b[j];
    }
  }
}

void ApplyUnary(Unary op, const float* x, size_t count, float* __restrict out) {
  switch (op) {
    case Unary::kSigmoid:
      for (size_t i = 0; i < count; ++i) out[i] = Sigmoid(x[i]);
      return;
    case Unary::kTanh:
      for (size_t i = 0; i < count; ++i) out[i] = Tanh(x[i]);
      return;
    case Unary::kGeluTanh:
      for (size_t i = 0; i < count; ++i) out[i] = GeluTanh(x[i]);
      return;
    case Unary::kErf:
      for (size_t i = 0; i < count; ++i) out[i] = Erf(x[i]);
      return;
    case Unary::kSqrt:
      for (size_t i = 0; i < count; ++i) out[i] = __builtin_sqrtf(x[i]);
      return;
  }
}

void ApplySwiGlu(const float* gate, const float* up, size_t count, float* __restrict out) {
  for (size_t i = 0; i < count; ++i) out[i] = Sigmoid(gate[i]) * gate[i] * up[i];
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace shoal::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shoal::engine {

HWY_EXPORT(ApplyBinary);
void ApplyBinary(Binary op, const float* a, const float* b, size_t count, size_t b_count,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(ApplyBinary)(op, a, b, count, b_count, out);
}

HWY_EXPORT(ApplyUnary);
void ApplyUnary(Unary op, const float* x, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(ApplyUnary)(op, x, count, out);
}

HWY_EXPORT(ApplySwiGlu);
void ApplySwiGlu(const float* gate, const float* up, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(ApplySwiGlu)(gate, up, count, out);
}

}  // namespace shoal::engine
#endif
