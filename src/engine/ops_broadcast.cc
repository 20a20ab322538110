// Operators of two values whose shapes need not be alike, and sums along a dim.
#include <algorithm>

#include "base/str_cat.h"
#include "engine/kernels/log.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

enum class Op : uint8_t { kAdd, kMul, kDiv, kMax };

float Apply(Op op, float a, float b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kMul:
      return a * b;
    case Op::kDiv:
      return a / b;
    case Op::kMax:
      return a < b ? b : a;
  }
  return 0;
}

// One side: a value or a constant, with its shape brought to the result's rank.
struct Operand {
  ValueId id = 0;
  std::span<const float> constant;  // Empty: the value.
  Shape shape;
};

class BroadcastStep : public Step {
 public:
  BroadcastStep(Op op, Operand a, Operand b, Shape shape, ValueId out)
      : op_(op), a_(std::move(a)), b_(std::move(b)), shape_(std::move(shape)), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rank = shape_.size();
    const Dims dims = DimsIn(shape_, frame.counts);
    const Dims a_strides = Strides(a_, frame.counts);
    const Dims b_strides = Strides(b_, frame.counts);
    const float* a = a_.constant.empty() ? frame.data[a_.id] : a_.constant.data();
    const float* b = b_.constant.empty() ? frame.data[b_.id] : b_.constant.data();
    float* out = frame.data[out_];
    Dims at = {};
    size_t count = 1;
    for (size_t d = 0; d < rank; ++d) count *= dims[d];
    for (size_t i = 0; i < count; ++i) {
      size_t a_at = 0;
      size_t b_at = 0;
      for (size_t d = 0; d < rank; ++d) {
        a_at += at[d] * a_strides[d];
        b_at += at[d] * b_strides[d];
      }
      out[i] = Apply(op_, a[a_at], b[b_at]);
      for (size_t d = rank; d-- > 0;) {
        if (++at[d] < dims[d]) break;
        at[d] = 0;
      }
    }
  }

 private:
  // 0 along the dims in which the operand repeats.
  Dims Strides(const Operand& operand, const RunCounts& counts) const {
    const Dims dims = DimsIn(operand.shape, counts);
    Dims strides = {};
    size_t stride = 1;
    for (size_t d = shape_.size(); d-- > 0;) {
      strides[d] = operand.shape[d] == shape_[d] ? stride : 0;
      stride *= dims[d];
    }
    return strides;
  }

  Op op_;
  Operand a_;
  Operand b_;
  Shape shape_;
  ValueId out_;
};

Result<Operand> ReadOperand(const NodeContext& context, size_t index) {
  ASSIGN_OR_RETURN(const Value* value, context.Required(index));
  Operand operand{value->id, {}, value->shape};
  if (value->kind == Value::Kind::kConstant) {
    ASSIGN_OR_RETURN(operand.constant, context.weights.AsFloats(*value->weight));
  } else if (value->kind != Value::Kind::kComputed) {
    return Unsupported(StrCat("operand \"", value->name, "\" is neither computed nor a constant"));
  }
  return operand;
}

Result<PlannedNode> PlanBroadcast(Op op, const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {}));
  ASSIGN_OR_RETURN(Operand a, ReadOperand(context, 0));
  ASSIGN_OR_RETURN(Operand b, ReadOperand(context, 1));
  if (!a.constant.empty() && !b.constant.empty()) return Unsupported("both operands are constants");
  const size_t rank = std::max(a.shape.size(), b.shape.size());
  for (Operand* operand : {&a, &b}) {
    operand->shape.insert(operand->shape.begin(), rank - operand->shape.size(), Extent{});
  }
  PlannedNode planned;
  for (size_t d = 0; d < rank; ++d) {
    const bool a_repeats = a.shape[d] == Extent{};
    if (!a_repeats && b.shape[d] != Extent{} && a.shape[d] != b.shape[d]) {
      return Unsupported(StrCat("operands of shapes ", ToString(context.inputs[0]->shape), " and ",
                                ToString(context.inputs[1]->shape)));
    }
    planned.shape.push_back(a_repeats ? b.shape[d] : a.shape[d]);
  }
  planned.step = std::make_unique<BroadcastStep>(op, std::move(a), std::move(b), planned.shape,
                                                 context.output);
  return planned;
}

class LogStep : public Step {
 public:
  LogStep(ValueId x, Extent count, ValueId out) : x_(x), count_(count), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t count = count_.In(frame.counts);
    for (size_t i = 0; i < count; ++i) frame.data[out_][i] = Log(frame.data[x_][i]);
  }

 private:
  ValueId x_;
  Extent count_;
  ValueId out_;
};

class SumStep : public Step {
 public:
  SumStep(ValueId x, RowsOf rows, ValueId out) : x_(x), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rows = rows_.rows.In(frame.counts);
    for (size_t r = 0; r < rows; ++r) {
      const float* x = frame.data[x_] + r * rows_.width;
      float sum = 0;
      for (size_t i = 0; i < rows_.width; ++i) sum += x[i];
      frame.data[out_][r] = sum;
    }
  }

 private:
  ValueId x_;
  RowsOf rows_;
  ValueId out_;
};

}  // namespace

Result<PlannedNode> PlanBroadcastAdd(const NodeContext& context) {
  return PlanBroadcast(Op::kAdd, context);
}

Result<PlannedNode> PlanBroadcastMul(const NodeContext& context) {
  return PlanBroadcast(Op::kMul, context);
}

Result<PlannedNode> PlanDiv(const NodeContext& context) { return PlanBroadcast(Op::kDiv, context); }

Result<PlannedNode> PlanMax(const NodeContext& context) { return PlanBroadcast(Op::kMax, context); }

Result<PlannedNode> PlanLog(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<LogStep>(x->id, *ElementCount(x->shape), context.output);
  return planned;
}

Result<PlannedNode> PlanReduceSum(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"keepdims"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const int64_t keepdims, context.Int("keepdims", 1));
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  ASSIGN_OR_RETURN(const std::vector<int64_t> axes, WeightTable::AsInts(*weight));
  if (axes.size() != 1) return Unsupported("sums along one axis only");
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(axes[0], x->shape.size()));
  if (axis + 1 != x->shape.size()) return Unsupported("axis must be the last one");
  if (keepdims != 1) return Unsupported("keepdims must be 1");
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.shape.back() = {};
  planned.step = std::make_unique<SumStep>(x->id, rows, context.output);
  return planned;
}

}  // namespace shoal::engine
