// What a stage and a hop cost: every prediction of the planner is a sum or a maximum of these.
//
// Workload: P prompt tokens, A answer tokens, n sessions. The prompt is fed in k = ceil(P /
// chunk_rows) chunks of c = P / k rows. Decode steps carry r rows, one of each of r sessions, at
// the mean context p = P + A / 2. A volunteer v with span [a, b) needs, in seconds (cost_model.h):
//
//   step(v, r)  = fixed + s_per_byte * (W + r p KV) + s_per_flop * r (F + p G)
//   chunk(v)    = fixed + s_per_byte * (W + P/2 KV) + s_per_flop * c (F + P/2 G)
//
// with W weight bytes read and KV bytes per position, both in the form that v gets blocks in, F
// flops per token and G flops per token and position, summed over the span's blocks (last_row_only
// blocks: one row of a chunk instead of c).
//
// A message of m bytes from v to w (m = rows * hidden bytes of the cut + frame header; rows * 4 +
// header at either end of the model, where token ids travel) takes
//
//   relayed: latency_v + m / up_v + relay + latency_w + m / down_w       (store and forward)
//   direct:  latency_c + m / bytes_per_s_c                   (both in cluster c; if sooner)
//
// One token through the stages v1..vS:  T(r) = step(v1..vS, r) + hops + return by the coordinator.
// First token:  F = chunk(v1..vS) + hops of a chunk + return + (k - 1) * slowest chunk of any
// volunteer or link: chunks follow one another through the pipeline.
// Latency of a stream, seconds per answered token, is (F + (A - 1) T) / A, times 1 + the sum of
// recovery_s / stay_s over the route's volunteers (the part of the time lost to departures).
//
// Per answered token a volunteer is busy for u(v) = max of
//   compute  ((A-1) step(v, r) / r + k chunk(v)) / A
//   uplink   bytes sent per answered token / up_v     (its port in the cluster, where direct)
//   downlink bytes received per answered token / down_v
// and a route carries at most 1 / max u(v) tokens per second. See routes.h for routes together.
//
// Since step and chunk are linear in sums over blocks, both "latency" and "busy" time of a span are
// fixed * x + s_per_byte * (B[b] - B[a]) + s_per_flop * (C[b] - C[a]) with prefix sums B and C that
// depend on the workload, r and the form alone: Costs holds those.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "planner/problem.h"

namespace shoal::planner {

// Index of a volunteer in Problem::volunteers.
using Index = uint32_t;

// The rows of a step.
struct StepShape {
  double all;
  double last_only;  // Of blocks that run for the last row alone.
  double position;   // Mean context.
  double kv_reads;   // How often a position's KV is read: once per session.
};

class Costs {
 public:
  // `problem` must be valid and outlive this.
  explicit Costs(const Problem& problem);

  const Problem& problem() const { return *problem_; }
  uint32_t block_count() const { return block_count_; }
  Index volunteer_count() const { return static_cast<Index>(volunteers_.size()); }

  // Shapes are the row counts r considered: 1, 2, 4, ... up to min(sessions, rows_max).
  size_t shape_count() const { return shapes_.size(); }
  uint32_t Rows(size_t shape) const { return shapes_[shape].rows; }

  // Memory, in v's form. Monotone: what holds [a, b) holds any part of it.
  uint64_t BytesNeeded(Index v, uint32_t a, uint32_t b) const {
    return BytesNeeded(forms_[volunteers_[v].form], a, b);
  }
  // In the forms that need least and most, of those that volunteers have.
  uint64_t LeastBytesNeeded(uint32_t a, uint32_t b) const;
  uint64_t MostBytesNeeded(uint32_t a, uint32_t b) const;
  bool Fits(Index v, uint32_t a, uint32_t b) const {
    return BytesNeeded(v, a, b) <= volunteers_[v].memory;
  }
  // The farthest end of a span from `a` that fits; a if not even one block does.
  uint32_t FitEnd(Index v, uint32_t a) const;

  // Contribution of v's executor to the latency of a stream, s per answered token.
  double StageLatency(Index v, uint32_t a, uint32_t b, size_t shape) const {
    const std::vector<double>& bytes = FormOf(v).latency_bytes[shape];
    return Span(v, bytes, shapes_[shape].latency_flops, a, b) + volunteers_[v].fixed_s;
  }
  // Time for which v's executor is busy per answered token, s.
  double StageBusy(Index v, uint32_t a, uint32_t b, size_t shape) const {
    const Shape& s = shapes_[shape];
    const std::vector<double>& bytes = FormOf(v).busy_bytes[shape];
    return Span(v, bytes, s.busy_flops, a, b) + volunteers_[v].fixed_s * s.busy_fixed;
  }
  // Time of one prefill chunk, s.
  double StageChunk(Index v, uint32_t a, uint32_t b) const {
    return Span(v, FormOf(v).chunk_bytes, chunk_flops_, a, b) + volunteers_[v].fixed_s;
  }
  // One decode step of one row, s.
  double StageStep(Index v, uint32_t a, uint32_t b) const {
    return Span(v, FormOf(v).step_bytes, step_flops_, a, b) + volunteers_[v].fixed_s;
  }

