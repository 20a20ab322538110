// Pools too large for looking at everyone together: thousands of volunteers.
//
// The first pipeline is searched for among a shortlist of everybody and among the best clusters.
// Further ones are built one after another from windows: the next volunteers in order of
// (cluster, cost per block), so that those near and those alike stand together, until the expected
// sessions are carried or nobody is left who can. Spares become replicas of the weakest spans of
// the pipelines around. O(volunteers * blocks * span) in all.
#pragma once

#include <span>

#include "planner/draft.h"

namespace shoal::planner {

// Pools up to this many volunteers are planned as a whole.
inline constexpr size_t kSmallPool = 64;

// A plan over `everyone`; without pipelines if none was found.
Draft PlanLarge(const Costs& costs, std::span<const Index> everyone);

}  // namespace shoal::planner
