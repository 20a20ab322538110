#include "planner/pipeline_dp.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::planner {

ChainTables::ChainTables(const Costs& costs, std::span<const Index> candidates,
                         const ChainQuery& query)
    : costs_(&costs),
      block_count_(costs.block_count()),
      candidates_(candidates.begin(), candidates.end()),
      rows_(candidates.size()),
      query_(query) {
  for (uint32_t cut = 0; cut <= block_count_; ++cut) {
    messages_.push_back(query.cap == Cap::kBusy    ? costs.BusyMessage(cut, query.shape)
                        : query.cap == Cap::kChunk ? costs.ChunkMessage(cut)
                                                   : 0);
  }
  for (size_t i = 0; i < candidates_.size(); ++i) Fill(i);
}

double ChainTables::LoadAt(Index v, uint32_t a, uint32_t b) const {
  switch (query_.cap) {
    case Cap::kBusy:
      return costs_->StageBusy(v, a, b, query_.shape);
    case Cap::kChunk:
      return costs_->StageChunk(v, a, b);
    case Cap::kLoad:
      return costs_->LoadSeconds(v, a, b);
  }
  return 0;
}

void ChainTables::Fill(size_t i) {
  const Costs& costs = *costs_;
  const Index v = candidates_[i];
  const size_t shape = query_.shape;
  Row& row = rows_[i];
  const double load_weight =
      query_.load_weight * query_.scale_s / costs.problem().inertia.horizon_s;
  const auto blended = [&](double one, double many) { return one + query_.blend * (many - one); };
  // What an empty span costs is the fixed part; the rest is linear.
  const double fixed = blended(costs.StageLatency(v, 0, 0, 0), costs.StageLatency(v, 0, 0, shape));
  row.fixed = fixed + costs.ColdRisk(v) * query_.scale_s;
  row.load_fixed = LoadAt(v, 0, 0);
  const bool near = costs.ClusterOf(v) != kFar;
  uint32_t fit_end = 0;
  for (uint32_t at = 0; at <= block_count_; ++at) {
    const double latency =
        blended(costs.StageLatency(v, 0, at, 0), costs.StageLatency(v, 0, at, shape));
    const double load_s = load_weight > 0 ? load_weight * costs.LoadSeconds(v, 0, at) : 0;
    row.cost.push_back(latency - fixed + load_s);
    row.load.push_back(LoadAt(v, 0, at) - row.load_fixed);
    row.in.push_back(blended(costs.RelayIn(v, at, 0), costs.RelayIn(v, at, shape)));
    row.out.push_back(blended(costs.RelayOut(v, at, 0), costs.RelayOut(v, at, shape)));
    row.near.push_back(near ? blended(costs.NearHop(costs.ClusterOf(v), at, 0),
                                      costs.NearHop(costs.ClusterOf(v), at, shape))
                            : kInfinity);
    fit_end = std::max(fit_end, at);
    while (fit_end < block_count_ && costs.Fits(v, at, fit_end + 1)) ++fit_end;
    row.fit_end.push_back(fit_end);
  }
}

double ChainTables::LoadOf(const Chain& chain) const {
  double most = 0;
  for (size_t s = 0; s < chain.size(); ++s) {
    const auto& [v, span] = chain[s];
    most = std::max(most, LoadAt(v, span.first, span.last));
    if (s + 1 == chain.size()) break;
    const Index w = chain[s + 1].volunteer;
    const double bytes = messages_[span.last];
    most = costs_->GoesDirect(v, w, span.last)
               ? std::max(most, bytes * costs_->NearSeconds(v))
               : std::max({most, bytes * costs_->UpSeconds(v), bytes * costs_->DownSeconds(w)});
  }
  return most;
}

double ChainTables::SmallestLoad() const {
  double least = kInfinity;
  for (const Row& row : rows_) {
    least = std::min(least, row.load_fixed);
  }
  return least;
}

namespace {

// A chain's last stage and what came before; -1: the start.
struct Label {
  size_t candidate;
  uint32_t first, last;
  int32_t before;
};

struct Best {
  double cost = kInfinity;
  int32_t label = -1;
};

// OrderedChain's state. Rows are the stages used so far, up to stages_min; beyond, one row.
class Ordered {
 public:
  Ordered(const ChainTables& tables, double cap)
      : tables_(tables),
        cap_(cap),
        counts_(std::max(tables.stages_min(), 1u) + 1),
        width_(tables.block_count() + 1),
        relayed_(counts_ * width_),
        near_(counts_ * width_),
        base_(counts_ * width_) {
    relayed_[0].cost = 0;
  }

  Chain Run(std::span<const size_t> order) {
    uint32_t cluster = kFar;
    for (const size_t i : order) {
      if (tables_.ClusterOf(i) != cluster) {
        cluster = tables_.ClusterOf(i);
        std::ranges::fill(near_, Best{});
      }
      Extend(i);
    }
    return Trace(relayed_[(counts_ - 1) * width_ + tables_.block_count()]);
  }

