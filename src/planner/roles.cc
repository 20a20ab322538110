#include "planner/roles.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "planner/divide.h"

namespace shoal::planner {

namespace {

// The first `count` nodes hold stages, the others experts.
Roles Try(const std::vector<BlockCost>& blocks, const std::vector<ExpertLayer>& layers,
          const std::vector<RoleNode>& nodes, size_t count, const Limits& limits,
          const ExpertLimits& expert_limits) {
  std::vector<Device> devices;
  std::vector<ExpertNode> others;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i < count) {
      devices.push_back(nodes[i].device);
    } else {
      others.push_back(nodes[i].experts);
    }
  }
  Roles roles;
  const Plan stages = Divide(blocks, std::move(devices), limits);
  if (!stages.complete()) {
    roles.missing_bytes = stages.missing_bytes;
    roles.missing_devices = stages.missing_devices;
  }
  roles.experts = PlaceExperts(layers, std::move(others), expert_limits);
  roles.missing_bytes += roles.experts.missing_bytes;
  roles.missing_devices += roles.experts.missing_holders;
  return roles;
}

}  // namespace

Roles DivideRoles(const std::vector<BlockCost>& blocks, const std::vector<ExpertLayer>& layers,
                  const std::vector<RoleNode>& nodes, const Limits& limits,
                  uint32_t expert_holders_min, Held held) {
  const bool may_move = held == Held::kMoves;
  const ExpertLimits expert_limits{.holders_min = expert_holders_min,
                                   .overhead_bytes = limits.overhead_bytes,
                                   .weight_percent = limits.weight_percent,
                                   .may_move = may_move};
  // Stages' devices first, then those without a role, the largest first, then holders of experts.
  // Of those without a role first those in the largest local network, where experts will be, too.
  std::vector<RoleNode> ordered = nodes;
  std::map<uint32_t, uint64_t> networks;
  for (const RoleNode& node : nodes) {
    if (node.experts.cluster != kFar) networks[node.experts.cluster] += node.experts.memory_bytes;
  }
  const auto largest =
      std::ranges::max_element(networks, {}, [](const auto& one) { return one.second; });
  const uint32_t home = largest == networks.end() ? kFar : largest->first;
  const auto rank = [&](const RoleNode& node) {
    const int role = !node.device.held.empty() ? 0 : node.experts.held.empty() ? 1 : 2;
    return std::tuple(role, node.experts.cluster != home, ~node.device.memory_bytes,
                      node.device.node);
  };
  std::ranges::sort(ordered, {}, rank);
  const auto holding = static_cast<size_t>(std::ranges::count_if(
      ordered, [](const RoleNode& node) { return !node.device.held.empty(); }));
  const size_t least = std::clamp<size_t>(limits.stages_min, 1, blocks.size());
  Roles closest;
  bool has_closest = false;
  // From the stages' devices of now upwards, then from the fewest.
  const auto search = [&](size_t from, size_t to) {
    for (size_t count = from; count < to; ++count) {
      Roles roles = Try(blocks, layers, ordered, count, limits, expert_limits);
      const auto lack = [](const Roles& one) {
        return std::tuple(one.missing_bytes, one.missing_devices);
      };
      if (!has_closest || lack(roles) < lack(closest)) closest = std::move(roles);
      has_closest = true;
      if (closest.complete()) return true;
    }
    return false;
  };
  const size_t most = std::min(ordered.size(), blocks.size()) + 1;
  if (search(std::max(least, holding), most)) return closest;
  if (search(least, std::min(std::max(least, holding), most))) return closest;
  if (may_move) {
    for (RoleNode& node : ordered) {
      node.device.held = {};
      node.experts.held.clear();
    }
    std::ranges::sort(ordered, {}, rank);
    if (search(least, most)) return closest;
  }
  if (!has_closest) {
    closest = Try(blocks, layers, ordered, ordered.size(), limits, expert_limits);
  }
  return closest;
}

}  // namespace shoal::planner
