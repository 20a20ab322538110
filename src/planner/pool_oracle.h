// The best plan of any number of pipelines with any replicas, by trying all of them: an oracle for
// tests, for at most six volunteers and a few blocks.
#pragma once

#include <algorithm>
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
    Combine(0);
    return best_;
  }
  const std::vector<DraftPipeline>& best_pipelines() const { return best_pipelines_; }

 private:
  struct Candidate {
    DraftPipeline stages;
    RouteSet routes;
  };

  // All pipelines that go on from `at` with volunteers outside `used`, filed under those they use.
  void Enumerate(DraftPipeline& pipeline, uint32_t at, size_t used) {
    const uint32_t blocks = costs_.block_count();
    if (at == blocks) {
      const size_t fewest = std::clamp(costs_.problem().limits.stages_min, 1u, blocks);
      if (pipeline.size() >= fewest) {
        by_set_[used].push_back({pipeline, RoutesOf(costs_, pipeline)});
      }
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
  void Combine(size_t decided) {
    if (!chosen_.empty()) Judge();
    const size_t all = by_set_.size() - 1;
    for (size_t passed = decided; passed != all;) {
      const size_t lowest = ~passed & (passed + 1);
      const size_t free = all & ~passed & ~lowest;
      for (size_t others = free;; others = (others - 1) & free) {
        for (const Candidate& candidate : by_set_[lowest | others]) {
          chosen_.push_back(&candidate);
          Combine(passed | lowest | others);
          chosen_.pop_back();
        }
        if (others == 0) break;
      }
      passed |= lowest;
    }
  }

  void Judge() {
    routes_.clear();
    for (const Candidate* candidate : chosen_) routes_.push_back(&candidate->routes);
    const double effective = Background(costs_, {}).With(costs_, routes_).effective;
    if (effective >= best_) return;
    best_ = effective;
    best_pipelines_.clear();
    for (const Candidate* candidate : chosen_) best_pipelines_.push_back(candidate->stages);
  }

  const Costs& costs_;
  std::vector<std::vector<Candidate>> by_set_;
  std::vector<const Candidate*> chosen_;
  std::vector<const RouteSet*> routes_;
  std::vector<DraftPipeline> best_pipelines_;
  double best_ = kInfinity;
};

}  // namespace shoal::planner
