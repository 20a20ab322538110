// Spare volunteers: replicas of the weakest span, or another pipeline, whichever gains more.
#pragma once

#include "planner/draft.h"
#include "planner/pipeline_search.h"

namespace shoal::planner {

struct GrowEffort {
  // Stages of each pipeline to which a spare is tried: those of least capacity and most risk.
  size_t weakest = SIZE_MAX;
  // Spares tried at each step: the fastest ones.
  size_t spares = SIZE_MAX;
  SearchEffort search;  // For another pipeline.
  bool pipelines = true;
};

// Additions that do not pay at once are looked ahead over this far: two stages may be equally weak.
inline constexpr size_t kLookAhead = 3;
// No stage gets more holders: routes over them would take too long to find, and another pipeline
// does the same for less traffic.
inline constexpr size_t kHoldersMax = 16;

// Adds spares to `draft` one by one, always the addition that helps most, until none does.
void Grow(Draft& draft, const GrowEffort& effort);

// `draft`'s pipeline with v added to one of its stages.
Edit WithReplica(const Draft& draft, size_t pipeline, size_t stage, Index v);

// The stages of a pipeline by weakness: those of least capacity (replicas' tokens per second
// together), then, alternating, those likeliest to lose their span.
std::vector<size_t> WeakestStages(const Costs& costs, const DraftPipeline& pipeline);

}  // namespace shoal::planner
