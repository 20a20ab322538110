// Changes a running plan when volunteers come, go or change, with as little loading as pays.
//
// A running plan is kept unless something better by Inertia::min_gain is found after what loading
// costs is counted (Inertia::horizon_s); a stage that has lost its last holder is repaired at once,
// in the way of least effective score: by a spare, by its neighbours, by a replica borrowed from
// elsewhere, or by making its pipeline anew. What the running plan lets somebody hold counts as
// cached there, so that staying is free and moving costs what loading costs.
#pragma once

#include "planner/pool_plan.h"

namespace shoal::planner {

// What the volunteers of `plan` hold by it counts as cached by them.
void CountAsCached(Problem& problem, const PoolPlan& plan);

// The plan to run now. Work is in proportion to what changed: in a pool of thousands only the
// pipelines that lost somebody and a few that a newcomer may strengthen are looked at. Pools of up
// to kReplanWhole are also planned as a whole. `running` may be empty: then everything is planned.
// Volunteers are known by `running` to be spare from its left_out; others in no pipeline are new.
// prediction.bytes_to_move says what the change makes volunteers load.
inline constexpr size_t kReplanWhole = 8;
// kBroken: only what is broken is mended, while the others' blocks are in use. A stage without
// holder is given to a spare or a replica, if one has room for it and is not several times slower
// than any way that moves other blocks as well; failing that, to one of its neighbours.
// A stage's first holder in `running` is not lent as a replica.
enum class Scope : uint8_t { kAll, kBroken };
Result<PoolPlan> Replan(Problem problem, const PoolPlan& running, Care care = Care::kThorough,
                        Scope scope = Scope::kAll);

// Plans the whole pool and leaves the running plan for that only if it is better by min_gain. For
// now and then, since it takes up to seconds.
Result<PoolPlan> Reconsider(Problem problem, const PoolPlan& running);

}  // namespace shoal::planner
