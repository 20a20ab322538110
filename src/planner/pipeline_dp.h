// Ordered-partition dynamic programmes: the chain of volunteers of least additive cost.
//
// Both minimise a sum over stages and hops subject to a cap on the busiest volunteer or link
// ("least latency such that nobody is busier than the cap"). pipeline_search.h sweeps the cap,
// which turns the additive programme into one for any objective that grows with the sum and the
// maximum.
//
//   OrderedChain  volunteers in a given order, each used or passed over:
//                 best[w][b] = min(best[w-1][b], min over a of best[w-1][a] + hop + cost_w(a, b)),
//                 twice: with the last volunteer's message sent to the coordinator, and with it
//                 still at a volunteer of the present cluster. O(volunteers * blocks * span).
//   SubsetChain   every order: best[set of volunteers used][last one][b]. Exact; O(2^n n blocks
//                 (n + span)) for n volunteers, so for small pools alone.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "planner/routes.h"

namespace shoal::planner {

// What the cap is on: busy seconds per token at the query's shape, seconds of a prefill chunk, or
// seconds of loading what is not cached.
enum class Cap : uint8_t { kBusy, kChunk, kLoad };

// What the sum and the cap are made of.
struct ChainQuery {
  // Latency at the rows of this shape, blended with latency of one row.
  size_t shape = 0;
  double blend = 0;  // 0: latency of one row alone, 1: of `shape` alone.
  Cap cap = Cap::kBusy;
  // An estimate of the chain's latency, to turn what multiplies it into sums: risk * scale_s per
  // volunteer, and load_weight * scale_s / horizon per second of loading.
  double scale_s = 0;
  double load_weight = 0;
};

// Costs of a ChainQuery for some volunteers ("candidates", counted from 0), tabulated.
class ChainTables {
 public:
  ChainTables(const Costs& costs, std::span<const Index> candidates, const ChainQuery& query);

  const Costs& costs() const { return *costs_; }
  size_t size() const { return candidates_.size(); }
  Index VolunteerOf(size_t i) const { return candidates_[i]; }
  uint32_t block_count() const { return block_count_; }
  // Limits::stages_min, but no more than there are blocks.
  uint32_t stages_min() const {
    return std::clamp(costs_->problem().limits.stages_min, 1u, block_count_);
  }

  // The sum's parts.
  double StageCost(size_t i, uint32_t a, uint32_t b) const {
    const Row& row = rows_[i];
    return row.fixed + row.cost[b] - row.cost[a];
  }
  double RelayIn(size_t i, uint32_t cut) const { return rows_[i].in[cut]; }
  double RelayOut(size_t i, uint32_t cut) const { return rows_[i].out[cut]; }
  double NearHop(size_t i, uint32_t cut) const { return rows_[i].near[cut]; }  // Infinite if far.
  bool GoesDirect(size_t i, size_t j, uint32_t cut) const {
    return costs_->GoesDirect(candidates_[i], candidates_[j], cut);
  }
  uint32_t ClusterOf(size_t i) const { return costs_->ClusterOf(candidates_[i]); }
  // What the cap is compared with.
  double StageLoad(size_t i, uint32_t a, uint32_t b) const {
    const Row& row = rows_[i];
    return row.load_fixed + row.load[b] - row.load[a];
  }
  double InLoad(size_t i, uint32_t cut) const {
    return messages_[cut] * costs_->DownSeconds(candidates_[i]);
  }
  double OutLoad(size_t i, uint32_t cut) const {
    return messages_[cut] * costs_->UpSeconds(candidates_[i]);
  }
  // Of the port within the cluster; not for candidates that are kFar.
  double NearLoad(size_t i, uint32_t cut) const {
    return messages_[cut] * costs_->NearSeconds(candidates_[i]);
  }
  // The farthest end of a span from `a` in memory.
  uint32_t FitEnd(size_t i, uint32_t a) const { return rows_[i].fit_end[a]; }
  // The largest load of a chain: the cap that it just meets.
  double LoadOf(const Chain& chain) const;
  // A cap below which no chain can exist.
  double SmallestLoad() const;

 private:
  struct Row {
    double fixed = 0, load_fixed = 0;
    std::vector<double> cost, load;  // Prefix sums.
    std::vector<double> in, out, near;
    std::vector<uint32_t> fit_end;
  };
  void Fill(size_t i);
  double LoadAt(Index v, uint32_t a, uint32_t b) const;

  const Costs* costs_;
  uint32_t block_count_;
  std::vector<Index> candidates_;
  std::vector<Row> rows_;
  std::vector<double> messages_;  // Bytes per cut that load a link.
  ChainQuery query_;
};

inline constexpr double kNoCap = kInfinity;

// `order` lists candidates; those of one cluster should stand together. At least
// limits.stages_min stages. Empty: no chain over these in this order.
Chain OrderedChain(const ChainTables& tables, std::span<const size_t> order, double cap);

// At most this many candidates (memory: 2^n * n * blocks entries).
inline constexpr size_t kSubsetChainMax = 10;
Chain SubsetChain(const ChainTables& tables, double cap);

// Some order in which the candidates hold the whole model by memory alone, each filled up before
// the next: exact for up to 16, the widest 256 states of every step beyond. Empty: none found.
std::vector<size_t> FeasibleOrder(const ChainTables& tables);

}  // namespace shoal::planner
