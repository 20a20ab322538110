// SubsetChain: the exact programme over sets of volunteers.
#include <algorithm>
#include <bit>

#include "base/check.h"
#include "planner/pipeline_dp.h"

namespace shoal::planner {

namespace {

class Subsets {
 public:
  Subsets(const ChainTables& tables, double cap)
      : tables_(tables), cap_(cap), count_(tables.size()), width_(tables.block_count() + 1) {
    CHECK(count_ <= kSubsetChainMax);
    const size_t entries = (size_t{1} << count_) * count_ * width_;
    cost_.assign(entries, kInfinity);
    from_.assign(entries, {});
  }

  Chain Run() {
    if (count_ == 0) return {};
    for (size_t i = 0; i < count_; ++i) {
      if (tables_.InLoad(i, 0) <= cap_) Extend(0, i, 0, tables_.RelayIn(i, 0), kNobody);
    }
    const size_t sets = size_t{1} << count_;
    for (size_t set = 1; set < sets; ++set) {
      for (size_t i = 0; i < count_; ++i) {
        if ((set >> i & 1) == 0) ExtendAll(set, i);
      }
    }
    return Trace();
  }

 private:
  static constexpr uint8_t kNobody = 255;
  struct From {
    uint8_t last = kNobody;
    uint32_t first = 0;  // Start of the last stage.
  };

  size_t At(size_t set, size_t last, uint32_t block) const {
    return (set * count_ + last) * width_ + block;
  }

  // Candidate i behind the best chain over exactly `set` that ends at each cut.
  void ExtendAll(size_t set, size_t i) {
    for (uint32_t cut = 1; cut < tables_.block_count(); ++cut) {
      double best = kInfinity;
      uint8_t last_of_best = kNobody;
      const bool may_relay = tables_.InLoad(i, cut) <= cap_;
      for (size_t last = 0; last < count_; ++last) {
        if ((set >> last & 1) == 0) continue;
        const double before = cost_[At(set, last, cut)];
        if (before == kInfinity) continue;
        double hop = kInfinity;
        if (tables_.GoesDirect(last, i, cut)) {
          if (tables_.NearLoad(i, cut) <= cap_) hop = tables_.NearHop(i, cut);
        } else if (may_relay && tables_.OutLoad(last, cut) <= cap_) {
          hop = tables_.RelayOut(last, cut) + tables_.RelayIn(i, cut);
        }
        if (before + hop < best) {
          best = before + hop;
          last_of_best = static_cast<uint8_t>(last);
        }
      }
      if (best < kInfinity) Extend(set, i, cut, best, last_of_best);
    }
  }

  void Extend(size_t set, size_t i, uint32_t first, double cost, uint8_t last) {
    const size_t into = set | size_t{1} << i;
    const uint32_t end = tables_.FitEnd(i, first);
    for (uint32_t b = first + 1; b <= end; ++b) {
      if (tables_.StageLoad(i, first, b) > cap_) break;
      const double total = cost + tables_.StageCost(i, first, b);
      const size_t at = At(into, i, b);
      if (total >= cost_[at]) continue;
      cost_[at] = total;
      from_[at] = {last, first};
    }
  }

  Chain Trace() const {
    double best = kInfinity;
    size_t set = 0;
    size_t last = 0;
    uint32_t block = tables_.block_count();
    for (size_t s = 1; s < (size_t{1} << count_); ++s) {
      if (static_cast<uint32_t>(std::popcount(s)) < tables_.stages_min()) continue;
      for (size_t i = 0; i < count_; ++i) {
        if ((s >> i & 1) == 0 || tables_.OutLoad(i, block) > cap_) continue;
        const double total = cost_[At(s, i, block)] + tables_.RelayOut(i, block);
        if (total >= best) continue;
        best = total;
        set = s;
        last = i;
      }
    }
    Chain chain;
    if (best == kInfinity) return chain;
    while (true) {
      const From from = from_[At(set, last, block)];
      chain.push_back({tables_.VolunteerOf(last), {from.first, block}});
      if (from.last == kNobody) break;
      set &= ~(size_t{1} << last);
      last = from.last;
      block = from.first;
    }
    std::ranges::reverse(chain);
    return chain;
  }

  const ChainTables& tables_;
  double cap_;
  size_t count_, width_;
  std::vector<double> cost_;  // [set][last][block]
  std::vector<From> from_;
};

}  // namespace

Chain SubsetChain(const ChainTables& tables, double cap) { return Subsets(tables, cap).Run(); }

}  // namespace shoal::planner
