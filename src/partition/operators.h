// The evaluator's operators, by family; evaluate.cc lists them by name.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "onnx/model.h"
#include "partition/array.h"
#include "partition/evaluate.h"

namespace shoal::partition {

// One node that is being evaluated.
struct Call {
  const onnx::Node& node;
  std::span<const Array* const> inputs;
  int64_t opset = 0;

  // kInvalidArgument if it is omitted.
  Result<const Array*> Input(size_t index) const;
  const Array* Optional(size_t index) const {
    return index < inputs.size() ? inputs[index] : nullptr;
  }
  // The integers of an input whose elements are known, or of an attribute; nothing if neither is
  // there.
  Result<std::optional<std::vector<int64_t>>> Ints(size_t input, std::string_view attribute) const;
  // `axis` within `rank`.
  static Result<size_t> Axis(int64_t axis, size_t rank);
  bool AllKnown() const;
};

using Arrays = Result<std::vector<Array>>;
using Operator = Arrays (*)(const Call&);

// operators_math.cc
Arrays EvaluateUnary(const Call& call);
Arrays EvaluateBinary(const Call& call);
Arrays EvaluateWhere(const Call& call);
Arrays EvaluateReduce(const Call& call);
Arrays EvaluateMatMul(const Call& call);
Arrays EvaluateGemm(const Call& call);
Arrays EvaluateSoftmax(const Call& call);
Arrays EvaluateCumSum(const Call& call);

// operators_move.cc
Arrays EvaluateCast(const Call& call);
Arrays EvaluateShape(const Call& call);
Arrays EvaluateSize(const Call& call);
Arrays EvaluateConstant(const Call& call);
Arrays EvaluateConstantOfShape(const Call& call);
Arrays EvaluateRange(const Call& call);
Arrays EvaluateGather(const Call& call);
Arrays EvaluateReshape(const Call& call);
Arrays EvaluateFlatten(const Call& call);
Arrays EvaluateSqueeze(const Call& call);
Arrays EvaluateUnsqueeze(const Call& call);
Arrays EvaluateTranspose(const Call& call);
Arrays EvaluateConcat(const Call& call);
Arrays EvaluateSlice(const Call& call);
Arrays EvaluateSplit(const Call& call);
Arrays EvaluateExpand(const Call& call);
Arrays EvaluateTile(const Call& call);
Arrays EvaluateTrilu(const Call& call);
Arrays EvaluateScatterNd(const Call& call);

// operators_layer.cc: shapes only.
Arrays ShapeOfNorm(const Call& call);
Arrays ShapeOfSkipNorm(const Call& call);
Arrays ShapeOfMatMulNBits(const Call& call);
Arrays ShapeOfGatherBlockQuantized(const Call& call);
Arrays ShapeOfAttention(const Call& call);
Arrays ShapeOfTopK(const Call& call);
Arrays ShapeOfFirst(const Call& call);  // As the first input's.
Arrays EvaluateRotary(const Call& call);

// The array of an initialiser or a constant; its elements stay unknown where they lie outside.
Result<Array> ArrayOf(const onnx::Tensor& tensor);

}  // namespace shoal::partition
