#include "planner/draft.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::planner {

std::vector<Index> Draft::Spares() const {
  std::vector<Index> spares;
  for (Index v = 0; v < used_.size(); ++v) {
    if (!used_[v]) spares.push_back(v);
  }
  return spares;
}

const Background& Draft::Without(const Edit& edit) const {
  std::vector<size_t> without;
  for (const PipelineEdit& change : edit) {
    if (change.pipeline != kNew) without.push_back(change.pipeline);
  }
  std::ranges::sort(without);
  CHECK(std::ranges::adjacent_find(without) == without.end());
  if (rest_valid_ && without == rest_without_) return rest_;
  std::vector<const RouteSet*> sets;
  for (size_t p = 0; p < routes_.size(); ++p) {
    if (!std::ranges::binary_search(without, p)) sets.push_back(&routes_[p]);
  }
  rest_ = Background(*costs_, sets);
  rest_without_ = std::move(without);
  rest_valid_ = true;
  return rest_;
}

Background::Figures Draft::Judge(const Edit& edit) const {
  ++judged_;
  std::vector<RouteSet> sets;
  for (const PipelineEdit& change : edit) {
    if (!change.stages.empty()) sets.push_back(RoutesOf(*costs_, change.stages));
  }
  std::vector<const RouteSet*> pointers;
  for (const RouteSet& set : sets) pointers.push_back(&set);
  return Without(edit).With(*costs_, pointers);
}

void Draft::Apply(Edit edit) {
  for (PipelineEdit& change : edit) {
    if (change.pipeline == kNew) {
      if (change.stages.empty()) continue;
      pipelines_.emplace_back();
      routes_.emplace_back();
      change.pipeline = pipelines_.size() - 1;
    }
    for (const DraftStage& stage : pipelines_[change.pipeline]) {
      for (const Index v : stage.holders) used_[v] = false;
    }
    pipelines_[change.pipeline] = std::move(change.stages);
  }
  for (const PipelineEdit& change : edit) {
    if (change.pipeline == kNew) continue;
    const DraftPipeline& stages = pipelines_[change.pipeline];
    for (const DraftStage& stage : stages) {
      CHECK(!stage.holders.empty() && !stage.span.empty());
      for (const Index v : stage.holders) {
        CHECK(!used_[v]);
        used_[v] = true;
      }
    }
    routes_[change.pipeline] = stages.empty() ? RouteSet{} : RoutesOf(*costs_, stages);
  }
  for (size_t p = pipelines_.size(); p-- > 0;) {
    if (!pipelines_[p].empty()) continue;
    std::swap(pipelines_[p], pipelines_.back());
    std::swap(routes_[p], routes_.back());
    pipelines_.pop_back();
    routes_.pop_back();
  }
  rest_valid_ = false;
  figures_ = Without({}).With(*costs_, {});
}

bool Draft::ApplyIfBetter(const Edit& edit, double gain) {
  if (!(Judge(edit).effective < effective() * (1 - gain))) return false;
  Apply(edit);
  return true;
}

}  // namespace shoal::planner
