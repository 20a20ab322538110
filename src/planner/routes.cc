#include "planner/routes.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::planner {

namespace {

constexpr double kExhausted = 1e-9;  // Of a volunteer's time: nothing worth a route.
// A replica more times slower than this is no warm spare: everybody would wait for it.
constexpr double kWarmSlower = 4;

struct Holder {
  Index v = 0;
  double latency_s = 0;
  double busy_s = 0;
  double chunk_s = 0;
  double risk = 0;
  double left = 1;  // Part of its time that no route uses.
  // Of the search for the fastest route.
  double reached_s = kInfinity;
  size_t from = 0;
};

// Finds a pipeline's routes for one shape after another.
class RouteFinder {
 public:
  RouteFinder(const Costs& costs, const DraftPipeline& pipeline)
      : costs_(costs), pipeline_(pipeline), stages_(pipeline.size()), path_(pipeline.size()) {}

  void Find(size_t shape, std::vector<Route>& out) {
    Prepare(shape);
    while (FindPath(shape)) {
      const Route route = TakePath(shape);
      out.push_back(route);
    }
  }

  // The fastest route of one row.
  Chain Fastest() {
    Prepare(0);
    CHECK(FindPath(0));
    Chain chain;
    for (size_t s = 0; s < stages_.size(); ++s) {
      chain.push_back({stages_[s][path_[s]].v, pipeline_[s].span});
    }
    return chain;
  }

 private:
  void Prepare(size_t shape) {
    for (size_t s = 0; s < pipeline_.size(); ++s) {
      const auto& [span, holders] = pipeline_[s];
      stages_[s].assign(holders.size(), {});
      for (size_t h = 0; h < holders.size(); ++h) {
        Holder& holder = stages_[s][h];
        holder.v = holders[h];
        holder.latency_s = costs_.StageLatency(holder.v, span.first, span.last, shape);
        holder.busy_s = costs_.StageBusy(holder.v, span.first, span.last, shape);
        holder.chunk_s = costs_.StageChunk(holder.v, span.first, span.last);
      }
      for (Holder& holder : stages_[s]) {
        const bool warm = std::ranges::any_of(stages_[s], [&](const Holder& other) {
          return other.v != holder.v && other.busy_s <= kWarmSlower * holder.busy_s;
        });
        holder.risk = warm ? costs_.WarmRisk(holder.v) : costs_.ColdRisk(holder.v);
      }
    }
  }

  // The fastest route over holders that have time left; false if there is none.
  bool FindPath(size_t shape) {
    for (size_t s = 0; s < stages_.size(); ++s) {
      const uint32_t cut = pipeline_[s].span.first;
      // Over the coordinator the way out and the way in add up, so only one sender matters.
      double relayed = kInfinity;
      size_t relayed_from = 0;
      if (s > 0) {
        for (size_t g = 0; g < stages_[s - 1].size(); ++g) {
          const Holder& sender = stages_[s - 1][g];
          const double at = sender.reached_s + costs_.RelayOut(sender.v, cut, shape);
          if (at < relayed) {
            relayed = at;
            relayed_from = g;
          }
        }
      } else {
        relayed = 0;
      }
      for (Holder& holder : stages_[s]) {
        holder.reached_s = kInfinity;
        if (holder.left <= kExhausted) continue;
        double best = relayed + costs_.RelayIn(holder.v, cut, shape);
        holder.from = relayed_from;
        if (s > 0 && costs_.ClusterOf(holder.v) != kFar) {
          for (size_t g = 0; g < stages_[s - 1].size(); ++g) {
            const Holder& sender = stages_[s - 1][g];
            if (sender.reached_s == kInfinity || !costs_.GoesDirect(sender.v, holder.v, cut)) {
              continue;
            }
            const double at =
                sender.reached_s + costs_.NearHop(costs_.ClusterOf(holder.v), cut, shape);
            if (at < best) {
              best = at;
              holder.from = g;
            }
          }
        }
        holder.reached_s = best + holder.latency_s;
      }
    }
    double best = kInfinity;
    for (size_t h = 0; h < stages_.back().size(); ++h) {
      const Holder& holder = stages_.back()[h];
      const double at = holder.reached_s + costs_.RelayOut(holder.v, costs_.block_count(), shape);
      if (at < best) {
        best = at;
        path_.back() = h;
      }
    }
    for (size_t s = stages_.size(); s-- > 1;) path_[s - 1] = stages_[s][path_[s]].from;
    path_seconds_ = best;
    return best < kInfinity;
  }

