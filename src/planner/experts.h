// Which volunteers hold the experts of divided layers. A group of one layer's experts is the
// smallest thing that is placed, `block.group`; whoever holds groups holds no stage, so that a
// stage's device is free to route while others compute.
//
// Physics: every divided layer is a round trip between its stage's device and the holders, which
// all of a token's layers wait for one after the other. Within one local network that is a
// millisecond; over the coordinator it is both sides' latency, there and back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "planner/problem.h"

namespace shoal::planner {

// A layer whose experts can lie elsewhere.
struct ExpertLayer {
  uint32_t block = 0;
  BlockCost own;                      // Of the block without its experts.
  std::vector<uint64_t> group_bytes;  // Of each group's weights.
  double chosen = 1;                  // Experts that a row chooses ...
  double flops_per_expert = 0;        // ... and what each costs.
  uint32_t experts_per_group = 1;
};

struct ExpertSlot {
  uint32_t block = 0;
  uint32_t group = 0;
  auto operator<=>(const ExpertSlot&) const = default;
};

// Ascending slots by who holds them.
using ExpertHolding = std::map<NodeId, std::vector<ExpertSlot>>;

struct ExpertNode {
  NodeId node;
  uint64_t memory_bytes = 0;  // For weights and buffers.
  uint32_t cluster = kFar;
  double latency_s = 0;          // To the coordinator, one way.
  std::vector<ExpertSlot> held;  // Now: stays where it can.
};

struct ExpertLimits {
  uint32_t holders_min = 1;  // Of every layer, as far as it has groups.
  uint64_t overhead_bytes = 0;
  uint32_t weight_percent = 100;  // Memory for weights, relative to their bytes.
  bool may_move = false;          // Held groups, where too few hold a layer.
};

struct ExpertPlan {
  ExpertHolding holders;
  uint64_t missing_bytes = 0;    // That fit nowhere; 0: the plan is whole.
  uint32_t missing_holders = 0;  // To reach holders_min.
  bool complete() const { return missing_bytes == 0 && missing_holders == 0; }
};

// Places every group of `layers`. What is held stays, but for what `may_move`; what is not goes,
// layer by layer, to one cluster if the layer fits into what is free there, and within it first to
// nodes that hold nothing, since a working holder pauses while it loads. Deterministic.
ExpertPlan PlaceExperts(const std::vector<ExpertLayer>& layers, std::vector<ExpertNode> nodes,
                        const ExpertLimits& limits);

// What divided layers add to every token, all of them together.
struct ExpertCost {
  uint32_t layers = 0;
  uint32_t layers_apart = 0;        // Of which the holders are not all in their stage's network.
  double round_trips_s = 0;         // Of one token, through all layers.
  double compute_s = 0;             // Of the slowest holder of each, for one row.
  uint64_t bytes_up_per_token = 0;  // From stages to holders, of all layers.
  uint64_t bytes_down_per_token = 0;
};

// `stage_of`: the node that has a block's router. Expects one row a step; `hop_bytes` a value.
ExpertCost CostOfExperts(const Problem& problem, const std::vector<ExpertLayer>& layers,
                         const ExpertHolding& holding, const std::map<uint32_t, NodeId>& stage_of,
                         uint32_t hidden, uint32_t hop_bytes);

// How many of `holders` a row is expected to need, which hold these numbers of a layer's experts
// and of which a row chooses `chosen` without preference.
double HoldersPerRow(const std::vector<uint32_t>& experts_of_holder, uint32_t experts,
                     double chosen);

}  // namespace shoal::planner
