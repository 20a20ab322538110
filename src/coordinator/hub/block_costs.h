// What the planner has to know of a pack's blocks.
#pragma once

#include <algorithm>
#include <vector>

#include "planner/plan.h"
#include "store/manifest.h"
#include "store/stage_variant.h"

namespace shoal {

// Costs in one of the pack's forms; hidden states cross the network in `hop_bytes` a value. Forms
// differ in their bytes alone: what is computed is told by the first set of weights.
inline std::vector<planner::BlockCost> BlockCostsOf(const store::Manifest& manifest,
                                                    uint32_t hop_bytes,
                                                    const store::StageVariant& form = {}) {
  const std::vector<store::Block>& stored = manifest.variants[form.weights].blocks;
  // Of a cached value. Volunteers count float32 too, whatever their executor then takes.
  constexpr uint64_t kKvBytes = 4;
  std::vector<planner::BlockCost> costs;
  for (const store::Block& block : manifest.variants.front().blocks) {
    const bool is_head = block.kind == store::BlockKind::kHead;
    const bool is_table = block.kind == store::BlockKind::kEmbedding;
    // A mixture reads the chosen experts alone: two operations for every weight that is read.
    const double read = block.params == 0 ? 1
                                          : static_cast<double>(block.flops_per_token) /
                                                (2 * static_cast<double>(block.params));
    costs.push_back(
        {.weight_bytes = stored[block.index].weight_bytes,
         .kv_bytes_per_position =
             block.kv ? 2ull * block.kv->heads * block.kv->head_size * kKvBytes : 0,
         .flops_per_token = static_cast<double>(block.flops_per_token),
         .flops_per_token_position = static_cast<double>(block.attention_flops_per_position),
         .hidden_bytes = uint64_t{manifest.model.hidden} * hop_bytes,
         .last_row_only = is_head,
         .read_fraction = is_table ? 0.0 : std::min(1.0, read)});
  }
  return costs;
}

}  // namespace shoal
