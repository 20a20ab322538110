// com.microsoft.MoE and QMoE: the experts of a mixture, as floats or in blocks of 32 without zero
// points.
#include "base/str_cat.h"
#include "engine/kernels/experts.h"
#include "engine/kernels/widen.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

constexpr size_t kExpertsMax = 1 << 16;

class ExpertsStep : public Step {
 public:
  ExpertsStep(const ExpertShape& shape, const ExpertStack& in, const ExpertStack& out_stack,
              const BlockKernels* kernels, ValueId x, ValueId scores, Extent rows, ValueId out)
      : shape_(shape),
        in_(in),
        out_stack_(out_stack),
        kernels_(kernels),
        x_(x),
        scores_(scores),
        rows_(rows),
        out_(out) {}

  void Run(RunFrame& frame) const override {
    Experts(shape_, in_, out_stack_, kernels_, frame.data[x_], frame.data[scores_],
            rows_.In(frame.counts), frame.data[out_], *frame.parallel);
  }

 private:
  ExpertShape shape_;
  ExpertStack in_;
  ExpertStack out_stack_;
  const BlockKernels* kernels_;
  ValueId x_;
  ValueId scores_;
  Extent rows_;
  ValueId out_;
};

// Which inputs of a node hold a stack: its weights, their scales (blocks only) and its bias, which
// may be omitted.
struct StackInputs {
  size_t weights = 0;
  size_t scales = 0;
  size_t bias = 0;
};

Status ReadBias(const NodeContext& context, size_t index, size_t experts, size_t outputs,
                ExpertStack& stack) {
  if (index >= context.inputs.size() || context.inputs[index] == nullptr) return {};
  ASSIGN_OR_RETURN(const Weight* bias, context.Constant(index));
  if (bias->dims != std::vector<size_t>{experts, outputs}) {
    return Invalid(StrCat("bias ", bias->name, " must be [", experts, ", ", outputs, "]"));
  }
  ASSIGN_OR_RETURN(const std::span<const float> floats, context.weights.AsFloats(*bias));
  stack.bias = floats.data();
  return {};
}

// [experts, outputs, inputs].
Result<ExpertStack> ReadStack(const NodeContext& context, const StackInputs& from, size_t experts,
                              size_t outputs, size_t inputs) {
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(from.weights));
  if (!IsWeightType(weight->type) ||
      weight->dims != std::vector<size_t>{experts, outputs, inputs}) {
    return Invalid(StrCat("weight ", weight->name, " must be f32, f16 or bf16 [", experts, ", ",
                          outputs, ", ", inputs, "]"));
  }
  ExpertStack stack{.data = weight->bytes.data(), .type = weight->type};
  RETURN_IF_ERROR(ReadBias(context, from.bias, experts, outputs, stack));
  return stack;
}

// Codes [experts, outputs, code bytes of a row] and scales [experts, outputs, blocks of a row].
Result<ExpertStack> ReadBlockStack(const NodeContext& context, const StackInputs& from,
                                   BlockFormat format, size_t experts, size_t outputs,
                                   size_t inputs) {
  if (outputs % kTileColumns != 0 || inputs % kBlockValues != 0) {
    return Unsupported(StrCat("experts of ", outputs, " outputs and ", inputs,
                              " inputs; only multiples of ", kTileColumns, " and ", kBlockValues));
  }
  ASSIGN_OR_RETURN(const Weight* codes, context.ConstantUnloaded(from.weights));
  ASSIGN_OR_RETURN(const Weight* scales, context.ConstantUnloaded(from.scales));
  const size_t blocks = inputs / kBlockValues;
  const std::vector<size_t> code_dims{experts, outputs, blocks * BlockCodeBytes(format)};
  if (codes->dims != code_dims || scales->dims != std::vector<size_t>{experts, outputs, blocks}) {
    return Invalid(StrCat("weight ", codes->name, " must be [", experts, ", ", outputs, ", ",
                          code_dims[2], "] with scales [", experts, ", ", outputs, ", ", blocks,
                          "]"));
  }
  ExpertStack stack;
  ASSIGN_OR_RETURN(stack.blocks,
                   context.weights.AsBlocks(*codes, *scales, format, experts * outputs, inputs));
  RETURN_IF_ERROR(ReadBias(context, from.bias, experts, outputs, stack));
  return stack;
}

Result<ExpertShape> ReadExpertShape(const NodeContext& context, size_t hidden) {
  ExpertShape shape;
  shape.hidden = hidden;
  ASSIGN_OR_RETURN(const Weight* in, context.ConstantUnloaded(2));
  if (in->dims.size() != 3 || in->dims[1] % 2 != 0 || in->dims[0] > kExpertsMax) {
    return Invalid(StrCat("weight ", in->name, " must be [experts, 2 * inner, hidden]"));
  }
  shape.experts = in->dims[0];
  shape.inner = in->dims[1] / 2;
  ASSIGN_OR_RETURN(const int64_t chosen, context.Int("k", 1));
  if (chosen < 1 || static_cast<uint64_t>(chosen) > shape.experts) {
    return Invalid(StrCat("k is ", chosen, " of ", shape.experts, " experts"));
  }
  shape.chosen = static_cast<size_t>(chosen);
  ASSIGN_OR_RETURN(shape.alpha, context.Float("activation_alpha", 1.0f));
  ASSIGN_OR_RETURN(shape.beta, context.Float("activation_beta", 0.0f));
  ASSIGN_OR_RETURN(shape.limit, context.Float("swiglu_limit", 0.0f));
  ASSIGN_OR_RETURN(const std::string activation, context.Text("activation_type", "relu"));
  ASSIGN_OR_RETURN(const int64_t fusion, context.Int("swiglu_fusion", 0));
  ASSIGN_OR_RETURN(const int64_t normalise, context.Int("normalize_routing_weights", 0));
  if (activation != "swiglu" || fusion != 1 || normalise != 0) {
    return Unsupported(
        "only activation_type swiglu with swiglu_fusion 1 and without "
        "normalize_routing_weights");
  }
  return shape;
}

