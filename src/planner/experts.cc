#include "planner/experts.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <tuple>

#include "base/check.h"

namespace shoal::planner {

namespace {

constexpr uint64_t kChoiceBytes = 12;   // Of an ExpertChoice on the wire.
constexpr uint64_t kRequestBytes = 64;  // Header and fields of a request, or of an answer.

// A node while groups are being given out.
struct Room {
  const ExpertNode* node = nullptr;
  uint64_t free_bytes = 0;
  std::vector<ExpertSlot> slots;
};

uint64_t Needed(uint64_t bytes, const ExpertLimits& limits) {
  return bytes / 100 * limits.weight_percent + bytes % 100 * limits.weight_percent / 100;
}

std::vector<Room> MakeRooms(const std::vector<ExpertLayer>& layers,
                            const std::vector<ExpertNode>& nodes, const ExpertLimits& limits,
                            std::set<ExpertSlot>& placed) {
  std::map<uint32_t, const ExpertLayer*> by_block;
  for (const ExpertLayer& layer : layers) by_block[layer.block] = &layer;
  std::vector<Room> rooms;
  for (const ExpertNode& node : nodes) {
    Room room{.node = &node, .free_bytes = 0, .slots = {}};
    if (node.memory_bytes > limits.overhead_bytes) {
      room.free_bytes = node.memory_bytes - limits.overhead_bytes;
    }
    for (const ExpertSlot& slot : node.held) {
      const auto layer = by_block.find(slot.block);
      if (layer == by_block.end() || slot.group >= layer->second->group_bytes.size()) continue;
      const uint64_t needed = Needed(layer->second->group_bytes[slot.group], limits);
      if (needed > room.free_bytes) continue;
      room.free_bytes -= needed;
      room.slots.push_back(slot);
      placed.insert(slot);
    }
    rooms.push_back(std::move(room));
  }
  return rooms;
}

size_t CountOf(const Room& room, const ExpertLayer& layer) {
  return static_cast<size_t>(std::ranges::count(
      room.slots, layer.block, [](const ExpertSlot& slot) { return slot.block; }));
}

// The cluster that is to have the rest of a layer: where most of it lies already, else the one with
// most free memory; one into which it does not fit is no choice unless none is.
uint32_t ClusterFor(const ExpertLayer& layer, uint64_t missing, const std::vector<Room>& rooms) {
  struct Standing {
    uint64_t free_bytes = 0;
    size_t held = 0;
  };
  std::map<uint32_t, Standing> clusters;
  for (const Room& room : rooms) {
    Standing& standing = clusters[room.node->cluster];
    standing.free_bytes += room.free_bytes;
    standing.held += CountOf(room, layer);
  }
  const auto rank = [&](const std::pair<const uint32_t, Standing>& entry) {
    const auto& [cluster, standing] = entry;
    return std::tuple(standing.free_bytes >= missing, cluster != kFar, standing.held,
                      standing.free_bytes);
  };
  const auto best = std::ranges::max_element(clusters, {}, rank);
  return best == clusters.end() ? kFar : best->first;
}

bool Holds(const Room& room, const ExpertSlot& slot) {
  return std::ranges::find(room.slots, slot) != room.slots.end();
}

uint32_t HoldersWanted(const ExpertLayer& layer, const ExpertLimits& limits) {
  return std::clamp(limits.holders_min, 1u, static_cast<uint32_t>(layer.group_bytes.size()));
}

// Where too few hold a layer, whoever holds most of it gives a group up for one who holds none.
void MakeWay(const ExpertLayer& layer, const ExpertLimits& limits, std::vector<Room>& rooms,
             std::set<ExpertSlot>& placed) {
  const auto holders = static_cast<uint32_t>(
      std::ranges::count_if(rooms, [&](const Room& room) { return CountOf(room, layer) > 0; }));
  for (uint32_t i = std::max(holders, 1u); i < HoldersWanted(layer, limits); ++i) {
    const auto most = std::ranges::max_element(
        rooms, {}, [&](const Room& room) { return CountOf(room, layer); });
    if (most == rooms.end() || CountOf(*most, layer) < 2) return;
    // Of those that nobody else has.
    const auto slot = std::ranges::find_if(most->slots, [&](const ExpertSlot& one) {
      return one.block == layer.block && std::ranges::count_if(rooms, [&](const Room& room) {
                                           return Holds(room, one);
                                         }) == 1;
    });
    if (slot == most->slots.end()) return;
    const uint64_t needed = Needed(layer.group_bytes[slot->group], limits);
    const bool is_wanted = std::ranges::any_of(rooms, [&](const Room& room) {
      return CountOf(room, layer) == 0 && room.free_bytes >= needed;
    });
    if (!is_wanted) return;
    placed.erase(*slot);
    most->slots.erase(slot);
    most->free_bytes += needed;
  }
}

// Gives out what a layer lacks; what is left over is not placed.
uint64_t PlaceLayer(const ExpertLayer& layer, const ExpertLimits& limits, std::vector<Room>& rooms,
                    const std::set<ExpertSlot>& placed) {
  std::vector<ExpertSlot> missing;
  uint64_t bytes = 0;
  for (uint32_t group = 0; group < layer.group_bytes.size(); ++group) {
    if (placed.contains({layer.block, group})) continue;
    missing.push_back({layer.block, group});
    bytes += Needed(layer.group_bytes[group], limits);
  }
  if (missing.empty()) return 0;
  const uint32_t cluster = ClusterFor(layer, bytes, rooms);
  const auto groups = static_cast<uint32_t>(layer.group_bytes.size());
  const uint32_t holders_wanted = HoldersWanted(layer, limits);
  uint32_t holders = 0;
  std::vector<uint32_t> of_layer;  // By room: how many groups of the layer lie there.
  for (const Room& room : rooms) {
    of_layer.push_back(static_cast<uint32_t>(CountOf(room, layer)));
    if (of_layer.back() > 0) ++holders;
  }
  uint64_t unplaced = 0;
  for (const ExpertSlot& slot : missing) {
    const uint64_t needed = Needed(layer.group_bytes[slot.group], limits);
    // First as many holders as are wanted, then together with those; of several wanted the one with
    // least of the layer, and who holds nothing before who works.
    const auto rank = [&](size_t index) {
      const Room& room = rooms[index];
      const bool is_holder = of_layer[index] > 0;
      const bool suffice = holders >= holders_wanted;
      const uint32_t evenly =
          limits.holders_min > 1 ? groups - std::min(of_layer[index], groups) : 0;
      return std::tuple(suffice || !is_holder, room.node->cluster == cluster, is_holder == suffice,
                        room.node->held.empty(), evenly, room.free_bytes);
    };
    std::optional<size_t> best;
    for (size_t index = 0; index < rooms.size(); ++index) {
      if (rooms[index].free_bytes < needed) continue;
      if (!best || rank(index) > rank(*best)) best = index;
    }
    if (!best) {
      unplaced += needed;
      continue;
    }
    if (of_layer[*best]++ == 0) ++holders;
    rooms[*best].free_bytes -= needed;
    rooms[*best].slots.push_back(slot);
  }
  return unplaced;
}

uint32_t MissingHolders(const std::vector<ExpertLayer>& layers, const std::vector<Room>& rooms,
                        const ExpertLimits& limits) {
  uint32_t missing = 0;
  for (const ExpertLayer& layer : layers) {
    const auto holders = static_cast<uint32_t>(
        std::ranges::count_if(rooms, [&](const Room& room) { return CountOf(room, layer) > 0; }));
    const auto groups = static_cast<uint32_t>(layer.group_bytes.size());
    const uint32_t wanted = std::min(limits.holders_min, groups);
    if (holders < wanted) missing = std::max(missing, wanted - holders);
  }
  return missing;
}

const Volunteer* FindVolunteer(const Problem& problem, NodeId node) {
  const auto at = std::ranges::find(problem.volunteers, node, &Volunteer::node);
  return at == problem.volunteers.end() ? nullptr : &*at;
}

// What a step sends on average, each way.
struct Traffic {
  double stage_bytes = 0;   // Through the port of the stage's device, to or from all holders.
  double holder_bytes = 0;  // Through a holder's.
};

bool IsNear(const Volunteer& a, const Volunteer& b) {
  return a.link.cluster != kFar && a.link.cluster == b.link.cluster;
}

// There and back, of a stage's device and one holder.
double RoundTrip(const Problem& problem, const Volunteer& stage, const Volunteer& holder,
                 const Traffic& traffic) {
  if (IsNear(stage, holder)) {
    const Cluster& local = problem.network.clusters[stage.link.cluster - 1];
    return 2 * (local.latency_s + traffic.stage_bytes / local.bytes_per_s);
  }
  const double latency =
      2 * (stage.link.latency_s + holder.link.latency_s + problem.network.relay_s);
  const double stage_s = traffic.stage_bytes / stage.link.up_bytes_per_s +
                         traffic.stage_bytes / stage.link.down_bytes_per_s;
  const double holder_s = traffic.holder_bytes / holder.link.up_bytes_per_s +
                          traffic.holder_bytes / holder.link.down_bytes_per_s;
  return latency + stage_s + holder_s;
}

// The holders of a layer, with how many of its experts each has.
std::vector<std::pair<const Volunteer*, uint32_t>> HoldersOf(const Problem& problem,
                                                             const ExpertLayer& layer,
                                                             const ExpertHolding& holding) {
  std::vector<std::pair<const Volunteer*, uint32_t>> holders;
  for (const auto& [node, slots] : holding) {
    const auto groups = static_cast<uint32_t>(
        std::ranges::count(slots, layer.block, [](const ExpertSlot& slot) { return slot.block; }));
    const Volunteer* const holder = groups == 0 ? nullptr : FindVolunteer(problem, node);
    if (holder != nullptr) holders.emplace_back(holder, groups * layer.experts_per_group);
  }
  return holders;
}

// Of the experts that a row chooses, the part that is expected at a holder of `held`, at least one.
double ComputeSeconds(const ExpertLayer& layer, const Volunteer& holder, uint32_t held,
                      uint32_t experts) {
  const double here = std::max(1.0, layer.chosen * held / std::max(experts, 1u));
  const double expert_bytes =
      static_cast<double>(layer.group_bytes.front()) / layer.experts_per_group;
  return holder.speed.Seconds({here * expert_bytes, here * layer.flops_per_expert});
}

}  // namespace

ExpertPlan PlaceExperts(const std::vector<ExpertLayer>& layers, std::vector<ExpertNode> nodes,
                        const ExpertLimits& limits) {
  std::ranges::sort(nodes, {}, &ExpertNode::node);
  std::set<ExpertSlot> placed;
  std::vector<Room> rooms = MakeRooms(layers, nodes, limits, placed);
  ExpertPlan plan;
  for (const ExpertLayer& layer : layers) {
    if (limits.may_move) MakeWay(layer, limits, rooms, placed);
    plan.missing_bytes += PlaceLayer(layer, limits, rooms, placed);
  }
  plan.missing_holders = MissingHolders(layers, rooms, limits);
  for (Room& room : rooms) {
    if (room.slots.empty()) continue;
    std::ranges::sort(room.slots);
    plan.holders[room.node->node] = std::move(room.slots);
  }
  return plan;
}

double HoldersPerRow(const std::vector<uint32_t>& experts_of_holder, uint32_t experts,
                     double chosen) {
  double sum = 0;
  for (const uint32_t held : experts_of_holder) {
    const double none = 1 - static_cast<double>(held) / std::max(experts, 1u);
    sum += 1 - std::pow(std::max(none, 0.0), chosen);
  }
  return sum;
}

ExpertCost CostOfExperts(const Problem& problem, const std::vector<ExpertLayer>& layers,
                         const ExpertHolding& holding, const std::map<uint32_t, NodeId>& stage_of,
                         uint32_t hidden, uint32_t hop_bytes) {
  ExpertCost cost;
  double up = 0;
  double down = 0;
  for (const ExpertLayer& layer : layers) {
    const auto at = stage_of.find(layer.block);
    const Volunteer* const stage =
        at == stage_of.end() ? nullptr : FindVolunteer(problem, at->second);
    if (stage == nullptr) continue;
    ++cost.layers;
    const double row_bytes = static_cast<double>(hidden) * hop_bytes;
    const auto experts = static_cast<uint32_t>(layer.group_bytes.size()) * layer.experts_per_group;
    const auto holders = HoldersOf(problem, layer, holding);
    std::vector<uint32_t> held;
    for (const auto& [holder, count] : holders) held.push_back(count);
    const double asked = HoldersPerRow(held, experts, layer.chosen);
    const Traffic traffic{.stage_bytes = asked * row_bytes, .holder_bytes = row_bytes};
    double slowest_trip = 0;
    double slowest_compute = 0;
    bool all_near = true;
    for (const auto& [holder, count] : holders) {
      slowest_trip = std::max(slowest_trip, RoundTrip(problem, *stage, *holder, traffic));
      slowest_compute = std::max(slowest_compute, ComputeSeconds(layer, *holder, count, experts));
      all_near = all_near && IsNear(*stage, *holder);
    }
    up += asked * (row_bytes + kRequestBytes) + layer.chosen * kChoiceBytes;
    down += asked * (row_bytes + kRequestBytes);
    cost.round_trips_s += slowest_trip;
    cost.compute_s += slowest_compute;
    if (!all_near) ++cost.layers_apart;
  }
  cost.bytes_up_per_token = static_cast<uint64_t>(up);
  cost.bytes_down_per_token = static_cast<uint64_t>(down);
  return cost;
}

}  // namespace shoal::planner
