// A plan in the making: pipelines with their routes, the volunteers that are in none, and edits
// that are judged by what the whole plan would achieve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "planner/routes.h"

namespace shoal::planner {

// A change to some pipelines: each gets new stages, none (it is dissolved), or is a new one
// (pipeline == Draft::kNew).
struct PipelineEdit {
  size_t pipeline = 0;
  DraftPipeline stages;
};
using Edit = std::vector<PipelineEdit>;

class Draft {
 public:
  static constexpr size_t kNew = SIZE_MAX;

  explicit Draft(const Costs& costs) : costs_(&costs), used_(costs.volunteer_count(), false) {}

  const Costs& costs() const { return *costs_; }
  const std::vector<DraftPipeline>& pipelines() const { return pipelines_; }
  bool IsUsed(Index v) const { return used_[v]; }
  // Volunteers in no pipeline, ascending.
  std::vector<Index> Spares() const;

  const Background::Figures& figures() const { return figures_; }
  // Least effective score is best; infinite without a pipeline.
  double effective() const { return figures_.effective; }

  // What the draft would achieve after the edit. An edit names a pipeline at most once.
  Background::Figures Judge(const Edit& edit) const;
  // Makes the edit. Dissolved pipelines disappear: the last one takes their place.
  void Apply(Edit edit);
  // Applies if that lowers the effective score by more than rounding, and by `gain` of it.
  bool ApplyIfBetter(const Edit& edit, double gain = 1e-9);
  size_t judged() const { return judged_; }

 private:
  // Routes of all pipelines but those of the edit, merged; the last one asked for is kept.
  const Background& Without(const Edit& edit) const;

  const Costs* costs_;
  std::vector<DraftPipeline> pipelines_;
  std::vector<RouteSet> routes_;
  std::vector<bool> used_;
  Background::Figures figures_{.score = kInfinity, .effective = kInfinity};
  mutable Background rest_;
  mutable std::vector<size_t> rest_without_;
  mutable bool rest_valid_ = false;
  mutable size_t judged_ = 0;
};

}  // namespace shoal::planner