Result<BlockFormat> ReadBlockFormat(const NodeContext& context) {
  ASSIGN_OR_RETURN(const int64_t bits, context.Int("expert_weight_bits", 4));
  ASSIGN_OR_RETURN(const int64_t block_size, context.Int("block_size", 0));
  if (block_size != static_cast<int64_t>(kBlockValues)) {
    return Unsupported(StrCat("attribute block_size = ", block_size, "; only ", kBlockValues));
  }
  if (bits == 4) return BlockFormat::kQ4;
  if (bits == 8) return BlockFormat::kQ8;
  return Unsupported(StrCat("attribute expert_weight_bits = ", bits, "; only 4 and 8"));
}

// What both operators have in common: their rows, and a score of each row for each expert.
struct Inputs {
  const Value* x = nullptr;
  const Value* scores = nullptr;
  RowsOf rows;
  ExpertShape shape;
};

Result<Inputs> ReadInputs(const NodeContext& context) {
  Inputs inputs;
  ASSIGN_OR_RETURN(inputs.x, context.Computed(0));
  ASSIGN_OR_RETURN(inputs.scores, context.Computed(1));
  ASSIGN_OR_RETURN(inputs.rows, SplitLastDim(inputs.x->shape));
  ASSIGN_OR_RETURN(inputs.shape, ReadExpertShape(context, inputs.rows.width));
  ASSIGN_OR_RETURN(const RowsOf score_rows, SplitLastDim(inputs.scores->shape));
  if (score_rows.rows != inputs.rows.rows || score_rows.width != inputs.shape.experts) {
    return Invalid(StrCat("scores of shape ", ToString(inputs.scores->shape), " for rows of ",
                          ToString(inputs.x->shape), " and ", inputs.shape.experts, " experts"));
  }
  return inputs;
}

PlannedNode PlanStep(const NodeContext& context, const Inputs& inputs, const ExpertStack& in,
                     const ExpertStack& out, const BlockKernels* kernels) {
  PlannedNode planned;
  planned.shape = inputs.x->shape;
  planned.step = std::make_unique<ExpertsStep>(inputs.shape, in, out, kernels, inputs.x->id,
                                               inputs.scores->id, inputs.rows.rows, context.output);
  return planned;
}

}  // namespace

Result<PlannedNode> PlanExperts(const NodeContext& context) {
  RETURN_IF_ERROR(
      context.Expect(5, 6, 1,
                     {"k", "activation_type", "swiglu_fusion", "normalize_routing_weights",
                      "activation_alpha", "activation_beta", "swiglu_limit"}));
  ASSIGN_OR_RETURN(const Inputs inputs, ReadInputs(context));
  const ExpertShape& shape = inputs.shape;
  ASSIGN_OR_RETURN(const ExpertStack in, ReadStack(context, {.weights = 2, .bias = 3},
                                                   shape.experts, 2 * shape.inner, shape.hidden));
  ASSIGN_OR_RETURN(const ExpertStack out, ReadStack(context, {.weights = 4, .bias = 5},
                                                    shape.experts, shape.hidden, shape.inner));
  return PlanStep(context, inputs, in, out, nullptr);
}

Result<PlannedNode> PlanBlockExperts(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(
      7, 8, 1,
      {"k", "activation_type", "swiglu_fusion", "normalize_routing_weights", "activation_alpha",
       "activation_beta", "swiglu_limit", "expert_weight_bits", "block_size"}));
  ASSIGN_OR_RETURN(const BlockFormat format, ReadBlockFormat(context));
  ASSIGN_OR_RETURN(const Inputs inputs, ReadInputs(context));
  const ExpertShape& shape = inputs.shape;
  ASSIGN_OR_RETURN(const ExpertStack in,
                   ReadBlockStack(context, {.weights = 2, .scales = 3, .bias = 4}, format,
                                  shape.experts, 2 * shape.inner, shape.hidden));
  ASSIGN_OR_RETURN(const ExpertStack out,
                   ReadBlockStack(context, {.weights = 5, .scales = 6, .bias = 7}, format,
                                  shape.experts, shape.hidden, shape.inner));
  const BlockKernels* kernels = context.options.block_kernels;
  if (kernels == nullptr) kernels = BlockKernelsHere().back();
  return PlanStep(context, inputs, in, out, context.options.exact ? nullptr : kernels);
}

}  // namespace shoal::engine
