// The plan in words: for people, and for `shoal plan`.
#pragma once

#include <string>

#include "planner/draft.h"
#include "planner/pool_plan.h"

namespace shoal::planner {

// Why spare volunteers are in no pipeline of a draft.
class Reasons {
 public:
  // The draft has a pipeline; its costs must outlive this.
  explicit Reasons(const Draft& draft);
  LeftOut Of(Index v) const;

 private:
  // A stage that v might hold, where it would be missed least badly first.
  struct Stage {
    Span span;
    Index fastest;  // Of its holders.
    double fastest_s;
  };
  const Costs& costs_;
  std::vector<Stage> stages_;
};

// A table of pipelines, stages, holders and predicted figures, then who was left out and why, then,
// without a plan, what is missing. Ends in a newline.
std::string Describe(const Problem& problem, const PoolPlan& plan);

// "1.25 s", "38.1 ms"; "2.3 GB", "640 MB".
std::string FormatSeconds(double seconds);
std::string FormatBytes(double bytes);

}  // namespace shoal::planner
