#include "volunteer/probe.h"

#include "volunteer/engine_timing.h"
#include "volunteer/random_stage.h"
#include "volunteer/thread_pool.h"

namespace shoal::volunteer {

namespace {

constexpr uint32_t kPrefillRows = 32;
constexpr uint32_t kSessions = 8;  // Of TimeStage's decode8_ms.

// Where the fit starts, and what it keeps where the runs leave something open.
constexpr planner::ExecutorSpeed kTypical = {
    .fixed_s = 2e-4, .s_per_byte = 1e-10, .s_per_flop = 3e-11};

RandomStageOptions Tiny() {
  return {.format = "q4",
          .layers = 1,
          .hidden = 256,
          .ffn = 512,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 64,
          .positions = 64};
}
RandomStageOptions Large() {
  return {.format = "q4",
          .layers = 2,
          .hidden = 1024,
          .ffn = 3072,
          .heads = 16,
          .kv_heads = 4,
          .head_size = 64,
          .positions = 64};
}

// Two for each weight that a row is multiplied with.
double FlopsPerRow(const RandomStageOptions& stage) {
  const size_t heads = 2 * stage.heads + 2 * stage.kv_heads;  // q and o, k and v.
  const size_t weights = stage.hidden * heads * stage.head_size + 3 * stage.hidden * stage.ffn;
  return 2.0 * static_cast<double>(weights * stage.layers);
}

Status Measure(const RandomStageOptions& shape, const ProbeOptions& options, ThreadPool& pool,
               std::vector<planner::StepTime>& runs) {
  RandomStage random(shape);
  ASSIGN_OR_RETURN(
      const auto stage,
      engine::Stage::Load(random.model, random, {.exact = options.exact, .parallel = &pool}));
  ASSIGN_OR_RETURN(const EngineTimes times, TimeStage(*stage, kPrefillRows));
  const auto bytes = static_cast<double>(stage->shape().weight_bytes);
  const double flops = FlopsPerRow(shape);
  runs.push_back({{bytes, flops}, times.decode_ms / 1e3});
  runs.push_back({{bytes, kSessions * flops}, times.decode8_ms / 1e3});
  runs.push_back({{bytes, times.prefill_rows * flops}, times.prefill_ms / 1e3});
  return {};
}

}  // namespace

Result<planner::ExecutorSpeed> ProbeEngine(const ProbeOptions& options) {
  ThreadPool pool(options.threads);
  std::vector<planner::StepTime> runs;
  RETURN_IF_ERROR(Measure(Tiny(), options, pool, runs));
  RETURN_IF_ERROR(Measure(Large(), options, pool, runs));
  return planner::FitProbe(runs, kTypical);
}

std::vector<wire::Measure> ProbeMeasures(const ProbeOptions& options) {
  const auto speed = ProbeEngine(options);
  if (!speed) return {};
  std::vector<wire::Measure> measures;
  if (speed->fixed_s > 0) measures.push_back({"probe.fixed_ms", 1e3 * speed->fixed_s});
  if (speed->s_per_byte > 0) measures.push_back({"probe.gb_per_s", 1e-9 / speed->s_per_byte});
  if (speed->s_per_flop > 0) measures.push_back({"probe.gflops", 1e-9 / speed->s_per_flop});
  return measures;
}

}  // namespace shoal::volunteer
