// Operators that single families need: LayerNormalization, tables of positions, and products with a
// matrix for each head.
#include <cmath>

#include "base/str_cat.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/move.h"
#include "engine/kernels/sum.h"
#include "engine/kernels/widen.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

// Ba et al., arXiv:1607.06450.
class LayerNormStep : public Step {
 public:
  LayerNormStep(ValueId x, std::span<const float> scale, std::span<const float> bias, float epsilon,
                Extent rows, ValueId out)
      : x_(x), scale_(scale), bias_(bias), epsilon_(epsilon), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t width = scale_.size();
    const size_t rows = rows_.In(frame.counts);
    for (size_t r = 0; r < rows; ++r) {
      const float* x = frame.data[x_] + r * width;
      float* out = frame.data[out_] + r * width;
      float sum = 0;
      for (size_t i = 0; i < width; ++i) sum += x[i];
      const float mean = sum / static_cast<float>(width);
      for (size_t i = 0; i < width; ++i) out[i] = x[i] - mean;
      const float variance = Dot(out, out, width) / static_cast<float>(width);
      const float factor = 1.0f / std::sqrt(variance + epsilon_);
      for (size_t i = 0; i < width; ++i) {
        out[i] = out[i] * factor * scale_[i] + (bias_.empty() ? 0.0f : bias_[i]);
      }
    }
  }

 private:
  ValueId x_;
  std::span<const float> scale_;
  std::span<const float> bias_;  // Empty: none.
  float epsilon_;
  Extent rows_;
  ValueId out_;
};

class PositionGatherStep : public Step {
 public:
  PositionGatherStep(const Weight& table, ValueId out) : table_(table), out_(out) {}

  void Run(RunFrame& frame) const override {
    std::vector<int32_t> positions;
    positions.reserve(frame.rows.size());
    for (const RowPlace& row : frame.rows) positions.push_back(static_cast<int32_t>(row.position));
    Gather(table_.bytes.data(), table_.type, 1, table_.dims[0], table_.dims[1], positions,
           frame.data[out_]);
  }

 private:
  const Weight& table_;
  ValueId out_;
};

class HeadMatMulStep : public Step {
 public:
  HeadMatMulStep(ValueId x, const Weight& weight, ValueId out)
      : x_(x), weight_(weight), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rows = frame.counts.rows;
    const size_t k = weight_.dims[1];
    const size_t n = weight_.dims[2];
    const size_t bytes = k * n * DTypeBytes(weight_.type);
    for (size_t h = 0; h < weight_.dims[0]; ++h) {
      const MatMulWeight matrix{weight_.bytes.data() + h * bytes, weight_.type, k, n};
      MatMul(frame.data[x_] + h * rows * k, matrix, rows, frame.data[out_] + h * rows * n,
             *frame.parallel);
    }
  }

 private:
  ValueId x_;
  const Weight& weight_;
  ValueId out_;
};

}  // namespace

Result<PlannedNode> PlanLayerNorm(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 3, 1, {"axis", "epsilon", "stash_type"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const int64_t given_axis, context.Int("axis", -1));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, x->shape.size()));
  ASSIGN_OR_RETURN(const float epsilon, context.Float("epsilon", 1e-5f));
  ASSIGN_OR_RETURN(const int64_t stash_type, context.Int("stash_type", 1));
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  if (axis + 1 != x->shape.size()) return Unsupported("axis must be the last one");
  if (stash_type != 1) return Unsupported("stash_type must be 1, f32");
  if (!(epsilon >= 0 && epsilon < 1)) return Invalid("epsilon must be at least 0 and below 1");
  std::span<const float> floats[2];
  for (size_t i = 0; i < 2; ++i) {
    if (i + 1 >= context.inputs.size() || context.inputs[i + 1] == nullptr) continue;
    ASSIGN_OR_RETURN(const Weight* weight, context.Constant(i + 1));
    if (weight->dims != std::vector<size_t>{rows.width}) {
      return Invalid(StrCat("weight ", weight->name, " must have the one dim ", rows.width));
    }
    ASSIGN_OR_RETURN(floats[i], context.weights.AsFloats(*weight));
  }
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<LayerNormStep>(x->id, floats[0], floats[1], epsilon, rows.rows,
                                                 context.output);
  return planned;
}

Result<PlannedNode> PlanPositionGather(const NodeContext& context) {
  ASSIGN_OR_RETURN(const Weight* table, context.Constant(0));
  ASSIGN_OR_RETURN(const int64_t axis, context.Int("axis", 0));
  if (!IsWeightType(table->type) || table->dims.size() != 2 || axis != 0) {
    return Unsupported(StrCat("table ", table->name,
                              " must be f32, f16 or bf16 [positions, width], along axis 0"));
  }
  PlannedNode planned;
  planned.shape = context.inputs[1]->shape;
  planned.shape.push_back({table->dims[1], Unit::kOne});
  uint32_t& positions_max = context.facts.positions_max;
  positions_max = static_cast<uint32_t>(std::min<size_t>(positions_max, table->dims[0]));
  planned.step = std::make_unique<PositionGatherStep>(*table, context.output);
  return planned;
}

Result<PlannedNode> PlanHeadMatMul(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  if (weight->dims.size() != 3 || !IsWeightType(weight->type)) {
    return Unsupported(
        StrCat("weight ", weight->name, " must be f32, f16 or bf16 with three dims"));
  }
  const Shape expected = {
      {}, {weight->dims[0], Unit::kOne}, {1, Unit::kRows}, {weight->dims[1], Unit::kOne}};
  if (x->shape != expected) {
    return Unsupported(StrCat("input of shape ", ToString(x->shape), ", not ", ToString(expected)));
  }
  PlannedNode planned;
  planned.shape = expected;
  planned.shape.back() = {weight->dims[2], Unit::kOne};
  planned.step = std::make_unique<HeadMatMulStep>(x->id, *weight, context.output);
  return planned;
}

}  // namespace shoal::engine
