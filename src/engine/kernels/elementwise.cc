#include "engine/kernels/elementwise.h"

#include "engine/kernels/math.h"

namespace shoal::engine {

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
  }
}

}  // namespace shoal::engine
