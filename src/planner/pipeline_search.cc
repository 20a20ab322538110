#include "planner/pipeline_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

#include "planner/pipeline_dp.h"

namespace shoal::planner {

namespace {

struct Found {
  Chain chain;
  Background::Figures figures;
  size_t at = 0;  // Order of finding; breaks ties.
};

// Per block, at full memory from the model's middle on: what the volunteer costs a stream.
double CostPerBlock(const Costs& costs, Index v) {
  const uint32_t middle = costs.block_count() / 2;
  uint32_t end = costs.FitEnd(v, middle);
  uint32_t begin = middle;
  if (end == costs.block_count()) {
    while (begin > 0 && costs.Fits(v, begin - 1, end)) --begin;
  }
  if (end == begin) return kInfinity;
  return (costs.StageLatency(v, begin, end, 0) + 2 * costs.LatencySeconds(v)) / (end - begin);
}

class ChainSearch {
 public:
  ChainSearch(const Costs& costs, std::span<const Index> candidates, const SearchEffort& effort)
      : costs_(costs), candidates_(candidates), effort_(effort) {
    const double n = static_cast<double>(candidates.size());
    const double steps = std::ldexp(1, static_cast<int>(std::min<size_t>(candidates.size(), 64))) *
                         n * costs.block_count() * (n + costs.block_count() / 3.0);
    exact_ = candidates.size() <= kSubsetChainMax && steps <= effort.exact_steps;
    if (!exact_) MakeOrders();
  }

  std::vector<Chain> Run(size_t most) {
    const double weight = costs_.problem().objective.latency_weight;
    Sweep({.shape = 0, .cap = Cap::kChunk});
    if (weight < 1) {
      const size_t shapes = costs_.shape_count();
      for (size_t shape = 0; shape < shapes; ++shape) {
        if (shape > 0 && shapes - shape > effort_.shapes) continue;
        Sweep({.shape = shape, .blend = 1});
        if (weight > 0 && shape > 0) Sweep({.shape = shape, .blend = 0});
      }
    }
    if (found_.empty()) TryFeasible();
    Polish();
    return Best(most);
  }

 private:
  // Volunteers of one cluster stand together; clusters and volunteers by several merits.
  void MakeOrders() {
    const size_t n = candidates_.size();
    std::vector<double> cost(n);
    std::vector<double> latency(n);
    std::vector<double> room(n);
    std::vector<double> chunk(n);
    for (size_t i = 0; i < n; ++i) {
      const Index v = candidates_[i];
      cost[i] = CostPerBlock(costs_, v);
      latency[i] = costs_.LatencySeconds(v);
      room[i] = -static_cast<double>(costs_.problem().volunteers[v].memory_bytes);
      chunk[i] = costs_.StageChunk(v, 0, costs_.block_count());
    }
    std::vector<double> reverse = cost;
    for (double& value : reverse) value = -value;
    const std::vector<double>* const merits[] = {&cost, &room, &reverse, &latency, &chunk};
    for (size_t k = 0; k < std::min(effort_.orders, std::size(merits)); ++k) {
      const std::vector<double>& merit = *merits[k];
      std::vector<double> of_cluster(costs_.problem().network.clusters.size() + 1, kNoCap);
      for (size_t i = 0; i < n; ++i) {
        double& best = of_cluster[costs_.ClusterOf(candidates_[i])];
        best = std::min(best, merit[i]);
      }
      std::vector<size_t> order(n);
      std::iota(order.begin(), order.end(), size_t{0});
      std::ranges::sort(order, {}, [&](size_t i) {
        const uint32_t cluster = costs_.ClusterOf(candidates_[i]);
        return std::tuple(cluster == kFar ? merit[i] : of_cluster[cluster], cluster, merit[i], i);
      });
      orders_.push_back(std::move(order));
    }
  }

  // Solves under a cap; returns the chain of least maximum found, empty if there is none.
  Chain Solve(const ChainTables& tables, double cap) {
    if (exact_) {
      Chain chain = SubsetChain(tables, cap);
      if (!chain.empty()) Add(chain);
      return chain;
    }
    Chain best;
    for (const std::vector<size_t>& order : orders_) {
      Chain chain = OrderedChain(tables, order, cap);
      if (chain.empty()) continue;
      Add(chain);
      if (best.empty() || tables.LoadOf(chain) < tables.LoadOf(best)) best = std::move(chain);
    }
    return best;
  }

  // The front of (sum, maximum) for one shape.
  void Sweep(ChainQuery query) {
    const ChainTables plain(costs_, candidates_, query);
    const Chain first = Solve(plain, kNoCap);
    if (first.empty()) return;
    query.scale_s = ChainRoute(costs_, first, query.shape).latency_s;
    bool risky = false;
    bool loads = false;
    for (const auto& [v, span] : first) {
      risky = risky || costs_.ColdRisk(v) > 0;
      loads = loads || costs_.LoadSeconds(v, span.first, span.last) > 0;
    }
    loads = loads && std::isfinite(costs_.problem().inertia.horizon_s);
    if (!risky && !loads) return SweepCaps(plain, query, first);
    if (loads) query.load_weight = 1 / static_cast<double>(first.size());
    const ChainTables tables(costs_, candidates_, query);
    const Chain again = Solve(tables, kNoCap);
    SweepCaps(tables, query, again.empty() ? first : again);
    if (!loads || !exact_) return;
    query.load_weight = 0;
    SweepCaps(ChainTables(costs_, candidates_, query), query, first);
    query.cap = Cap::kLoad;
    SweepCaps(ChainTables(costs_, candidates_, query), query, first);
  }

