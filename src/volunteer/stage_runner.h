// The executor of a native volunteer: a stage's graph and weights, loaded from files and run by the
// CPU engine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/parallel.h"
#include "engine/stage.h"
#include "store/stage_weights.h"
#include "volunteer/stage_fetch.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// Consecutive rows of one KV cache: `rows` positions from where it ends. `logit_rows` are indices
// into these rows, ascending, of those whose logits are wanted.
struct RowGroup {
  SessionId kv;
  uint32_t position = 0;
  uint32_t rows = 0;
  std::vector<uint32_t> logit_rows;
};

// The input of all groups, one after the other; one of the two is empty.
struct RunRequest {
  std::vector<RowGroup> groups;
  std::vector<int32_t> tokens;  // [rows]
  std::vector<float> hidden;    // [rows, the part's input width]
};

// In the order of the request's groups: [rows, the part's output width], or logits [logit_rows,
// vocab]. The KV cache of a group that failed is as it was before the stage's first part.
using RunResult = std::vector<Result<std::vector<float>>>;

// A stage whose experts are elsewhere runs in parts, one more than it has divided layers: the
// output of each but the last is [residual, routed, routes] of its layer, the input of each but
// the first [residual, routed where the part takes it, expert_sum].
//
// One call at a time, from any thread.
class StageRunner {
 public:
  // Builds the stage of a checked assignment and runs it once, so that nobody's first token waits
  // for what a first run needs. kInvalidArgument when the graph is not what `assign` says; else as
  // engine::Stage::Load. `parallel` must outlive the runner.
  static Result<std::unique_ptr<StageRunner>> Load(const wire::Assign& assign,
                                                   const StagePaths& paths,
                                                   engine::Parallel& parallel, bool exact);

  bool has_head() const { return parts_.back()->shape().gives_logits; }
  size_t parts() const { return parts_.size(); }
  // As the engine's.
  Status Open(SessionId kv, uint32_t capacity);
  Status Rollback(SessionId kv, uint32_t length);
  Status Release(SessionId kv);
  // All groups in one run; one by one only to find those that fail.
  RunResult Run(size_t part, const RunRequest& request);

 private:
  StageRunner() = default;
  Status WarmUp();
  Result<std::vector<std::vector<float>>> RunGroups(engine::Stage& stage,
                                                    std::span<const RowGroup> groups,
                                                    const engine::Input& input);

  std::unique_ptr<store::StageWeights> weights_;
  std::vector<std::unique_ptr<engine::Stage>> parts_;
};

}  // namespace shoal::volunteer
