// The plan in words: for people, and for `shoal plan`.
#pragma once

#include <string>

#include "planner/draft.h"
#include "planner/pool_plan.h"

namespace shoal::planner {

// Why spare volunteer `v` is in no pipeline of the draft.
LeftOut WhyLeftOut(const Draft& draft, Index v);

// A table of pipelines, stages, holders and predicted figures, then who was left out and why, then,
// without a plan, what is missing. Ends in a newline.
std::string Describe(const Problem& problem, const PoolPlan& plan);

// "1.25 s", "38.1 ms"; "2.3 GB", "640 MB".
std::string FormatSeconds(double seconds);
std::string FormatBytes(double bytes);

}  // namespace shoal::planner
