// The forms in which a model's blocks can be given to a volunteer: one of the pack's sets of
// weights, computed in float32 or in float16. Which one suits a volunteer is decided here, by what
// its executor does with each; what its memory and the others' allow comes in with the plan
// (placement.cc).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "planner/cost_model.h"
#include "planner/plan.h"
#include "wire/frames.h"

namespace shoal::swarm {

struct Form {
  std::string weights;  // The set, as the pack names it: "q4".
  bool is_f16 = false;  // Computed in float16, for devices that say that they do.
  std::vector<planner::BlockCost> blocks;  // With all their experts.
};

// A form that a volunteer runs, and how fast it is expected to be in it.
struct Choice {
  uint32_t form = 0;  // Index into the forms that were chosen from.
  planner::ExecutorSpeed speed;
};

// The forms that a volunteer runs, the one in which it is expected to take a token through all
// blocks soonest first; of forms as fast as each other one in float16, then the earlier one. Never
// empty if one of `forms` is in float32.
std::vector<Choice> ChooseForms(std::span<const Form> forms, std::string_view executor,
                                std::span<const wire::Measure> measures);

}  // namespace shoal::swarm
