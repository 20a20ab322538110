// The words of planning: blocks, spans, limits, and the simple plan of divide.h (one pipeline, by
// memory alone). The planner proper works on problem.h and gives a PoolPlan (pool_plan.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace shoal::planner {

// Consecutive blocks [first, last).
struct Span {
  uint32_t first = 0;
  uint32_t last = 0;

  bool empty() const { return first == last; }
  uint32_t size() const { return last - first; }
  bool operator==(const Span&) const = default;
};

// What one block needs of the device that holds it, and what it asks of it. Blocks are a chain; a
// layer's experts count into their layer's block.
struct BlockCost {
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes_per_position = 0;
  // One row (token) at position p takes flops_per_token + p * flops_per_token_position.
  double flops_per_token = 0;
  double flops_per_token_position = 0;  // Attention over what came before.
  // Of one row that crosses the cut behind this block (hidden size times activation bytes). The
  // last block's does not count: a token id leaves it.
  uint64_t hidden_bytes = 0;
  // A prompt's chunk runs the block for its last row alone (the head: logits of one row).
  bool last_row_only = false;
  // Part of the weights that a step reads: 0 for an embedding's table, of which it looks up rows.
  double read_fraction = 1;
  bool operator==(const BlockCost&) const = default;
};

struct Device {
  NodeId node;
  uint64_t memory_bytes = 0;  // For weights, KV and buffers together.
  Span held;                  // What it holds now; empty when nothing.
  // What blocks cost there, if that differs: as many as there are, and to outlive the call.
  const std::vector<BlockCost>* blocks = nullptr;
};

struct Stage {
  NodeId node;
  Span span;
  bool operator==(const Stage&) const = default;
};

struct Plan {
  std::vector<Stage> stages;     // In order of blocks, covering all of them; empty: no plan.
  uint64_t missing_bytes = 0;    // Memory that is lacking when there is no plan for want of memory.
  uint32_t missing_devices = 0;  // Devices lacking to reach the fewest stages asked for.
  bool complete() const { return !stages.empty(); }
};

// What a volunteer's memory holds beside its blocks, whatever the executor; docs/planner.md.
inline constexpr uint64_t kExecutorOverheadBytes = 48u << 20;
inline constexpr uint32_t kWeightPercent = 110;

struct Limits {
  uint32_t stages_min = 1;        // At least this many stages, on as many devices.
  uint32_t positions = 0;         // KV room that every stage must have beside its weights.
  uint64_t overhead_bytes = 0;    // Of the executor itself, per device.
  uint32_t weight_percent = 100;  // Memory for weights, relative to their bytes.
};

// Memory that `span` needs on one device.
uint64_t BytesNeeded(const std::vector<BlockCost>& blocks, Span span, const Limits& limits);

}  // namespace shoal::planner
