// Where every weight of a model goes: which blob, which offset, under which initialiser name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/weights.h"
#include "packer/recipe.h"
#include "packer/tensor_format.h"
#include "store/manifest.h"

namespace shoal::packer {

struct LaidOutBlob {
  // "block.3" for one block's own weights, "block.3.experts.1" for a group of its experts, "shared"
  // for a table that several blocks read.
  std::string key;
  // In the order in which they are written. The parts' external locations are empty: the blob has
  // no name before it is written.
  std::vector<PlacedWeight> weights;
  std::vector<uint32_t> blocks;  // That read it.
  uint64_t bytes = 0;
};

// What a manifest says of the model and of a block without its weights: index, kind, KV and costs.
store::ModelFacts FactsOf(const model::Architecture& arch);
store::Block BlockFacts(const model::Architecture& arch, uint32_t index);

// In the order of the blocks. A block's weights lie together, each part at a multiple of
// kPartAlignment; the table of tied embeddings lies alone, stored as the head's matrix.
// The recipe must outlive the layout.
std::vector<LaidOutBlob> LayOut(const model::Architecture& arch, const Recipe& recipe);

}  // namespace shoal::packer