  // Whether so few sessions are under way that nobody is busy all the time: of min(n / latency,
  // 1 / busiest) the first is the smaller one, and a tighter cap only makes it smaller.
  bool IsShortOfSessions(const ChainQuery& query, const Chain& chain) const {
    if (query.cap != Cap::kBusy) return false;
    const Route route = ChainRoute(costs_, chain, query.shape);
    return costs_.problem().workload.sessions / route.latency_s < route.rate;
  }

  void SweepCaps(const ChainTables& tables, ChainQuery query, const Chain& first) {
    if (query.cap == Cap::kBusy) {
      // Then the busiest does not matter, but the slowest chunk does.
      if (IsShortOfSessions(query, first)) {
        if (query.shape == 0) return;
        query.cap = Cap::kChunk;
        return SweepCaps(ChainTables(costs_, candidates_, query), query, first);
      }
    }
    if (query.cap == Cap::kChunk && costs_.chunk_share() == 0) return;
    const double most = tables.LoadOf(first);
    double high = most;
    double low = std::min(tables.SmallestLoad(), high) / 2 + high * 1e-4;
    for (size_t i = 0; i < effort_.bisections && high > low * 1.01; ++i) {
      const double middle = std::sqrt(low * high);
      const Chain chain = Solve(tables, middle);
      if (chain.empty() || IsShortOfSessions(query, chain)) {
        low = middle;
      } else {
        high = std::min(middle, tables.LoadOf(chain));
      }
    }
    const double ratio = std::pow(most / high, 1 / static_cast<double>(effort_.caps + 1));
    if (!(ratio > 1)) return;
    double cap = high;
    for (size_t i = 0; i < effort_.caps; ++i) Solve(tables, cap *= ratio);
  }

  // Orders by merit failed: perhaps filling memory in some other order does not.
  void TryFeasible() {
    const ChainTables tables(costs_, candidates_, {});
    std::vector<size_t> order = FeasibleOrder(tables);
    if (order.empty()) return;
    orders_.assign(1, std::move(order));
    exact_ = false;
    Chain chain = OrderedChain(tables, orders_.front(), kNoCap);
    if (!chain.empty()) Add(chain);
    Sweep({.shape = costs_.shape_count() - 1, .blend = 1});
  }

  void Add(const Chain& chain) {
    std::vector<uint64_t> key;
    for (const auto& [v, span] : chain) key.push_back(uint64_t{v} << 32 | span.last);
    if (!seen_.insert(std::move(key)).second) return;
    found_.push_back({chain, EvaluateChain(costs_, chain), found_.size()});
  }

  void SortFound() {
    std::ranges::sort(found_, {},
                      [](const Found& f) { return std::pair(f.figures.effective, f.at); });
  }

  void Polish() {
    SortFound();
    const size_t count = std::min(effort_.polished, found_.size());
    for (size_t i = 0; i < count; ++i) {
      Add(PolishChain(costs_, found_[i].chain, candidates_, effort_.evaluations));
    }
    SortFound();
  }

  std::vector<Chain> Best(size_t most) const {
    std::vector<Chain> chains;
    const auto add = [&](const Found& found) {
      if (std::ranges::find(chains, found.chain) == chains.end()) chains.push_back(found.chain);
    };
    for (const Found& found : found_) {
      if (chains.size() == most) break;
      add(found);
    }
    if (!found_.empty() && most > 1) {
      add(*std::ranges::max_element(found_, {},
                                    [](const Found& f) { return f.figures.throughput; }));
      add(*std::ranges::min_element(found_, {},
                                    [](const Found& f) { return f.figures.latency_s; }));
    }
    return chains;
  }

  const Costs& costs_;
  std::span<const Index> candidates_;
  SearchEffort effort_;
  bool exact_;
  std::vector<std::vector<size_t>> orders_;
  std::vector<Found> found_;
  std::set<std::vector<uint64_t>> seen_;
};

}  // namespace

std::vector<Chain> SearchChains(const Costs& costs, std::span<const Index> candidates,
                                const SearchEffort& effort, size_t most) {
  if (candidates.empty()) return {};
  return ChainSearch(costs, candidates, effort).Run(most);
}

std::vector<Index> Shortlist(const Costs& costs, std::span<const Index> from, size_t count) {
  std::vector<Index> by_cost(from.begin(), from.end());
  if (from.size() <= count) return by_cost;
  std::vector<double> cost(costs.volunteer_count());
  for (const Index v : from) cost[v] = CostPerBlock(costs, v);
  std::ranges::sort(by_cost, {}, [&](Index v) { return std::pair(cost[v], v); });
  std::vector<Index> by_room(from.begin(), from.end());
  std::ranges::sort(by_room, {}, [&](Index v) {
    return std::pair(~costs.problem().volunteers[v].memory_bytes, v);
  });
  // Twice the model, since cuts waste some of the room.
  const uint64_t enough = 2 * costs.MostBytesNeeded(0, costs.block_count());
  std::vector<bool> taken(costs.volunteer_count(), false);
  std::vector<Index> list;
  uint64_t room = 0;
  const auto take = [&](Index v) {
    if (taken[v]) return;
    taken[v] = true;
    list.push_back(v);
    const uint64_t memory = costs.problem().volunteers[v].memory_bytes;
    const uint64_t overhead = costs.problem().limits.overhead_bytes;
    if (memory > overhead) room += memory - overhead;
  };
  for (size_t i = 0; i < count * 3 / 4; ++i) take(by_cost[i]);
  for (size_t i = 0; i < by_room.size() && (list.size() < count || room < enough); ++i) {
    take(by_room[i]);
  }
  return list;
}

}  // namespace shoal::planner
