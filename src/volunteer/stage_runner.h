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

// What whoever lends chooses of the engine.
struct EngineChoices {
  bool exact = false;  // Float activations for q4 and q8 weights.
  engine::KvFormat kv_format = engine::KvFormat::kF32;
};

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
                                                   engine::Parallel& parallel,
                                                   const EngineChoices& choices);

  bool has_head() const { return parts_.back()->shape().gives_logits; }
  size_t parts() const { return parts_.size(); }
  // As the engine's.
  Status Open(SessionId kv, uint32_t capacity);
  Status Rollback(SessionId kv, uint32_t length);
  Status Release(SessionId kv);
  // Of all parts together, no step being under way.
  Result<ByteVector> ExportKv(SessionId kv, uint32_t from, uint32_t to) const;
  Status ImportKv(SessionId kv, uint32_t from, uint32_t to, Bytes bytes);
  // `to` has the first `positions` positions of `from` then, and nothing else.
  Status CopyKv(SessionId from, SessionId to, uint32_t positions);
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
  std::vector<uint64_t> kv_bytes_;  // Of each part: what a position of a session is, as float32.
};

}  // namespace shoal::volunteer
