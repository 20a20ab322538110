// The two halves of `planner_bench`.
#pragma once

namespace shoal::planner {

// What the planner gains over equal and memory-proportional splits: a table.
void MeasureGains();
// How long planning takes, from 10 to 10,000 volunteers: a table.
void MeasureSpeed();

}  // namespace shoal::planner
