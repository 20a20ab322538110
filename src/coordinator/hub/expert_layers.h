// What the planner has to know of a pack's layers whose experts can lie elsewhere.
#pragma once

#include <algorithm>
#include <vector>

#include "coordinator/hub/block_costs.h"
#include "planner/experts.h"
#include "store/manifest.h"

namespace shoal {

// Costs in one of the pack's forms. A manifest does not say how many experts a row chooses:
// that follows from what a token costs, if experts and the rest are stored alike.
inline std::vector<planner::ExpertLayer> ExpertLayersOf(const store::Manifest& manifest,
                                                        uint32_t hop_bytes,
                                                        const store::StageVariant& form = {}) {
  const std::vector<planner::BlockCost> costs = BlockCostsOf(manifest, hop_bytes, form);
  std::vector<planner::ExpertLayer> layers;
  for (const store::Block& block : manifest.variants[form.weights].blocks) {
    if (!block.mixture || block.weight_bytes == 0) continue;
    planner::ExpertLayer layer{.block = block.index, .own = costs[block.index], .group_bytes = {}};
    uint64_t bytes = 0;
    for (const store::ExpertGroup& group : block.mixture->groups) {
      layer.group_bytes.push_back(manifest.blobs.at(group.weights).bytes);
      bytes += layer.group_bytes.back();
      layer.experts_per_group = group.count;
    }
    const double share = static_cast<double>(bytes) / static_cast<double>(block.weight_bytes);
    const double params = static_cast<double>(block.params) * share;
    const double experts = static_cast<double>(layer.group_bytes.size()) * layer.experts_per_group;
    layer.flops_per_expert = 2 * params / experts;
    layer.own.weight_bytes = block.weight_bytes - bytes;
    layer.own.flops_per_token = 2 * (static_cast<double>(block.params) - params);
    layer.own.read_fraction = 1;
    const double chosen_flops =
        static_cast<double>(block.flops_per_token) - layer.own.flops_per_token;
    layer.chosen = std::clamp(chosen_flops / layer.flops_per_expert, 1.0, experts);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace shoal
