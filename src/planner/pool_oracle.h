// The best plan of any number of pipelines with any replicas, by trying all of them: an oracle for
// tests, for at most six volunteers and a few blocks.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "planner/routes.h"

namespace shoal::planner {

class PoolOracle {
 public:
  explicit PoolOracle(const Costs& costs)
      : costs_(costs), by_set_(size_t{1} << costs.volunteer_count()) {}

  // The least effective score; infinite without any plan.
  double Best() {
    DraftPipeline pipeline;
    Enumerate(pipeline, 0, 0);
    std::vector<const RouteSet*> chosen;
    Combine(0, chosen);
    return best_;
  }

 private:
  // All pipelines that go on from `at` with volunteers outside `used`, filed under those they use.
  void Enumerate(DraftPipeline& pipeline, uint32_t at, size_t used) {
    const uint32_t blocks = costs_.block_count();
    if (at == blocks) {
      const size_t fewest = std::clamp(costs_.problem().limits.stages_min, 1u, blocks);
      if (pipeline.size() >= fewest) by_set_[used].push_back(RoutesOf(costs_, pipeline));
      return;
    }
    const size_t all = by_set_.size() - 1;
    const size_t free = all & ~used;
    for (size_t holders = free; holders != 0; holders = (holders - 1) & free) {
      DraftStage stage;
      for (Index v = 0; v < costs_.volunteer_count(); ++v) {
        if ((holders >> v & 1) != 0) stage.holders.push_back(v);
      }
      for (uint32_t end = at + 1; end <= blocks; ++end) {
        if (!std::ranges::all_of(stage.holders, [&](Index v) { return costs_.Fits(v, at, end); })) {
          break;
        }
        stage.span = {at, end};
        pipeline.push_back(stage);
        Enumerate(pipeline, end, used | holders);
        pipeline.pop_back();
      }
    }
  }

  // Every choice of pipelines over disjoint volunteers; each next one uses the lowest volunteer
  // that is neither used nor passed over, so that no choice is tried in two orders.
  void Combine(size_t decided, std::vector<const RouteSet*>& chosen) {
    if (!chosen.empty()) {
      best_ = std::min(best_, Background(costs_, {}).With(costs_, chosen).effective);
    }
    const size_t all = by_set_.size() - 1;
    for (size_t passed = decided; passed != all;) {
      const size_t lowest = ~passed & (passed + 1);
      const size_t free = all & ~passed & ~lowest;
      for (size_t others = free;; others = (others - 1) & free) {
        for (const RouteSet& routes : by_set_[lowest | others]) {
          chosen.push_back(&routes);
          Combine(passed | lowest | others, chosen);
          chosen.pop_back();
        }
        if (others == 0) break;
      }
      passed |= lowest;
    }
  }

  const Costs& costs_;
  std::vector<std::vector<RouteSet>> by_set_;
  double best_ = std::numeric_limits<double>::infinity();
};

}  // namespace shoal::planner
