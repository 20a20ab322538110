// A route of stages in this process: what a session's tokens pass through on a swarm, with the CPU
// engine as every stage's executor and the wire codec between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "cli/local_experts.h"
#include "engine/stage.h"
#include "store/pack.h"
#include "store/stage_weights.h"
#include "wire/frames.h"

namespace shoal::cli {

// Stage borders: [0, cuts[0]), [cuts[0], cuts[1]), ..., [cuts.back(), block_count).
// kInvalidArgument unless they ascend strictly within 1 to block_count - 1.
Status CheckCuts(std::span<const uint32_t> cuts, uint32_t block_count);

struct RouteOptions {
  wire::PayloadType hop = wire::PayloadType::kF32;  // How hidden states travel; or kF16.
  bool exact = false;                               // engine::StageOptions.
  engine::KvFormat kv_format = engine::KvFormat::kF32;
  // The pack's set of weights (store::StageVariant) of each stage; a single one: of all of them.
  std::vector<size_t> weights = {0};
  // Over how many pretend volunteers the experts of every layer are divided; 0: they are not.
  uint32_t expert_holders = 0;
};

// One session at a time.
class LocalRoute {
 public:
  // Joins, verifies and loads the stages for `positions` positions. The pack may go afterwards.
  // kInvalidArgument unless there is a set of weights for each stage, or one for all; experts that
  // are divided have one.
  static Result<LocalRoute> Load(const store::Pack& pack, std::span<const uint32_t> cuts,
                                 const RouteOptions& options, uint32_t positions);

  uint32_t vocab() const { return vocab_; }
  // Begins anew, with an empty KV cache.
  Status Reset();
  // Runs tokens at the next positions. Logits [wanted, vocab] of the last `wanted` of them.
  Result<std::vector<float>> Feed(std::span<const int32_t> tokens, size_t wanted);
  // The `count` most probable next tokens after `prompt`, decoded step by step from an empty cache.
  Result<std::vector<int32_t>> Greedy(std::span<const int32_t> prompt, uint32_t count);
  // Rows sent to each holder of experts so far.
  std::vector<uint64_t> ExpertRowsSent() const;

 private:
  struct LocalStage {
    std::unique_ptr<store::StageWeights> weights;
    std::vector<std::unique_ptr<engine::Stage>> parts;
    std::vector<store::StagePart> more;  // What each part but the first begins with.
  };
  LocalRoute() = default;
  // Runs a stage, with its experts where they are. Views the stage's last output.
  Result<engine::Output> RunStage(LocalStage& local, std::span<const engine::Row> rows,
                                  const engine::Input& input);
  // At most kChunkRows tokens.
  Status FeedChunk(std::span<const int32_t> tokens, size_t wanted, std::vector<float>& logits);

  std::vector<LocalStage> stages_;
  std::optional<LocalExperts> experts_;
  uint32_t hidden_ = 0;
  wire::PayloadType hop_ = wire::PayloadType::kF32;
  uint32_t vocab_ = 0;
  uint32_t positions_ = 0;
  uint32_t position_ = 0;  // The next token's.
  bool open_ = false;
};

// The index of the largest logit; the first of equals.
int32_t BestToken(std::span<const float> logits);

}  // namespace shoal::cli
