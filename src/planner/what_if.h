// "With one more device like X you would get ...".
#pragma once

#include <vector>

#include "planner/pool_plan.h"

namespace shoal::planner {

struct WhatIf {
  size_t like = 0;        // Index into Problem::volunteers.
  uint32_t count = 0;     // How many more like it: one, or as many as make a plan possible.
  Prediction prediction;  // With them.
  bool used = false;      // Whether the plan then uses one of them.
};

// Most devices of a kind that are added to find a plan where there is none.
inline constexpr uint32_t kWhatIfMost = 64;

// What the pool would achieve with one more volunteer like each of `likes`, or, where the pool has
// no plan, with the fewest of that kind that give it one; kinds that never do are left out.
// `problem` must be valid and have fewer than kVolunteersMax - kWhatIfMost volunteers.
std::vector<WhatIf> AskWhatIf(const Problem& problem, const std::vector<size_t>& likes);

}  // namespace shoal::planner
