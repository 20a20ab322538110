// Who holds stages and who holds experts, where layers are divided.
#pragma once

#include <vector>

#include "planner/experts.h"
#include "planner/plan.h"

namespace shoal::planner {

struct RoleNode {
  Device device;  // With the stage that it holds now.
  ExpertNode experts;
};

struct Roles {
  ExpertPlan experts;
  uint64_t missing_bytes = 0;  // For stages or experts; 0 and no missing nodes: all have room.
  uint32_t missing_devices = 0;
  bool complete() const { return missing_bytes == 0 && missing_devices == 0; }
};

// What becomes of what nodes hold where the rest finds no place beside it.
enum class Held { kStays, kMoves };

// `blocks`: of divided layers without their experts. Nodes keep their roles where that is enough;
// those without one are given what is lacking, and few as possible go to stages, since each is a
// hop. Where that fails, stages' devices may become holders; with Held::kMoves groups of experts go
// from holders to others, too, and where that fails everything is placed anew. Deterministic.
Roles DivideRoles(const std::vector<BlockCost>& blocks, const std::vector<ExpertLayer>& layers,
                  const std::vector<RoleNode>& nodes, const Limits& limits,
                  uint32_t expert_holders_min, Held held = Held::kStays);

}  // namespace shoal::planner
