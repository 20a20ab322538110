// Element by element.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::engine {

enum class Binary : uint8_t { kAdd, kMul };
enum class Unary : uint8_t { kSigmoid, kTanh, kGeluTanh, kErf, kSqrt };

// out [count] = a [count] op b [b_count], b repeated; b_count divides count.
void ApplyBinary(Binary op, const float* a, const float* b, size_t count, size_t b_count,
                 float* out);

// out [count] = op(x [count])
void ApplyUnary(Unary op, const float* x, size_t count, float* out);

// out [count] = sigmoid(gate) * gate * up (Shazeer, arXiv:2002.05202), multiplied in this order.
void ApplySwiGlu(const float* gate, const float* up, size_t count, float* out);

}  // namespace shoal::engine
