// The ONNX graphs of one block, for every architecture that a model::Architecture can describe.
// docs/pack-format.md lists the values by which blocks' graphs are joined.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/weights.h"
#include "onnx/model.h"
#include "packer/tensor_format.h"

namespace shoal::packer {

// A block that is one graph. `weights` holds the block's model::BlockWeights, in any order. A
// mixture layer is the join of its MixtureGraphs.
onnx::Model BuildBlockGraph(const model::Architecture& arch, uint32_t block,
                            const std::vector<PlacedWeight>& weights);

// A mixture layer in parts that different devices can hold. `before`: attention and router, from
// hidden.{b} to residual.{b}, routed.{b} and routes.{b}. `groups`: see mixture_graph.h. `after`:
// expert_sum.{b} (of all groups), the shared expert and the residual, to hidden.{b+1}.
struct MixtureGraphs {
  onnx::Model before;
  std::vector<onnx::Model> groups;
  onnx::Model after;
};
MixtureGraphs BuildMixtureGraphs(const model::Architecture& arch, uint32_t block,
                                 const std::vector<PlacedWeight>& weights);

}  // namespace shoal::packer
