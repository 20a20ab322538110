// What the planner is asked: a model's blocks, the volunteers that could hold them, the links
// between them, the work that is expected, and what counts as good. A Problem is a plain value;
// ValidateProblem() checks it, everything else in this room requires a valid one.
//
// Units: seconds, bytes, bytes per second, FLOPs (a multiply-add is two). They end the names.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "planner/cost_model.h"
#include "planner/plan.h"

namespace shoal::planner {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr size_t kBlocksMax = 4096;
inline constexpr size_t kFormsMax = 64;
inline constexpr size_t kVolunteersMax = 200'000;
inline constexpr uint32_t kRowsMax = 1024;
inline constexpr uint32_t kFar = 0;  // The cluster of a volunteer that is near nobody.

// A volunteer's path to the coordinator, and where it stands.
struct Link {
  double latency_s = 0.01;  // One way to or from the coordinator, half a round trip.
  double up_bytes_per_s = 1.25e6;
  double down_bytes_per_s = 6.25e6;
  uint32_t cluster = kFar;  // kFar or 1 + an index into Network::clusters.
};

// Volunteers that reach one another directly (one local network).
struct Cluster {
  double latency_s = 0.001;  // One way between two of them.
  double bytes_per_s = 5e7;  // Of each one's port.
};

struct Network {
  std::vector<Cluster> clusters;
  double relay_s = 0.0002;                  // The coordinator's own time per frame passed on.
  double coordinator_bytes_per_s = 1.25e8;  // Its port, each way.
  double frame_bytes = 64;                  // Header of a step frame.
};

struct Volunteer {
  NodeId node;
  uint64_t memory_bytes = 0;  // For weights, KV and buffers together.
  ExecutorSpeed speed;
  Link link;
  uint32_t form = 0;  // In which it gets blocks: 0: Problem::blocks, i: other_forms[i - 1].
  // Weight bytes of each block, in its form, that lie in its cache; blocks past the end: none.
  std::vector<uint64_t> cached_bytes;
  double stay_s = 1800;  // Mean time between its departures; infinity: never leaves.
};

// The work that is expected: `sessions` conversations at once, each a prompt and its answer.
struct Workload {
  uint32_t prompt_tokens = 256;
  uint32_t answer_tokens = 256;
  uint32_t sessions = 1;
  uint32_t chunk_rows = 128;  // Most rows of one prefill frame.
  uint32_t rows_max = 16;     // Most sessions in one decode step.
};

// What counts as good: score = latency^weight / throughput^(1 - weight), smaller is better, so
// that at weight 0.5 one percent of latency is worth one percent of throughput. Latency is that of
// one stream, seconds per answered token with the wait for the first one spread over the answer;
// throughput is answered tokens per second of all `sessions` together.
struct Objective {
  double latency_weight = 1;  // 1: latency of one stream; 0: throughput of many.
};

// What a departure costs those whose route it was on.
struct Churn {
  double cold_recovery_s = 20;  // No replica holds the span: load it, replay.
  double warm_recovery_s = 1;   // A replica holds it.
};

// Moving has to pay. Loading for D seconds counts as making the plan worse by the factor
// 1 + D / horizon_s; a running plan is only left for one that is better by min_gain after that.
struct Inertia {
  double horizon_s = 1800;  // Infinity: loading is free.
  double min_gain = 0.05;
};

struct Problem {
  std::vector<BlockCost> blocks;
  // The same blocks in other forms, of other weight_bytes and kv_bytes_per_position; the rest of
  // what they cost is the same.
  std::vector<std::vector<BlockCost>> other_forms;
  std::vector<Volunteer> volunteers;  // Node numbers differ.
  Network network;
  Workload workload;
  Objective objective;
  Churn churn;
  Inertia inertia;
  // stages_min applies to every pipeline; positions is the KV room that every stage must have
  // beside its weights, over all sessions that it may carry.
  Limits limits;
};

// The blocks in a volunteer's form.
const std::vector<BlockCost>& BlocksOf(const Problem& problem, uint32_t form);

// kInvalidArgument with the field and volunteer at fault: not finite, not positive, too many.
Status ValidateProblem(const Problem& problem);

}  // namespace shoal::planner
