// The ONNX graph of one block, for every architecture that a model::Architecture can describe.
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

// A weight of the block, as it was stored: the parts' initialisers, external.
struct PlacedWeight {
  model::WeightSpec spec;
  // How it is stored: a tied table is a matrix in the embedding block too.
  model::WeightKind stored_as = model::WeightKind::kMatrix;
  std::vector<onnx::Tensor> parts;
};

// `weights` holds exactly the block's model::BlockWeights, in any order.
onnx::Model BuildBlockGraph(const model::Architecture& arch, uint32_t block,
                            const TensorFormat& format, const std::vector<PlacedWeight>& weights);

}  // namespace shoal::packer
