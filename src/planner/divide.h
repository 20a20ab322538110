// Divides a model's blocks over devices by the memory that they offer.
#pragma once

#include <vector>

#include "planner/plan.h"

namespace shoal::planner {

// Takes as few devices as can hold the model (never fewer than limits.stages_min), preferring those
// that hold a part already, then the largest; gives each a run of blocks proportional to its
// memory. Devices that hold a part keep their order along the model, so that little moves.
// Deterministic. Without a plan, `missing_bytes` or `missing_devices` say what is lacking.
Plan Divide(const std::vector<BlockCost>& blocks, std::vector<Device> devices,
            const Limits& limits);

// Repairs `plan` after `lost` went away: gives its very span to the smallest device outside the
// plan that can hold it, so that nothing else moves. No stages when no device can.
Plan Replace(const std::vector<BlockCost>& blocks, const Plan& plan, NodeId lost,
             const std::vector<Device>& devices, const Limits& limits);

}  // namespace shoal::planner
