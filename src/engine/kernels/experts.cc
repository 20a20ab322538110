#include "engine/kernels/experts.h"

#include <algorithm>
#include <vector>

#include "engine/kernels/math.h"
#include "engine/kernels/sum.h"
#include "engine/kernels/widen.h"

namespace shoal::engine {

namespace {

constexpr float kLeastShare = 1e-20f;
// Outputs that one task computes.
constexpr size_t kOutputsPerTask = 16;

// shares [experts] = the softmax of the row's `chosen` largest scores; 0 for the others. Of equal
// scores those of the lower index are chosen.
void Choose(const ExpertShape& shape, const float* scores, float* shares) {
  std::fill_n(shares, shape.experts, -1.0f);
  float largest = 0;
  float sum = 0;
  for (size_t c = 0; c < shape.chosen; ++c) {
    size_t best = shape.experts;
    for (size_t e = 0; e < shape.experts; ++e) {
      if (shares[e] < 0 && (best == shape.experts || scores[e] > scores[best])) best = e;
    }
    if (c == 0) largest = scores[best];
    shares[best] = Exp(scores[best] - largest);
    sum += shares[best];
  }
  for (size_t e = 0; e < shape.experts; ++e) shares[e] = shares[e] < 0 ? 0 : shares[e] / sum;
}

// Products with the experts' matrices, one after the other; keeps what memory they need.
class Products {
 public:
  Products(const BlockKernels* kernels, Parallel& parallel)
      : kernels_(kernels), parallel_(parallel) {}

  // out [rows, outputs] = x [rows, inputs] * matrix of expert `expert` + bias.
  void Multiply(const ExpertStack& stack, size_t expert, size_t outputs, size_t inputs,
                const std::vector<float>& x, size_t rows, std::vector<float>& out) {
    if (stack.blocks == nullptr) {
      MultiplyFloats(stack, expert, outputs, inputs, x, rows, out);
    } else {
      const BlockOutputs own{expert * outputs / kTileColumns, outputs};
      if (kernels_ == nullptr) {
        MultiplyBlocksExactly(*stack.blocks, own, x.data(), rows, out.data(), parallel_);
      } else {
        block_rows_.Assign(x.data(), rows, inputs, parallel_);
        MultiplyBlocks(*kernels_, *stack.blocks, own, block_rows_, out.data(), parallel_);
      }
    }
    if (stack.bias == nullptr) return;
    const float* const bias = stack.bias + expert * outputs;
    for (size_t r = 0; r < rows; ++r) {
      for (size_t o = 0; o < outputs; ++o) out[r * outputs + o] += bias[o];
    }
  }

 private:
  void MultiplyFloats(const ExpertStack& stack, size_t expert, size_t outputs, size_t inputs,
                      const std::vector<float>& x, size_t rows, std::vector<float>& out) {
    const size_t element = DTypeBytes(stack.type);
    const uint8_t* matrix = stack.data + expert * outputs * inputs * element;
    const size_t tasks = (outputs + kOutputsPerTask - 1) / kOutputsPerTask;
    if (scratch_.size() < tasks * inputs) scratch_.resize(tasks * inputs);
    parallel_.For(tasks, [&](size_t task) {
      const size_t end = std::min(outputs, (task + 1) * kOutputsPerTask);
      for (size_t o = task * kOutputsPerTask; o < end; ++o) {
        const float* w = Widen(stack.type, matrix + o * inputs * element, inputs,
                               scratch_.data() + task * inputs);
        for (size_t r = 0; r < rows; ++r) {
          out[r * outputs + o] = Dot(x.data() + r * inputs, w, inputs);
        }
      }
    });
  }

  const BlockKernels* kernels_;
  Parallel& parallel_;
  BlockRows block_rows_;
  std::vector<float> scratch_;
};

float Gated(const ExpertShape& shape, float gate, float up) {
  if (shape.limit > 0) {
    gate = std::min(gate, shape.limit);
    up = std::clamp(up, -shape.limit, shape.limit);
  }
  return gate * Sigmoid(shape.alpha * gate) * (up + shape.beta);
}

}  // namespace

void Experts(const ExpertShape& shape, const ExpertStack& in, const ExpertStack& out_stack,
             const BlockKernels* kernels, const float* x, const float* scores, size_t rows,
             float* out, Parallel& parallel) {
  const size_t hidden = shape.hidden;
  const size_t inner = shape.inner;
  std::vector<float> shares(rows * shape.experts);
  for (size_t r = 0; r < rows; ++r) {
    Choose(shape, scores + r * shape.experts, shares.data() + r * shape.experts);
  }
  std::fill_n(out, rows * hidden, 0.0f);
  std::vector<size_t> own;
  std::vector<float> gathered, wide, gated, result;
  Products products(kernels, parallel);
  for (size_t e = 0; e < shape.experts; ++e) {
    own.clear();
    for (size_t r = 0; r < rows; ++r) {
      if (shares[r * shape.experts + e] >= kLeastShare) own.push_back(r);
    }
    if (own.empty()) continue;
    gathered.resize(own.size() * hidden);
    wide.resize(own.size() * 2 * inner);
    gated.resize(own.size() * inner);
    result.resize(own.size() * hidden);
    for (size_t i = 0; i < own.size(); ++i) {
      std::copy_n(x + own[i] * hidden, hidden, gathered.data() + i * hidden);
    }
    products.Multiply(in, e, 2 * inner, hidden, gathered, own.size(), wide);
    for (size_t i = 0; i < gated.size(); ++i) gated[i] = Gated(shape, wide[2 * i], wide[2 * i + 1]);
    products.Multiply(out_stack, e, hidden, inner, gated, own.size(), result);
    for (size_t i = 0; i < own.size(); ++i) {
      const float share = shares[own[i] * shape.experts + e];
      float* sum = out + own[i] * hidden;
      for (size_t h = 0; h < hidden; ++h) sum[h] += share * result[i * hidden + h];
    }
  }
}

}  // namespace shoal::engine
