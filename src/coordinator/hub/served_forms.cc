#include "coordinator/hub/served_forms.h"

#include <algorithm>

#include "base/str_cat.h"
#include "coordinator/hub/block_costs.h"
#include "coordinator/hub/expert_layers.h"

namespace shoal {

namespace {

constexpr std::string_view kAllSets = "auto";

Result<std::vector<size_t>> ServedSets(const store::Manifest& manifest, std::string_view names) {
  std::vector<size_t> sets;
  if (names == kAllSets) {
    for (size_t set = 0; set < manifest.variants.size(); ++set) sets.push_back(set);
    return sets;
  }
  ASSIGN_OR_RETURN(sets, store::FindWeightSets(manifest, names));
  for (auto at = sets.begin(); at != sets.end(); ++at) {
    if (std::find(sets.begin(), at, *at) == at) continue;
    return Fail(Code::kInvalidArgument,
                StrCat("the weights ", manifest.variants[*at].weights, " are named twice"));
  }
  return sets;
}

}  // namespace

Result<std::vector<store::StageVariant>> ServedForms(const store::Manifest& manifest,
                                                     std::string_view sets) {
  ASSIGN_OR_RETURN(const std::vector<size_t> served, ServedSets(manifest, sets));
  std::vector<store::StageVariant> forms;
  for (const size_t set : served) {
    forms.push_back({.weights = set});
    const store::Activations narrowest = store::NarrowestActivations(manifest, set);
    if (narrowest != store::Activations::kF32) {
      forms.push_back({.weights = set, .activations = narrowest});
    }
  }
  return forms;
}

void DescribeForms(const store::Manifest& manifest, const std::vector<store::StageVariant>& forms,
                   uint32_t hop_bytes, swarm::Config& config) {
  const store::StageVariant& first = forms.front();
  config.blocks = BlockCostsOf(manifest, hop_bytes, first);
  config.weights = manifest.variants[first.weights].weights;
  config.mixtures = ExpertLayersOf(manifest, hop_bytes, first);
  config.other_forms.clear();
  for (size_t i = 1; i < forms.size(); ++i) {
    config.other_forms.push_back({.weights = manifest.variants[forms[i].weights].weights,
                                  .is_f16 = forms[i].activations == store::Activations::kF16,
                                  .blocks = BlockCostsOf(manifest, hop_bytes, forms[i])});
  }
}

}  // namespace shoal
