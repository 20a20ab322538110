// Operators that compute element by element, row by row or with a matrix.
#include <algorithm>

#include "base/str_cat.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/norm.h"
#include "engine/kernels/softmax.h"
#include "engine/kernels/widen.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

class BinaryStep : public Step {
 public:
  // b is the value with id `b`, or `constant` if that is not empty.
  BinaryStep(Binary op, ValueId a, ValueId b, std::span<const float> constant, Extent count,
             Extent b_count, ValueId out)
      : op_(op), a_(a), b_(b), constant_(constant), count_(count), b_count_(b_count), out_(out) {}

  void Run(RunFrame& frame) const override {
    const float* b = constant_.empty() ? frame.data[b_] : constant_.data();
    ApplyBinary(op_, frame.data[a_], b, count_.In(frame.counts), b_count_.In(frame.counts),
                frame.data[out_]);
  }

 private:
  Binary op_;
  ValueId a_;
  ValueId b_;
  std::span<const float> constant_;
  Extent count_;
  Extent b_count_;
  ValueId out_;
};

// Whether `b`, without leading ones, is the end of `a`: then it repeats over a's leading dims.
bool RepeatsOver(Shape b, const Shape& a) {
  const auto is_one = [](const Extent& e) { return e == Extent{}; };
  b.erase(b.begin(), std::ranges::find_if_not(b, is_one));
  return b.size() <= a.size() && std::equal(b.rbegin(), b.rend(), a.rbegin());
}

Result<PlannedNode> PlanBinary(Binary op, const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {}));
  ASSIGN_OR_RETURN(const Value* a, context.Required(0));
  ASSIGN_OR_RETURN(const Value* b, context.Required(1));
  // Both operators are commutative: the operand that repeats becomes b.
  if (a->kind == Value::Kind::kConstant || !RepeatsOver(b->shape, a->shape)) {
    if (b->kind != Value::Kind::kConstant) std::swap(a, b);
  }
  std::span<const float> constant;
  if (b->kind == Value::Kind::kConstant) {
    ASSIGN_OR_RETURN(constant, context.weights.AsFloats(*b->weight));
  } else if (b->kind != Value::Kind::kComputed) {
    return Unsupported(StrCat("operand \"", b->name, "\" is neither computed nor a constant"));
  }
  if (a->kind != Value::Kind::kComputed) {
    return Unsupported(StrCat("operand \"", a->name, "\" is not computed from hidden states"));
  }
  if (!RepeatsOver(b->shape, a->shape)) {
    return op == Binary::kAdd ? PlanBroadcastAdd(context) : PlanBroadcastMul(context);
  }
  PlannedNode planned;
  planned.shape = a->shape;
  // Leading ones of the longer shape stay.
  if (b->shape.size() > a->shape.size()) {
    planned.shape.insert(planned.shape.begin(), b->shape.size() - a->shape.size(), Extent{});
  }
  const std::optional<Extent> count = ElementCount(a->shape);
  const std::optional<Extent> b_count = ElementCount(b->shape);
  if (!count || !b_count) return Unsupported("operands have too many elements");
  planned.step =
      std::make_unique<BinaryStep>(op, a->id, b->id, constant, *count, *b_count, context.output);
  return planned;
}

class UnaryStep : public Step {
 public:
  UnaryStep(Unary op, ValueId in, Extent count, ValueId out)
      : op_(op), in_(in), count_(count), out_(out) {}

  void Run(RunFrame& frame) const override {
    ApplyUnary(op_, frame.data[in_], count_.In(frame.counts), frame.data[out_]);
  }

 private:
  Unary op_;
  ValueId in_;
  Extent count_;
  ValueId out_;
};

Result<PlannedNode> PlanUnary(Unary op, const NodeContext& context) {
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<UnaryStep>(op, x->id, *ElementCount(x->shape), context.output);
  return planned;
}

class MatMulStep : public Step {
 public:
  MatMulStep(ValueId a, MatMulWeight weight, Extent rows, ValueId out)
      : a_(a), weight_(weight), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    MatMul(frame.data[a_], weight_, rows_.In(frame.counts), frame.data[out_], *frame.parallel);
  }

 private:
  ValueId a_;
  MatMulWeight weight_;
  Extent rows_;
  ValueId out_;
};

class RmsNormStep : public Step {
 public:
  RmsNormStep(ValueId x, std::span<const float> scale, float epsilon, Extent rows, ValueId out)
      : x_(x), scale_(scale), epsilon_(epsilon), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    RmsNorm(frame.data[x_], scale_.data(), epsilon_, rows_.In(frame.counts), scale_.size(),
            frame.data[out_]);
  }

 private:
  ValueId x_;
  std::span<const float> scale_;
  float epsilon_;
  Extent rows_;
  ValueId out_;
};

