// The best chain by trying all of them: an oracle for tests, written apart from the search.
#pragma once

#include <algorithm>
#include <array>

#include "planner/routes.h"

namespace shoal::planner {

// Depth first over every order of every subset of the volunteers and every cut, with sums and
// maxima carried along. A branch is left when what it has cost so far already exceeds the best
// whole chain, which loses nothing since every further stage only adds.
class ChainOracle {
 public:
  explicit ChainOracle(const Costs& costs) : costs_(costs) {}

  double Best() {
    State start;
    Try(start, 0);
    return best_;
  }
  const Chain& chain() const { return best_chain_; }

 private:
  struct State {
    uint32_t used = 0;
    uint32_t stages = 0;
    std::array<double, kShapesMax> latency{}, busy{}, relay{};
    double chunk = 0, risk = 1, slowest_s = 0, bytes = 0;
  };

  double Effective(const State& state) const {
    const Workload& work = costs_.problem().workload;
    const double chunk = costs_.chunk_share() * state.chunk;
    double throughput = 0;
    for (size_t s = 0; s < costs_.shape_count(); ++s) {
      const double latency = (state.latency[s] + chunk) * state.risk;
      throughput =
          std::max(throughput,
                   std::min({1 / (state.busy[s] * state.risk), work.sessions / latency,
                             costs_.problem().network.coordinator_bytes_per_s / state.relay[s]}));
    }
    return ScoreOf(costs_, (state.latency[0] + chunk) * state.risk, throughput) *
           costs_.LoadFactor(state.slowest_s, state.bytes);
  }

  void Try(const State& state, uint32_t at) {
    const uint32_t blocks = costs_.block_count();
    if (at == blocks) return Finish(state);
    if (state.stages > 0 && Effective(state) >= best_) return;
    for (Index v = 0; v < costs_.volunteer_count(); ++v) {
      if ((state.used >> v & 1) != 0) continue;
      State entered = state;
      Enter(entered, v, at);
      for (uint32_t end = at + 1; end <= blocks && costs_.Fits(v, at, end); ++end) {
        State next = entered;
        next.used |= 1u << v;
        ++next.stages;
        next.chunk = std::max(next.chunk, costs_.StageChunk(v, at, end));
        next.risk += costs_.ColdRisk(v);
        next.slowest_s = std::max(next.slowest_s, costs_.LoadSeconds(v, at, end));
        next.bytes += costs_.MissingBytes(v, at, end);
        for (size_t s = 0; s < costs_.shape_count(); ++s) {
          next.latency[s] += costs_.StageLatency(v, at, end, s);
          next.busy[s] = std::max(next.busy[s], costs_.StageBusy(v, at, end, s));
        }
        chain_.push_back({v, {at, end}});
        Try(next, end);
        chain_.pop_back();
      }
    }
  }

  // The hop to v at the cut, from the last of chain_ or from the coordinator.
  void Enter(State& state, Index v, uint32_t cut) const {
    const bool first = chain_.empty();
    const Index u = first ? v : chain_.back().volunteer;
    const bool direct = !first && costs_.GoesDirect(u, v, cut);
    const auto chunk = [&](double seconds) { state.chunk = std::max(state.chunk, seconds); };
    if (direct) {
      chunk(costs_.ChunkMessage(cut) * costs_.NearSeconds(v));
    } else if (!first) {
      chunk(costs_.ChunkMessage(cut) * costs_.UpSeconds(u));
      chunk(costs_.ChunkMessage(cut) * costs_.DownSeconds(v));
    }
    for (size_t s = 0; s < costs_.shape_count(); ++s) {
      const double bytes = costs_.BusyMessage(cut, s);
      if (direct) {
        state.latency[s] += costs_.NearHop(costs_.ClusterOf(v), cut, s);
        state.busy[s] = std::max(state.busy[s], bytes * costs_.NearSeconds(v));
        continue;
      }
      state.relay[s] += bytes;
      state.latency[s] += costs_.RelayIn(v, cut, s);
      state.busy[s] = std::max(state.busy[s], bytes * costs_.DownSeconds(v));
      if (first) continue;
      state.latency[s] += costs_.RelayOut(u, cut, s);
      state.busy[s] = std::max(state.busy[s], bytes * costs_.UpSeconds(u));
    }
  }

  void Finish(State state) {
    const uint32_t blocks = costs_.block_count();
    if (state.stages < std::clamp(costs_.problem().limits.stages_min, 1u, blocks)) return;
    const Index last = chain_.back().volunteer;
    for (size_t s = 0; s < costs_.shape_count(); ++s) {
      state.latency[s] += costs_.RelayOut(last, blocks, s);
      state.busy[s] =
          std::max(state.busy[s], costs_.BusyMessage(blocks, s) * costs_.UpSeconds(last));
    }
    const double effective = Effective(state);
    if (effective >= best_) return;
    best_ = effective;
    best_chain_ = chain_;
  }

  const Costs& costs_;
  Chain chain_, best_chain_;
  double best_ = kInfinity;
};

}  // namespace shoal::planner