  // Loads the path with as many tokens as it carries.
  Route TakePath(size_t shape) {
    Route route;
    route.relay_bytes = costs_.BusyMessage(0, shape);
    use_.assign(stages_.size(), 0);
    double chunk = 0;
    double risk = 1;
    const auto use = [&](size_t s, double seconds) { use_[s] = std::max(use_[s], seconds); };
    use(0, costs_.BusyMessage(0, shape) * costs_.DownSeconds(At(0).v));
    use(stages_.size() - 1, costs_.BusyMessage(costs_.block_count(), shape) *
                                costs_.UpSeconds(At(stages_.size() - 1).v));
    for (size_t s = 0; s < stages_.size(); ++s) {
      const Holder& holder = At(s);
      use(s, holder.busy_s);
      chunk = std::max(chunk, holder.chunk_s);
      risk += holder.risk;
      if (s + 1 == stages_.size()) break;
      const Index w = At(s + 1).v;
      const uint32_t cut = pipeline_[s].span.last;
      const double bytes = costs_.BusyMessage(cut, shape);
      const double chunk_bytes = costs_.ChunkMessage(cut);
      if (costs_.GoesDirect(holder.v, w, cut)) {
        const double port = costs_.NearSeconds(holder.v);
        use(s, bytes * port);
        use(s + 1, bytes * port);
        chunk = std::max(chunk, chunk_bytes * port);
      } else {
        use(s, bytes * costs_.UpSeconds(holder.v));
        use(s + 1, bytes * costs_.DownSeconds(w));
        chunk = std::max(
            {chunk, chunk_bytes * costs_.UpSeconds(holder.v), chunk_bytes * costs_.DownSeconds(w)});
        route.relay_bytes += bytes;
      }
    }
    route.rate = kInfinity;
    for (size_t s = 0; s < stages_.size(); ++s) {
      route.rate = std::min(route.rate, At(s).left / (use_[s] * risk));
    }
    for (size_t s = 0; s < stages_.size(); ++s) {
      Holder& holder = stages_[s][path_[s]];
      holder.left -= route.rate * use_[s] * risk;
    }
    route.latency_s = (path_seconds_ + costs_.chunk_share() * chunk) * risk;
    return route;
  }

  const Holder& At(size_t s) const { return stages_[s][path_[s]]; }

  const Costs& costs_;
  const DraftPipeline& pipeline_;
  std::vector<std::vector<Holder>> stages_;
  std::vector<size_t> path_;  // Holder taken in each stage.
  std::vector<double> use_;
  double path_seconds_ = 0;
};

bool IsFaster(const Route& a, const Route& b) { return a.latency_s < b.latency_s; }

}  // namespace

RouteSet RoutesOf(const Costs& costs, const DraftPipeline& pipeline) {
  CHECK(!pipeline.empty() && costs.shape_count() <= kShapesMax);
  RouteSet set;
  RouteFinder finder(costs, pipeline);
  for (size_t shape = 0; shape < costs.shape_count(); ++shape) {
    finder.Find(shape, set.routes);
    const auto begin = set.routes.begin() + set.begin[shape];
    std::sort(begin, set.routes.end(), IsFaster);
    set.begin[shape + 1] = static_cast<uint32_t>(set.routes.size());
  }
  for (const DraftStage& stage : pipeline) {
    for (const Index v : stage.holders) {
      set.load_slowest_s =
          std::max(set.load_slowest_s, costs.LoadSeconds(v, stage.span.first, stage.span.last));
      set.load_bytes += costs.MissingBytes(v, stage.span.first, stage.span.last);
    }
  }
  return set;
}

