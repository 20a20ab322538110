// A step: one node of the graph, planned and ready to run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/kernels/block_rows.h"
#include "engine/kv_cache.h"
#include "engine/parallel.h"
#include "engine/shape.h"

namespace shoal::engine {

// A number that the plan gives every value of the graph.
using ValueId = uint32_t;
inline constexpr ValueId kNoValue = UINT32_MAX;

// Where one row of a run stands.
struct RowPlace {
  KvCache* cache = nullptr;
  uint32_t position = 0;
};

// What the steps of one run share.
struct RunFrame {
  RunCounts counts;
  std::span<const RowPlace> rows;
  std::span<const int32_t> tokens;      // [rows], empty in a stage that takes hidden states.
  std::span<const int32_t> logit_rows;  // [selected], ascending.
  size_t tasks = 1;                     // Into how many a loop that needs scores is cut.
  size_t scores_per_task = 0;           // The largest AttentionScratch of any row.
  std::span<float> scores;              // Scratch: [tasks, scores_per_task].
  std::vector<float*> data;             // Of every value, by its id; null if it has no buffer.
  Parallel* parallel = nullptr;
  // Scratch: the rows of the value `block_rows_of` in int8, for products with q4 and q8 weights.
  BlockRows block_rows;
  ValueId block_rows_of = kNoValue;
};

// Reads the frame's data of its inputs and fills that of its output. Cannot fail: whatever could
// go wrong was refused when the step was planned, or before the run.
class Step {
 public:
  virtual ~Step() = default;
  virtual void Run(RunFrame& frame) const = 0;
};

}  // namespace shoal::engine
