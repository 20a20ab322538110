// Routes of one holder per stage: the formulas of latency_model.h, summed.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "planner/routes.h"

namespace shoal::planner {

namespace {

// The largest of chunk times over volunteers and links.
double SlowestChunk(const Costs& costs, const Chain& chain) {
  double slowest = 0;
  for (size_t i = 0; i < chain.size(); ++i) {
    const auto& [v, span] = chain[i];
    slowest = std::max(slowest, costs.StageChunk(v, span.first, span.last));
    if (i + 1 == chain.size()) break;
    const double bytes = costs.ChunkMessage(span.last);
    if (costs.GoesDirect(v, chain[i + 1].volunteer, span.last)) {
      slowest = std::max(slowest, bytes * costs.NearSeconds(v));
    } else {
      slowest = std::max(slowest, bytes * costs.UpSeconds(v));
      slowest = std::max(slowest, bytes * costs.DownSeconds(chain[i + 1].volunteer));
    }
  }
  return slowest;
}

// Hops of messages whose bytes per cut `message` gives, the way in and the way back included.
template <typename Message>
double HopSeconds(const Costs& costs, const Chain& chain, const Message& message) {
  const double relay_s = costs.problem().network.relay_s;
  const Index first = chain.front().volunteer;
  const Index last = chain.back().volunteer;
  double total = costs.LatencySeconds(first) + relay_s + message(0) * costs.DownSeconds(first) +
                 costs.LatencySeconds(last) + message(costs.block_count()) * costs.UpSeconds(last);
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    const Index v = chain[i].volunteer;
    const Index w = chain[i + 1].volunteer;
    const uint32_t cut = chain[i].span.last;
    if (costs.GoesDirect(v, w, cut)) {
      const Cluster& near = costs.problem().network.clusters[costs.ClusterOf(v) - 1];
      total += near.latency_s + message(cut) / near.bytes_per_s;
    } else {
      total += costs.LatencySeconds(v) + message(cut) * costs.UpSeconds(v) + relay_s +
               costs.LatencySeconds(w) + message(cut) * costs.DownSeconds(w);
    }
  }
  return total;
}

// Latency without chunks and risk, and the busiest resource, for one shape.
struct Sums {
  double latency_s = 0;
  double busiest_s = 0;
  double relay_bytes = 0;
};

Sums SumUp(const Costs& costs, const Chain& chain, size_t shape) {
  Sums sums;
  sums.latency_s = costs.RelayIn(chain.front().volunteer, 0, shape) +
                   costs.RelayOut(chain.back().volunteer, costs.block_count(), shape);
  sums.relay_bytes = costs.BusyMessage(0, shape);
  const auto use = [&](double seconds) { sums.busiest_s = std::max(sums.busiest_s, seconds); };
  use(costs.BusyMessage(0, shape) * costs.DownSeconds(chain.front().volunteer));
  use(costs.BusyMessage(costs.block_count(), shape) * costs.UpSeconds(chain.back().volunteer));
  for (size_t i = 0; i < chain.size(); ++i) {
    const auto& [v, span] = chain[i];
    sums.latency_s += costs.StageLatency(v, span.first, span.last, shape);
    use(costs.StageBusy(v, span.first, span.last, shape));
    if (i + 1 == chain.size()) break;
    const Index w = chain[i + 1].volunteer;
    const double bytes = costs.BusyMessage(span.last, shape);
    if (costs.GoesDirect(v, w, span.last)) {
      sums.latency_s += costs.NearHop(costs.ClusterOf(v), span.last, shape);
      use(bytes * costs.NearSeconds(v));
    } else {
      sums.latency_s += costs.RelayOut(v, span.last, shape) + costs.RelayIn(w, span.last, shape);
      use(bytes * costs.UpSeconds(v));
      use(bytes * costs.DownSeconds(w));
      sums.relay_bytes += bytes;
    }
  }
  return sums;
}

}  // namespace

Background::Figures EvaluateChain(const Costs& costs, const Chain& chain) {
  Background::Figures figures;
  figures.score = figures.effective = kInfinity;
  if (chain.empty()) return figures;
  const double chunk = costs.chunk_share() * SlowestChunk(costs, chain);
  double risk = 1;
  double slowest_s = 0;
  for (const auto& [v, span] : chain) {
    risk += costs.ColdRisk(v);
    slowest_s = std::max(slowest_s, costs.LoadSeconds(v, span.first, span.last));
    figures.load_bytes += costs.MissingBytes(v, span.first, span.last);
  }
  const double sessions = costs.problem().workload.sessions;
  const double port = costs.problem().network.coordinator_bytes_per_s;
  for (size_t shape = 0; shape < costs.shape_count(); ++shape) {
    const Sums sums = SumUp(costs, chain, shape);
    const double latency = (sums.latency_s + chunk) * risk;
    const double rate =
        std::min({1 / (sums.busiest_s * risk), sessions / latency, port / sums.relay_bytes});
    if (shape == 0) figures.latency_s = latency;
    if (rate > figures.throughput) {
      figures.throughput = rate;
      figures.shape = shape;
    }
  }
  figures.load_s = costs.LoadTime(slowest_s, figures.load_bytes);
  figures.score = ScoreOf(costs, figures.latency_s, figures.throughput);
  figures.effective = figures.score * costs.LoadFactor(slowest_s, figures.load_bytes);
  return figures;
}

Route ChainRoute(const Costs& costs, const Chain& chain, size_t shape) {
  double risk = 1;
  for (const ChainStage& stage : chain) risk += costs.ColdRisk(stage.volunteer);
  const Sums sums = SumUp(costs, chain, shape);
  return {(sums.latency_s + costs.chunk_share() * SlowestChunk(costs, chain)) * risk,
          1 / (sums.busiest_s * risk), sums.relay_bytes};
}

double ScoreOf(const Costs& costs, double latency_s, double throughput) {
  const double weight = costs.problem().objective.latency_weight;
  if (weight == 1) return latency_s;
  if (weight == 0) return 1 / throughput;
  return std::exp(weight * std::log(latency_s) - (1 - weight) * std::log(throughput));
}

DraftPipeline ToPipeline(const Chain& chain) {
  DraftPipeline pipeline;
  pipeline.reserve(chain.size());
  for (const auto& [v, span] : chain) pipeline.push_back({span, {v}});
  return pipeline;
}

double TokenSeconds(const Costs& costs, const Chain& chain) {
  double total = HopSeconds(costs, chain, [&](uint32_t cut) { return costs.StepMessage(cut); });
  for (const auto& [v, span] : chain) total += costs.StageStep(v, span.first, span.last);
  return total;
}

double FirstTokenSeconds(const Costs& costs, const Chain& chain) {
  double total = HopSeconds(costs, chain, [&](uint32_t cut) { return costs.ChunkMessage(cut); });
  for (const auto& [v, span] : chain) total += costs.StageChunk(v, span.first, span.last);
  return total + (costs.chunks() - 1) * SlowestChunk(costs, chain);
}

}  // namespace shoal::planner
