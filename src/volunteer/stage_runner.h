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
  std::vector<float> hidden;    // [rows, hidden size]
};

// In the order of the request's groups: hidden states [rows, hidden size], or logits [logit_rows,
// vocab]. A group that failed has left its KV cache as it was.
using RunResult = std::vector<Result<std::vector<float>>>;

// What whoever lends chooses of the engine.
struct EngineChoices {
  bool exact = false;  // Float activations for q4 and q8 weights.
  engine::KvFormat kv_format = engine::KvFormat::kF32;
};

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

  bool has_head() const { return stage_->shape().gives_logits; }
  // As the engine's.
  Status Open(SessionId kv, uint32_t capacity) { return stage_->Open(kv, capacity); }
  Status Rollback(SessionId kv, uint32_t length) { return stage_->Rollback(kv, length); }
  Status Release(SessionId kv) { return stage_->Release(kv); }
  Result<ByteVector> ExportKv(SessionId kv, uint32_t from, uint32_t to) const {
    return stage_->ExportKv(kv, from, to);
  }
  Status ImportKv(SessionId kv, uint32_t from, uint32_t to, Bytes bytes) {
    return stage_->ImportKv(kv, from, to, bytes);
  }
  // `to` has the first `positions` positions of `from` then, and nothing else.
  Status CopyKv(SessionId from, SessionId to, uint32_t positions);
  // All groups in one run; one by one only to find those that fail.
  RunResult Run(const RunRequest& request);

 private:
  StageRunner() = default;
  Status WarmUp();
  Result<std::vector<std::vector<float>>> RunGroups(std::span<const RowGroup> groups,
                                                    const engine::Input& input);

  std::unique_ptr<store::StageWeights> weights_;
  std::unique_ptr<engine::Stage> stage_;
};

}  // namespace shoal::volunteer
