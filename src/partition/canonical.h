// A decoder's graph in the operators and shapes that every executor runs.
//
// - Shapes that were computed are numbers, with 0 for what stays and -1 for what is left; masks,
//   position arithmetic and everything else that depends on lengths alone is gone.
// - Rows lie as [batch, sequence, ...] throughout, also where the graph had flattened them.
// - Activations are float32; constants keep the type that they are stored in, and are cast.
// - Operators that do several things are taken apart: Skip*Normalization into Add and the norm, so
//   that one value crosses a cut; Gemm, Split, Pow, ReduceMean, ... into what the engine has.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "onnx/model.h"
#include "partition/constant.h"
#include "partition/reading.h"

namespace shoal::partition {

struct Canonical {
  // From tokens to logits, in order. Inputs are values, constants or graph inputs: tokens,
  // positions, seqlens_k, total_sequence_length and the caches by the names that the model has.
  std::vector<onnx::Node> nodes;
  // Nodes that read constants and positions alone, by the value they make; whoever needs one takes
  // it along.
  std::map<std::string, onnx::Node> helpers;
  std::map<std::string, Constant> constants;
  // Dims of every computed value in each of the reading's samples.
  std::map<std::string, std::vector<std::vector<int64_t>>> dims;
  std::string logits;
  int64_t opset = 0;
};

// The reading's attention must have been fused. kUnimplemented naming the node that cannot be
// brought into this form.
Result<Canonical> Canonicalise(const Reading& reading);

}  // namespace shoal::partition