 private:
  // Adds candidate i behind every chain so far.
  void Extend(size_t i) {
    const uint32_t blocks = tables_.block_count();
    for (size_t at = 0; at < base_.size(); ++at) {
      const auto cut = static_cast<uint32_t>(at % width_);
      Best best = relayed_[at];
      best.cost += tables_.InLoad(i, cut) <= cap_ ? tables_.RelayIn(i, cut) : kInfinity;
      const double near = near_[at].cost + tables_.NearHop(i, cut);
      if (near < best.cost && tables_.NearLoad(i, cut) <= cap_) best = {near, near_[at].label};
      base_[at] = best;
    }
    const bool clustered = tables_.ClusterOf(i) != kFar;
    for (size_t count = 0; count < counts_; ++count) {
      const size_t into = std::min(count + 1, counts_ - 1) * width_;
      for (uint32_t a = 0; a < blocks; ++a) {
        const Best& base = base_[count * width_ + a];
        if (base.cost == kInfinity) continue;
        const uint32_t end = tables_.FitEnd(i, a);
        for (uint32_t b = a + 1; b <= end; ++b) {
          if (tables_.StageLoad(i, a, b) > cap_) break;
          const double cost = base.cost + tables_.StageCost(i, a, b);
          const double out = cost + tables_.RelayOut(i, b);
          const bool relay = out < relayed_[into + b].cost && tables_.OutLoad(i, b) <= cap_;
          const bool near = clustered && cost < near_[into + b].cost;
          if (!relay && !near) continue;
          labels_.push_back({i, a, b, base.label});
          const auto label = static_cast<int32_t>(labels_.size() - 1);
          if (relay) relayed_[into + b] = {out, label};
          if (near) near_[into + b] = {cost, label};
        }
      }
    }
  }

  Chain Trace(const Best& best) const {
    Chain chain;
    if (best.cost == kInfinity) return chain;
    for (int32_t at = best.label; at >= 0; at = labels_[static_cast<size_t>(at)].before) {
      const Label& label = labels_[static_cast<size_t>(at)];
      chain.push_back({tables_.VolunteerOf(label.candidate), {label.first, label.last}});
    }
    std::ranges::reverse(chain);
    return chain;
  }

  const ChainTables& tables_;
  double cap_;
  size_t counts_, width_;
  std::vector<Best> relayed_, near_, base_;  // [count][block]
  std::vector<Label> labels_;
};

}  // namespace

Chain OrderedChain(const ChainTables& tables, std::span<const size_t> order, double cap) {
  return Ordered(tables, cap).Run(order);
}

std::vector<size_t> FeasibleOrder(const ChainTables& tables) {
  constexpr size_t kExactMax = 16;
  constexpr size_t kBeam = 256;
  struct State {
    std::vector<bool> used;
    uint32_t reached = 0;
    std::vector<size_t> order;
  };
  // Filling every volunteer up is best for a given order, and of states with the same volunteers
  // only the farthest counts.
  const size_t beam = tables.size() <= kExactMax ? size_t{1} << tables.size() : kBeam;
  std::vector<State> states = {{std::vector<bool>(tables.size(), false), 0, {}}};
  for (size_t step = 0; step < tables.size() && !states.empty(); ++step) {
    std::vector<State> next;
    for (const State& state : states) {
      for (size_t i = 0; i < tables.size(); ++i) {
        if (state.used[i]) continue;
        // Every stage that is still asked for needs a block of its own.
        const size_t wanted = std::max<size_t>(tables.stages_min(), state.order.size() + 1);
        const auto later = static_cast<uint32_t>(wanted - state.order.size() - 1);
        const uint32_t end =
            std::min(tables.FitEnd(i, state.reached), tables.block_count() - later);
        if (end <= state.reached) continue;
        State more = state;
        more.used[i] = true;
        more.reached = end;
        more.order.push_back(i);
        const bool enough = more.order.size() >= tables.stages_min();
        if (end == tables.block_count() && enough) return more.order;
        if (end < tables.block_count()) next.push_back(std::move(more));
      }
    }
    std::ranges::sort(next, [](const State& x, const State& y) {
      if (x.used != y.used) return x.used < y.used;
      return x.reached > y.reached;
    });
    const auto same = std::ranges::unique(next, {}, &State::used);
    next.erase(same.begin(), same.end());
    if (next.size() > beam) {
      std::ranges::sort(next, [](const State& x, const State& y) {
        return std::pair(y.reached, x.order) < std::pair(x.reached, y.order);
      });
      next.resize(beam);
    }
    states = std::move(next);
  }
  return {};
}

}  // namespace shoal::planner
