// How fast this machine runs stages, before it has run any of the model's: what a native volunteer
// says in its profile, so that the first plan need not guess (docs/planner.md).
#pragma once

#include <vector>

#include "base/result.h"
#include "planner/cost_model.h"
#include "wire/frames.h"

namespace shoal::volunteer {

struct ProbeOptions {
  size_t threads = 1;
  bool exact = false;  // As NodeOptions have it.
};

// Times two stages of random weights, one tiny and one of 14 MB, for some tenths of a second, and
// fits the planner's cost model to it. Errors as engine::Stage has them.
Result<planner::ExecutorSpeed> ProbeEngine(const ProbeOptions& options);

// As the coordinator reads it (swarm/speeds.h): probe.fixed_ms, probe.gb_per_s, probe.gflops.
// Empty when the probe fails: the coordinator then takes what is typical.
std::vector<wire::Measure> ProbeMeasures(const ProbeOptions& options);

}  // namespace shoal::volunteer