  // Half-hops through the coordinator at a cut (0: before the first block, block_count(): behind
  // the last), contributions to the latency of a stream, s per answered token. The coordinator's
  // own time is part of RelayIn.
  double RelayOut(Index v, uint32_t cut, size_t shape) const {
    return volunteers_[v].latency_s + shapes_[shape].latency_message[cut] * volunteers_[v].s_per_up;
  }
  double RelayIn(Index v, uint32_t cut, size_t shape) const {
    return volunteers_[v].latency_s + problem_->network.relay_s +
           shapes_[shape].latency_message[cut] * volunteers_[v].s_per_down;
  }
  // A whole hop within a cluster (not kFar).
  double NearHop(uint32_t cluster, uint32_t cut, size_t shape) const {
    const Cluster& near = problem_->network.clusters[cluster - 1];
    return near.latency_s + shapes_[shape].latency_message[cut] / near.bytes_per_s;
  }
  bool AreNear(Index v, Index w) const {
    return volunteers_[v].cluster != kFar && volunteers_[v].cluster == volunteers_[w].cluster;
  }
  // Whether v sends to w directly at this cut: near, and not later than by the coordinator.
  bool GoesDirect(Index v, Index w, uint32_t cut) const {
    return AreNear(v, w) &&
           NearHop(volunteers_[v].cluster, cut, 0) <= RelayOut(v, cut, 0) + RelayIn(w, cut, 0);
  }
  // Seconds per byte of v's up link, down link, and of a port of its cluster.
  double UpSeconds(Index v) const { return volunteers_[v].s_per_up; }
  double DownSeconds(Index v) const { return volunteers_[v].s_per_down; }
  double NearSeconds(Index v) const {
    return 1 / problem_->network.clusters[volunteers_[v].cluster - 1].bytes_per_s;
  }
  double LatencySeconds(Index v) const { return volunteers_[v].latency_s; }
  uint32_t ClusterOf(Index v) const { return volunteers_[v].cluster; }
  // Bytes that cross a cut: per answered token, in one chunk, in one decode step of one row.
  double BusyMessage(uint32_t cut, size_t shape) const { return shapes_[shape].busy_message[cut]; }
  double ChunkMessage(uint32_t cut) const { return chunk_message_[cut]; }
  double StepMessage(uint32_t cut) const { return step_message_[cut]; }

  uint32_t chunks() const { return chunks_; }
  // Weight of the slowest chunk in the latency of a stream: (k - 1) / A.
  double chunk_share() const { return chunk_share_; }
  // Part of the time lost to v's departures.
  double ColdRisk(Index v) const { return volunteers_[v].cold_risk; }
  double WarmRisk(Index v) const { return volunteers_[v].warm_risk; }

  // Weight bytes of [a, b) that are not in v's cache, and the seconds its down link takes for them.
  double MissingBytes(Index v, uint32_t a, uint32_t b) const {
    const std::vector<double>& prefix = missing_[volunteers_[v].missing_at];
    return prefix[b] - prefix[a];
  }
  double LoadSeconds(Index v, uint32_t a, uint32_t b) const {
    return MissingBytes(v, a, b) * volunteers_[v].s_per_down;
  }
  // The factor by which loading worsens a plan: `slowest_s` on the slowest link, `bytes` in all.
  double LoadFactor(double slowest_s, double bytes) const {
    return 1 + LoadTime(slowest_s, bytes) / problem_->inertia.horizon_s;
  }
  double LoadTime(double slowest_s, double bytes) const {
    return std::max(slowest_s, bytes / problem_->network.coordinator_bytes_per_s);
  }

 private:
  struct Shape {
    uint32_t rows = 1;
    double busy_fixed = 1;
    std::vector<double> latency_flops, busy_flops;      // Prefix sums.
    std::vector<double> latency_message, busy_message;  // Per cut.
  };
  // Prefix sums of what depends on the form that blocks have at a volunteer.
  struct Form {
    std::vector<uint64_t> weights, kv;
    std::vector<double> chunk_bytes, step_bytes;
    std::vector<std::vector<double>> latency_bytes, busy_bytes;  // By shape.
    bool used = false;                                           // By a volunteer.
  };
  struct Known {
    double fixed_s, s_per_byte, s_per_flop;
    double latency_s, s_per_up, s_per_down;
    double cold_risk, warm_risk;
    uint64_t memory;
    uint32_t cluster;
    uint32_t form;        // Into forms_.
    uint32_t missing_at;  // Into missing_.
  };

  double Span(Index v, const std::vector<double>& bytes, const std::vector<double>& flops,
              uint32_t a, uint32_t b) const {
    const Known& known = volunteers_[v];
    return known.s_per_byte * (bytes[b] - bytes[a]) + known.s_per_flop * (flops[b] - flops[a]);
  }
  const Form& FormOf(Index v) const { return forms_[volunteers_[v].form]; }
  uint64_t BytesNeeded(const Form& form, uint32_t a, uint32_t b) const {
    return (form.weights[b] - form.weights[a]) * problem_->limits.weight_percent / 100 +
           (form.kv[b] - form.kv[a]) * problem_->limits.positions + problem_->limits.overhead_bytes;
  }
  StepShape ChunkRows() const;
  StepShape StepRows(double rows) const;
  void AddShape(uint32_t rows);
  void AddForm(const std::vector<BlockCost>& blocks);
  void AddVolunteer(const Volunteer& volunteer);
  double MessageBytes(uint32_t cut, double rows) const;

  const Problem* problem_;
  uint32_t block_count_;
  uint32_t chunks_;
  double chunk_rows_;
  double chunk_share_;
  std::vector<double> chunk_flops_, step_flops_;  // Prefix sums.
  std::vector<double> chunk_message_, step_message_;
  std::vector<Shape> shapes_;
  std::vector<Form> forms_;  // As BlocksOf() numbers them.
  std::vector<Known> volunteers_;
  std::vector<std::vector<double>> missing_;  // Prefix sums; at a form's number: of an empty cache.
};

}  // namespace shoal::planner
