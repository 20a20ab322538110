// Local search on a whole plan: cuts move, volunteers change places, stages split and merge,
// pipelines dissolve, as long as the plan as a whole gains.
#pragma once

#include "planner/draft.h"

namespace shoal::planner {

// Stops after judging `evaluations` edits, or when none of the neighbours is better.
void Improve(Draft& draft, size_t evaluations);

}  // namespace shoal::planner