namespace {
double ScoreOfSet(const Costs& costs, const RouteSet& routes) {
  double rate = 0;
  for (const Route& route : routes.Of(costs.shape_count() - 1)) rate += route.rate;
  return ScoreOf(costs, routes.Of(0).front().latency_s, rate);
}
}  // namespace

double PipelineScore(const Costs& costs, const DraftPipeline& pipeline) {
  return ScoreOfSet(costs, RoutesOf(costs, pipeline));
}

double PipelineEffective(const Costs& costs, const DraftPipeline& pipeline) {
  const RouteSet routes = RoutesOf(costs, pipeline);
  return ScoreOfSet(costs, routes) * costs.LoadFactor(routes.load_slowest_s, routes.load_bytes);
}

Chain FastestRoute(const Costs& costs, const DraftPipeline& pipeline) {
  return RouteFinder(costs, pipeline).Fastest();
}

Background::Background(const Costs& costs, std::span<const RouteSet* const> sets) {
  for (const RouteSet* set : sets) {
    for (size_t shape = 0; shape < costs.shape_count(); ++shape) {
      const std::span<const Route> routes = set->Of(shape);
      merged_[shape].insert(merged_[shape].end(), routes.begin(), routes.end());
    }
    load_slowest_s_ = std::max(load_slowest_s_, set->load_slowest_s);
    load_bytes_ += set->load_bytes;
  }
  for (std::vector<Route>& routes : merged_) {
    std::ranges::sort(routes, IsFaster);
  }
}

Background::Figures Background::With(const Costs& costs,
                                     std::span<const RouteSet* const> changed) const {
  Figures figures;
  figures.latency_s = kInfinity;
  std::vector<Route> extra;
  for (size_t shape = 0; shape < costs.shape_count(); ++shape) {
    extra.clear();
    for (const RouteSet* set : changed) {
      const std::span<const Route> routes = set->Of(shape);
      extra.insert(extra.end(), routes.begin(), routes.end());
    }
    if (changed.size() > 1) std::ranges::sort(extra, IsFaster);
    double sessions = costs.problem().workload.sessions;
    double port = costs.problem().network.coordinator_bytes_per_s;
    double throughput = 0;
    const std::vector<Route>& base = merged_[shape];
    size_t i = 0;
    size_t j = 0;
    while ((i < base.size() || j < extra.size()) && sessions > 0) {
      const bool from_base =
          j == extra.size() || (i < base.size() && base[i].latency_s <= extra[j].latency_s);
      const Route& route = from_base ? base[i++] : extra[j++];
      if (shape == 0) figures.latency_s = std::min(figures.latency_s, route.latency_s);
      const double rate =
          std::min({route.rate, sessions / route.latency_s, port / route.relay_bytes});
      throughput += rate;
      sessions -= rate * route.latency_s;
      port = std::max(0.0, port - rate * route.relay_bytes);
    }
    if (throughput > figures.throughput) {
      figures.throughput = throughput;
      figures.shape = shape;
    }
  }
  double slowest_s = load_slowest_s_;
  figures.load_bytes = load_bytes_;
  for (const RouteSet* set : changed) {
    slowest_s = std::max(slowest_s, set->load_slowest_s);
    figures.load_bytes += set->load_bytes;
  }
  figures.load_s = costs.LoadTime(slowest_s, figures.load_bytes);
  figures.score = figures.effective = kInfinity;
  if (figures.latency_s < kInfinity) {
    figures.score = ScoreOf(costs, figures.latency_s, figures.throughput);
    figures.effective = figures.score * costs.LoadFactor(slowest_s, figures.load_bytes);
  }
  return figures;
}

Background::Figures Evaluate(const Costs& costs, std::span<const RouteSet> sets) {
  std::vector<const RouteSet*> pointers;
  for (const RouteSet& set : sets) pointers.push_back(&set);
  return Background(costs, {}).With(costs, pointers);
}

}  // namespace shoal::planner
