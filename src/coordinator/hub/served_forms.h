// Which of a pack's sets of weights a coordinator serves, and the forms in which its volunteers can
// have blocks: each set in float32, and in float16 where the model bears that.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/manifest.h"
#include "store/stage_variant.h"
#include "swarm/state.h"

namespace shoal {

// Forms by number; the first is the first set's in float32. `sets`: names separated by commas, the
// preferred one first; "auto": all that the pack has; empty: its first. kNotFound for a set that
// the pack does not have, kInvalidArgument for one that is named twice.
Result<std::vector<store::StageVariant>> ServedForms(const store::Manifest& manifest,
                                                     std::string_view sets);

// Tells the swarm of the forms: what blocks, and layers without their experts, cost in each. Hidden
// states cross the network in `hop_bytes` a value.
void DescribeForms(const store::Manifest& manifest, const std::vector<store::StageVariant>& forms,
                   uint32_t hop_bytes, swarm::Config& config);

}  // namespace shoal