class SoftmaxStep : public Step {
 public:
  SoftmaxStep(ValueId x, RowsOf rows, ValueId out) : x_(x), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    Softmax(frame.data[x_], rows_.rows.In(frame.counts), rows_.width, frame.data[out_]);
  }

 private:
  ValueId x_;
  RowsOf rows_;
  ValueId out_;
};

}  // namespace

Result<PlannedNode> PlanAdd(const NodeContext& context) {
  return PlanBinary(Binary::kAdd, context);
}

Result<PlannedNode> PlanMul(const NodeContext& context) {
  return PlanBinary(Binary::kMul, context);
}

Result<PlannedNode> PlanSigmoid(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {}));
  return PlanUnary(Unary::kSigmoid, context);
}

Result<PlannedNode> PlanTanh(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {}));
  return PlanUnary(Unary::kTanh, context);
}

Result<PlannedNode> PlanErf(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {}));
  return PlanUnary(Unary::kErf, context);
}

Result<PlannedNode> PlanSqrt(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {}));
  return PlanUnary(Unary::kSqrt, context);
}

Result<PlannedNode> PlanGelu(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {"approximate"}));
  ASSIGN_OR_RETURN(const std::string approximate, context.Text("approximate", "none"));
  if (approximate != "tanh") {
    return Unsupported(StrCat("attribute approximate \"", approximate, "\"; only \"tanh\" is"));
  }
  return PlanUnary(Unary::kGeluTanh, context);
}

// Nothing is converted: constants keep their stored type and everything computed is f32 anyway.
Result<PlannedNode> PlanCast(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {"to", "saturate"}));
  ASSIGN_OR_RETURN(const int64_t to, context.Int("to", 0));
  if (to != static_cast<int64_t>(DType::kF32)) {
    return Unsupported(StrCat("cast to element type ", to, "; only to f32 (1)"));
  }
  ASSIGN_OR_RETURN(const Value* x, context.Required(0));
  const bool is_weight = x->kind == Value::Kind::kConstant && IsWeightType(x->weight->type);
  if (!is_weight && x->kind != Value::Kind::kComputed) {
    return Unsupported(StrCat("cast of \"", x->name, "\", which is no f32, f16 or bf16 tensor"));
  }
  return PlannedNode{x->shape, nullptr, x};
}

Result<PlannedNode> PlanMatMul(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {}));
  ASSIGN_OR_RETURN(const Value* a, context.Computed(0));
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  if (weight->dims.size() == 3) return PlanHeadMatMul(context);
  if (weight->dims.size() != 2 || !IsWeightType(weight->type)) {
    return Unsupported(StrCat("weight ", weight->name, " must be f32, f16 or bf16 with two dims"));
  }
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(a->shape));
  if (rows.width != weight->dims[0]) {
    return Invalid(StrCat("input of shape ", ToString(a->shape), " times weight ", weight->name,
                          " [", weight->dims[0], ", ", weight->dims[1], "]"));
  }
  PlannedNode planned;
  planned.shape = a->shape;
  planned.shape.back() = {weight->dims[1], Unit::kOne};
  const MatMulWeight matrix{weight->bytes.data(), weight->type, weight->dims[0], weight->dims[1]};
  planned.step = std::make_unique<MatMulStep>(a->id, matrix, rows.rows, context.output);
  return planned;
}

Result<PlannedNode> PlanRmsNorm(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"axis", "epsilon", "stash_type"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const int64_t given_axis, context.Int("axis", -1));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, x->shape.size()));
  ASSIGN_OR_RETURN(const float epsilon, context.Float("epsilon", 1e-5f));
  ASSIGN_OR_RETURN(const int64_t stash_type, context.Int("stash_type", 1));
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  ASSIGN_OR_RETURN(const Weight* scale, context.Constant(1));
  if (axis + 1 != x->shape.size()) return Unsupported("axis must be the last one");
  if (stash_type != 1) return Unsupported("stash_type must be 1, f32");
  if (!(epsilon >= 0 && epsilon < 1)) return Invalid("epsilon must be at least 0 and below 1");
  if (scale->dims != std::vector<size_t>{rows.width}) {
    return Invalid(StrCat("scale ", scale->name, " must have the one dim ", rows.width));
  }
  ASSIGN_OR_RETURN(const std::span<const float> floats, context.weights.AsFloats(*scale));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<RmsNormStep>(x->id, floats, epsilon, rows.rows, context.output);
  return planned;
}

Result<PlannedNode> PlanSoftmax(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {"axis"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const int64_t given_axis, context.Int("axis", -1));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, x->shape.size()));
  if (axis + 1 != x->shape.size()) return Unsupported("axis must be the last one");
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<SoftmaxStep>(x->id, rows, context.output);
  return planned;
}

}  // namespace shoal::engine
