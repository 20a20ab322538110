#include "planner/pool_plan.h"

#include <numeric>

#include "planner/anneal.h"
#include "planner/conversion.h"
#include "planner/divide.h"
#include "planner/improve.h"
#include "planner/large_pool.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

// How much is tried, by the size of the pool: small pools nearly everything.
struct Effort {
  size_t starts;       // First pipelines from which the whole plan is grown.
  size_t evaluations;  // Edits of each that local search may judge.
  GrowEffort grow;
  size_t anneal = 0;  // Steps of each of three walks of annealing from the best of them.
};

// For a coordinator that serves meanwhile: the first pipeline is searched for in a few ways, and
// spares go where they help most.
constexpr Effort kQuickEffort = {.starts = 1,
                                 .evaluations = 200,
                                 .grow = {.weakest = 2,
                                          .spares = 8,
                                          .search = {.bisections = 3,
                                                     .caps = 1,
                                                     .shapes = 1,
                                                     .orders = 2,
                                                     .polished = 1,
                                                     .evaluations = 300,
                                                     .exact_steps = 2e4}}};

Effort EffortFor(size_t volunteers, Care care) {
  if (care == Care::kQuick) return kQuickEffort;
  if (volunteers <= 8) {
    const SearchEffort thorough = {.bisections = 5, .caps = 2, .shapes = 2, .polished = 2};
    return {.starts = 8, .evaluations = 4000, .grow = {.search = thorough}, .anneal = 15'000};
  }
  const SearchEffort quick = {.bisections = 6,
                              .caps = 2,
                              .shapes = 2,
                              .orders = 2,
                              .polished = 1,
                              .evaluations = 1000,
                              .exact_steps = 5e4};
  if (volunteers <= 20) {
    return {.starts = 4,
            .evaluations = 3000,
            .grow = {.weakest = 4, .search = quick},
            .anneal = 20'000};
  }
  return {.starts = 2, .evaluations = 2000, .grow = {.weakest = 3, .spares = 12, .search = quick}};
}

// The simple division by memory: found in another way, so it may exist where the search failed.
std::vector<Chain> DividedByMemory(const Costs& costs) {
  const Problem& problem = costs.problem();
  std::vector<Device> devices;
  for (Index v = 0; v < costs.volunteer_count(); ++v) {
    const Volunteer& volunteer = problem.volunteers[v];
    devices.push_back({NodeId{v}, volunteer.memory_bytes, {}, &BlocksOf(problem, volunteer.form)});
  }
  Chain chain;
  for (const Stage& stage : Divide(problem.blocks, std::move(devices), problem.limits).stages) {
    chain.push_back({stage.node.value, stage.span});
  }
  return chain.empty() ? std::vector<Chain>{} : std::vector<Chain>{chain};
}

Draft PlanSmall(const Costs& costs, std::span<const Index> everyone, Care care) {
  const Effort effort = EffortFor(everyone.size(), care);
  const SearchEffort search = care == Care::kQuick ? effort.grow.search : SearchEffort{};
  std::vector<Chain> starts = SearchChains(costs, everyone, search, effort.starts);
  if (starts.empty()) starts = DividedByMemory(costs);
  Draft best(costs);
  for (const Chain& start : starts) {
    Draft draft(costs);
    draft.Apply({{Draft::kNew, ToPipeline(start)}});
    Grow(draft, effort.grow);
    Improve(draft, effort.evaluations);
    Grow(draft, effort.grow);
    if (draft.effective() < best.effective()) best = std::move(draft);
  }
  if (effort.anneal > 0 && everyone.size() > 1 && !best.pipelines().empty()) {
    for (const uint64_t seed : {1, 2, 3}) {
      Draft annealed = best;
      Anneal(annealed, effort.anneal, seed);
      Improve(annealed, effort.evaluations);
      if (annealed.effective() < best.effective()) best = std::move(annealed);
    }
  }
  return best;
}

}  // namespace

Result<PoolPlan> PlanPool(const Problem& problem, Care care) {
  RETURN_IF_ERROR(ValidateProblem(problem));
  const Costs costs(problem);
  std::vector<Index> everyone(costs.volunteer_count());
  std::iota(everyone.begin(), everyone.end(), Index{0});
  const Draft draft =
      everyone.size() <= kSmallPool ? PlanSmall(costs, everyone, care) : PlanLarge(costs, everyone);
  return draft.pipelines().empty() ? NoPlan(problem) : Finish(draft);
}

}  // namespace shoal::planner
