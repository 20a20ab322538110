// Simulated annealing on a whole plan, for pools so small that it nearly always ends at the
// optimum. Throughput is limited by a weakest stage, so improvements often need several steps of
// which the first ones gain nothing or lose: local search (improve.h) does not take those.
//
// Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 220, 1983; energy
// is the logarithm of the effective score, the temperature falls geometrically.
#pragma once

#include "planner/draft.h"

namespace shoal::planner {

// Replaces `draft`, which has a pipeline, by the best plan seen on a walk of `steps` random edits.
// Deterministic for a seed; never worse than before.
void Anneal(Draft& draft, size_t steps, uint64_t seed);

}  // namespace shoal::planner
