// One run: a scenario and a seed, from the first volunteer to the last answer.
#pragma once

#include "simulator/checkers.h"
#include "simulator/plants.h"
#include "simulator/scenario.h"
#include "simulator/world.h"

namespace shoal::simulator {

struct Outcome {
  std::vector<Violation> violations;  // None: every checker was silent.
  Counters counters;
  Micros ended = 0;  // Virtual time.
};

// `trace` gets a line for everything that happens; may be empty.
Outcome Simulate(const Scenario& scenario, uint64_t seed, Plant plant, TraceSink trace = {});

}  // namespace shoal::simulator
