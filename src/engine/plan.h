// From a graph to a list of steps.
//
// The plan gives every computed value a shape in terms of the rows of a run, a step that computes
// it, and a buffer; values whose lives do not overlap share buffers. All that can be wrong with a
// graph is found here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/kv_cache.h"
#include "engine/shape.h"
#include "engine/stage.h"
#include "engine/step.h"
#include "engine/weights.h"
#include "onnx/model.h"

namespace shoal::engine {

// How large a buffer must be: the largest of these three, in floats.
struct BufferSize {
  uint64_t fixed = 0;
  uint64_t per_row = 0;
  uint64_t per_selected = 0;

  void Cover(const Extent& count);
  uint64_t In(const RunCounts& counts) const;
};

inline constexpr uint32_t kNoBuffer = UINT32_MAX;

// Values of rows: [rows, width] in a buffer.
struct RowBuffer {
  uint32_t buffer = kNoBuffer;
  uint32_t width = 0;
};

struct Plan {
  Plan();
  ~Plan();
  Plan(Plan&&);
  Plan& operator=(Plan&&);

  StageShape shape;
  KvLayout kv_layout;
  WeightTable weights;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<BufferSize> buffers;
  // By value: which buffer it lies in, or kNoBuffer.
  std::vector<uint32_t> buffer_of;
  // Where the values of a row come in, in their order; none if the stage takes tokens.
  std::vector<RowBuffer> inputs;
  std::vector<RowBuffer> outputs;
  // Of the attention's heads.
  size_t head_size_max = 0;
  // What one row takes in int8, at most.
  uint64_t block_row_bytes = 0;
};

// Errors as Stage::Load has them.
Result<Plan> MakePlan(const onnx::Model& model, WeightSource& source, const StageOptions& options);

}  // namespace shoal::engine
