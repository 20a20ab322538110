// com.microsoft.MatMulNBits and GatherBlockQuantized: products with q4 and q8 weights, and look-ups
// in them. Blocks of 32 without zero points, which is what tensor/blocks.h makes.
#include <algorithm>

#include "base/str_cat.h"
#include "engine/kernels/block_kernels.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

class BlockMatMulStep : public Step {
 public:
  // kernels: null to multiply exactly.
  BlockMatMulStep(ValueId a, const BlockMatrix& weight, const BlockKernels* kernels, Extent rows,
                  ValueId out)
      : a_(a), weight_(weight), kernels_(kernels), rows_(rows), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rows = rows_.In(frame.counts);
    if (rows == 0) return;
    const float* const a = frame.data[a_];
    float* const out = frame.data[out_];
    if (kernels_ == nullptr) {
      MultiplyBlocksExactly(weight_, a, rows, out, *frame.parallel);
      return;
    }
    // Several products read the same rows: query, key and value; gate and up.
    if (frame.block_rows_of != a_) {
      frame.block_rows.Assign(a, rows, weight_.k(), *frame.parallel);
      frame.block_rows_of = a_;
    }
    MultiplyBlocks(*kernels_, weight_, frame.block_rows, out, *frame.parallel);
  }

 private:
  ValueId a_;
  const BlockMatrix& weight_;
  const BlockKernels* kernels_;
  Extent rows_;
  ValueId out_;
};

class BlockGatherStep : public Step {
 public:
  BlockGatherStep(const BlockMatrix& table, ValueId out) : table_(table), out_(out) {}

  void Run(RunFrame& frame) const override {
    float* const out = frame.data[out_];
    frame.parallel->For(frame.tokens.size(), [&](size_t i) {
      table_.DequantizeRow(static_cast<size_t>(frame.tokens[i]), out + i * table_.k());
    });
  }

 private:
  const BlockMatrix& table_;
  ValueId out_;
};

Result<BlockFormat> ReadFormat(const NodeContext& context, int64_t default_block_size) {
  ASSIGN_OR_RETURN(const int64_t bits, context.Int("bits", 4));
  ASSIGN_OR_RETURN(const int64_t block_size, context.Int("block_size", default_block_size));
  if (block_size != static_cast<int64_t>(kBlockValues)) {
    return Unsupported(StrCat("attribute block_size = ", block_size, "; only ", kBlockValues));
  }
  if (bits == 4) return BlockFormat::kQ4;
  if (bits == 8) return BlockFormat::kQ8;
  return Unsupported(StrCat("attribute bits = ", bits, "; only 4 and 8"));
}

// A dim that an attribute gives.
Result<size_t> ReadDim(const NodeContext& context, std::string_view attribute) {
  ASSIGN_OR_RETURN(const int64_t value, context.Int(attribute, 0));
  if (value >= 1 && value <= INT32_MAX) return static_cast<size_t>(value);
  return Invalid(StrCat("attribute ", attribute, " = ", value, "; it must be 1 to ", INT32_MAX));
}

}  // namespace

Result<PlannedNode> PlanMatMulNBits(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(3, 3, 1, {"K", "N", "bits", "block_size", "accuracy_level"}));
  ASSIGN_OR_RETURN(const BlockFormat format, ReadFormat(context, 0));
  ASSIGN_OR_RETURN(const size_t k, ReadDim(context, "K"));
  ASSIGN_OR_RETURN(const size_t n, ReadDim(context, "N"));
  ASSIGN_OR_RETURN(const Value* a, context.Computed(0));
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(a->shape));
  if (rows.width != k) {
    return Invalid(StrCat("input of shape ", ToString(a->shape), " for K = ", k));
  }
  ASSIGN_OR_RETURN(const Weight* codes, context.ConstantUnloaded(1));
  ASSIGN_OR_RETURN(const Weight* scales, context.ConstantUnloaded(2));
  ASSIGN_OR_RETURN(const BlockMatrix* matrix,
                   context.weights.AsBlocks(*codes, *scales, format, n, k));
  const BlockKernels* kernels = context.options.block_kernels;
  if (kernels == nullptr) kernels = BlockKernelsHere().back();
  uint64_t& row_bytes = context.facts.block_row_bytes;
  row_bytes = std::max(row_bytes, BlockRows::BytesPerRow(k));
  PlannedNode planned;
  planned.shape = a->shape;
  planned.shape.back() = {n, Unit::kOne};
  planned.step = std::make_unique<BlockMatMulStep>(
      a->id, *matrix, context.options.exact ? nullptr : kernels, rows.rows, context.output);
  return planned;
}

Result<PlannedNode> PlanGatherBlockQuantized(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(3, 3, 1, {"gather_axis", "quantize_axis", "block_size", "bits"}));
  ASSIGN_OR_RETURN(const BlockFormat format, ReadFormat(context, 128));
  ASSIGN_OR_RETURN(const int64_t gather_axis, context.Int("gather_axis", 0));
  ASSIGN_OR_RETURN(const int64_t quantize_axis, context.Int("quantize_axis", 1));
  ASSIGN_OR_RETURN(const Weight* codes, context.ConstantUnloaded(0));
  ASSIGN_OR_RETURN(const Value* indices, context.Required(1));
  ASSIGN_OR_RETURN(const Weight* scales, context.ConstantUnloaded(2));
  if (indices->kind != Value::Kind::kTokenInput) {
    return Unsupported(StrCat("indices \"", indices->name, "\" must be the graph input ", kTokens));
  }
  if (codes->dims.size() != 2 || gather_axis != 0 || (quantize_axis != 1 && quantize_axis != -1)) {
    return Unsupported("rows of a table with two dims are looked up, quantised along the second");
  }
  const size_t row_bytes = codes->dims[1];
  if (row_bytes % BlockCodeBytes(format) != 0) {
    return Unsupported(
        StrCat("rows of ", row_bytes, " bytes are not whole blocks of ", BlockCodeBytes(format)));
  }
  const size_t width = row_bytes / BlockCodeBytes(format) * kBlockValues;
  ASSIGN_OR_RETURN(const BlockMatrix* table,
                   context.weights.AsBlocks(*codes, *scales, format, codes->dims[0], width));
  uint32_t& vocabulary = context.facts.vocabulary;
  vocabulary = static_cast<uint32_t>(std::min<size_t>(vocabulary, codes->dims[0]));
  PlannedNode planned;
  planned.shape = indices->shape;
  planned.shape.push_back({width, Unit::kOne});
  planned.step = std::make_unique<BlockGatherStep>(*table, context.output);
  return planned;
}

}  // namespace shoal::engine
