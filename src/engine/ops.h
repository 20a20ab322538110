// The operators: each checks one node and makes the step that runs it.
//
// To add one: write a PlanFoo in the ops_*.cc file of its family, on top of a kernel in kernels/,
// and list it in ops.cc.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/io.h"
#include "engine/kv_cache.h"
#include "engine/shape.h"
#include "engine/step.h"
#include "engine/weights.h"
#include "onnx/model.h"

namespace shoal::engine {

// What is known of a value of the graph while planning.
struct Value {
  enum class Kind : uint8_t {
    kComputed,  // Floats in a buffer: hidden states, and what nodes make of them.
    kConstant,  // An initialiser, perhaps cast to float.
    kIndices,   // Of TopK, as floats in a buffer.
    kTokenInput,
    kPositionInput,
    kLogitRowInput,
    kControlInput,  // seqlens_k, total_sequence_length
    kPastInput,
    kPresentOutput,
  };
  std::string name;
  Kind kind = Kind::kComputed;
  ValueId id = 0;
  Shape shape;                     // Not of kControlInput, kPastInput and kPresentOutput.
  const Weight* weight = nullptr;  // Of kConstant.
  uint64_t index_end = 0;          // Of kIndices: all are below it.
  CacheName cache;                 // Of kPastInput.
  // Of a graph input: as the graph declares it. Null for others.
  const onnx::ValueInfo* declared = nullptr;
};

// What the nodes say about the stage as a whole.
struct StageFacts {
  KvLayout kv_layout;
  std::vector<uint32_t> kv_blocks;   // Of each layer in kv_layout; ascending.
  uint32_t positions_max = 0;        // Rotary tables lower it.
  uint32_t vocabulary = UINT32_MAX;  // Look-ups of tokens lower it.
  size_t head_size_max = 0;          // Of the attention's heads.
  uint64_t block_row_bytes = 0;      // The largest BlockRows::BytesPerRow of a product.
};

// A node that is being planned.
struct NodeContext {
  const onnx::Node& node;
  std::vector<const Value*> inputs;  // Null for an omitted one.
  ValueId output = 0;                // The id that its first output gets.
  WeightTable& weights;
  StageFacts& facts;
  const StageOptions& options;

  // kInvalidArgument / kUnimplemented with the detail; the planner adds the node's name.
  // The input at `index`, which must be there.
  Result<const Value*> Required(size_t index) const;
  // The same, a computed value of at least one dim.
  Result<const Value*> Computed(size_t index) const;
  // The same, a constant, with its bytes or perhaps not yet.
  Result<const Weight*> Constant(size_t index) const;
  Result<const Weight*> ConstantUnloaded(size_t index) const;
  // Fails unless there are `least` to `most` inputs, `outputs` outputs, and no attributes but
  // those named.
  Status Expect(size_t least, size_t most, size_t outputs,
                std::initializer_list<std::string_view> attributes) const;
  // The attribute's value, or `otherwise` if it is absent.
  Result<int64_t> Int(std::string_view attribute, int64_t otherwise) const;
  Result<float> Float(std::string_view attribute, float otherwise) const;
  Result<std::string> Text(std::string_view attribute, std::string_view otherwise) const;
  // `axis` as a dim of a tensor with this rank; negative counts from the end.
  Result<size_t> Axis(int64_t axis, size_t rank) const;
};

// What planning a node gives: the shape of its first output, and either a step that computes it or
// an input whose data it shares.
struct PlannedNode {
  Shape shape;
  std::unique_ptr<Step> step;
  const Value* alias = nullptr;
  // Of an alias of a constant: the constant under other dims, if not the same.
  const Weight* weight = nullptr;
  // Of the second output, the indices that TopK gives; empty if there is none. The step writes them
  // to the value after its first output.
  Shape indices;
  uint64_t index_end = 0;
};

inline std::unexpected<Error> Invalid(std::string detail) {
  return Fail(Code::kInvalidArgument, std::move(detail));
}
inline std::unexpected<Error> Unsupported(std::string detail) {
  return Fail(Code::kUnimplemented, std::move(detail));
}

using PlanNode = Result<PlannedNode> (*)(const NodeContext&);

// The planner of an operator; null if there is none.
PlanNode FindOperator(std::string_view domain, std::string_view op_type);

Result<PlannedNode> PlanAdd(const NodeContext& context);
Result<PlannedNode> PlanMul(const NodeContext& context);
Result<PlannedNode> PlanSigmoid(const NodeContext& context);
Result<PlannedNode> PlanTanh(const NodeContext& context);
Result<PlannedNode> PlanErf(const NodeContext& context);
Result<PlannedNode> PlanSqrt(const NodeContext& context);
Result<PlannedNode> PlanGelu(const NodeContext& context);
Result<PlannedNode> PlanCast(const NodeContext& context);
Result<PlannedNode> PlanMatMul(const NodeContext& context);
Result<PlannedNode> PlanRmsNorm(const NodeContext& context);
Result<PlannedNode> PlanSoftmax(const NodeContext& context);
Result<PlannedNode> PlanGather(const NodeContext& context);
Result<PlannedNode> PlanReshape(const NodeContext& context);
Result<PlannedNode> PlanTranspose(const NodeContext& context);
Result<PlannedNode> PlanConcat(const NodeContext& context);
Result<PlannedNode> PlanSlice(const NodeContext& context);
Result<PlannedNode> PlanPad(const NodeContext& context);
Result<PlannedNode> PlanAttention(const NodeContext& context);
Result<PlannedNode> PlanMatMulNBits(const NodeContext& context);
Result<PlannedNode> PlanGatherBlockQuantized(const NodeContext& context);
Result<PlannedNode> PlanBroadcastAdd(const NodeContext& context);
Result<PlannedNode> PlanBroadcastMul(const NodeContext& context);
Result<PlannedNode> PlanDiv(const NodeContext& context);
Result<PlannedNode> PlanMax(const NodeContext& context);
Result<PlannedNode> PlanLog(const NodeContext& context);
Result<PlannedNode> PlanReduceSum(const NodeContext& context);
Result<PlannedNode> PlanLayerNorm(const NodeContext& context);
Result<PlannedNode> PlanPositionGather(const NodeContext& context);
Result<PlannedNode> PlanHeadMatMul(const NodeContext& context);
Result<PlannedNode> PlanTopK(const NodeContext& context);
Result<PlannedNode> PlanGatherElements(const NodeContext& context);
Result<PlannedNode> PlanScatterElements(const NodeContext& context);
Result<PlannedNode> PlanExperts(const NodeContext& context);
Result<PlannedNode> PlanBlockExperts(const NodeContext& context);

// The dims before the last one as one count, and the last one, which must not grow: what the
// row-wise operators work on.
struct RowsOf {
  Extent rows;
  size_t width = 0;
};
Result<RowsOf> SplitLastDim(const Shape& shape);

}  // namespace shoal::engine
