// The first pipeline: chains of volunteers without replicas, best first.
//
// Any objective of this planner grows with a sum over the chain (latency) and with a maximum over
// it (the busiest volunteer, the slowest prefill chunk). So the best chain is on the front of
// (sum, maximum), and the front is found by dynamic programmes of least sum under a cap on the
// maximum (pipeline_dp.h): first without a cap, then at the smallest cap that anything meets and
// that still helps (by bisection), then at caps between. Every chain found is judged by the exact
// formulas (EvaluateChain), and the best are polished by local search on them.
#pragma once

#include <span>
#include <vector>

#include "planner/routes.h"

namespace shoal::planner {

struct SearchEffort {
  size_t bisections = 10;       // For the smallest cap that helps, per shape.
  size_t caps = 8;              // Between that and none.
  size_t shapes = kShapesMax;   // Shapes tried: the largest ones and the single row.
  size_t orders = 4;            // Of volunteers, where not all orders can be tried.
  size_t polished = 4;          // Chains that go through local search ...
  size_t evaluations = 20'000;  // ... of at most so many steps each.
  double exact_steps = 4e5;     // All orders at once where one programme takes no more steps.
};

// At most `most` different chains over `candidates`, least effective score first, and after them,
// if they are not among the best, the one of highest throughput and the one of lowest latency.
// Empty when no order of the candidates that was tried holds the model; for up to
// kSubsetChainMax candidates that means that there is none.
std::vector<Chain> SearchChains(const Costs& costs, std::span<const Index> candidates,
                                const SearchEffort& effort, size_t most);

// Improves `chain` by moving cuts, exchanging, adding and dropping volunteers, until nothing of
// that helps or `evaluations` are used up.
Chain PolishChain(const Costs& costs, Chain chain, std::span<const Index> candidates,
                  size_t evaluations);

// Those volunteers of `from` that a chain is best looked for among: the cheapest per block at full
// memory and the largest, about `count` of them but enough to hold the model if `from` is.
std::vector<Index> Shortlist(const Costs& costs, std::span<const Index> from, size_t count);

}  // namespace shoal::planner
