#include "planner/replicas.h"

#include <algorithm>
#include <numeric>

namespace shoal::planner {

namespace {

class Grower {
 public:
  Grower(Draft& draft, const GrowEffort& effort) : draft_(draft), effort_(effort) {}

  void Run() {
    while (Step()) {
    }
  }

 private:
  struct Found {
    Edit edit;
    double effective = kInfinity;
  };

  // The best addition of one spare or one pipeline, or several that pay together.
  bool Step() {
    const std::vector<Index> spares = Spares(draft_);
    if (spares.empty()) return false;
    Found best = BestReplica(draft_, spares);
    if (effort_.pipelines) {
      for (Chain& chain : SearchChains(draft_.costs(), spares, effort_.search, 2)) {
        Edit edit = {{Draft::kNew, ToPipeline(chain)}};
        const double effective = draft_.Judge(edit).effective;
        if (effective < best.effective) best = {std::move(edit), effective};
      }
    }
    if (best.effective < draft_.effective() * (1 - kGain)) {
      draft_.Apply(std::move(best.edit));
      return true;
    }
    return LookAhead();
  }

  // Adds to the weakest stages blindly, and keeps it if it paid in the end.
  bool LookAhead() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      Draft trial = draft_;
      for (size_t step = 0; step < kLookAhead; ++step) {
        const Found found = StrengthenWeakest(trial, p);
        if (found.edit.empty()) break;
        trial.Apply(found.edit);
        if (trial.effective() < draft_.effective() * (1 - kGain)) {
          draft_ = std::move(trial);
          return true;
        }
      }
    }
    return false;
  }

  Found StrengthenWeakest(const Draft& draft, size_t p) const {
    const Costs& costs = draft.costs();
    const DraftPipeline& pipeline = draft.pipelines()[p];
    Found found;
    const size_t s = WeakestStages(costs, pipeline).front();
    const auto [span, holders] = pipeline[s];
    if (holders.size() >= kHoldersMax) return found;
    const size_t shape = costs.shape_count() - 1;
    double least = kInfinity;
    for (const Index v : draft.Spares()) {
      if (!costs.Fits(v, span.first, span.last)) continue;
      const double busy = costs.StageBusy(v, span.first, span.last, shape);
      if (busy >= least) continue;
      least = busy;
      found.edit = WithReplica(draft, p, s, v);
    }
    return found;
  }

  std::vector<Index> Spares(const Draft& draft) const {
    std::vector<Index> spares = draft.Spares();
    if (spares.size() <= effort_.spares) return spares;
    const Costs& costs = draft.costs();
    const auto speed = [&](Index v) {
      return std::pair(costs.StageBusy(v, 0, costs.block_count(), costs.shape_count() - 1), v);
    };
    std::ranges::sort(spares, {}, speed);
    spares.resize(effort_.spares);
    return spares;
  }

  Found BestReplica(const Draft& draft, const std::vector<Index>& spares) const {
    const Costs& costs = draft.costs();
    Found best;
    for (size_t p = 0; p < draft.pipelines().size(); ++p) {
      const DraftPipeline& pipeline = draft.pipelines()[p];
      std::vector<size_t> stages = WeakestStages(costs, pipeline);
      if (stages.size() > effort_.weakest) stages.resize(effort_.weakest);
      for (const size_t s : stages) {
        const auto& [span, holders] = pipeline[s];
        if (holders.size() >= kHoldersMax) continue;
        for (const Index v : spares) {
          if (!costs.Fits(v, span.first, span.last)) continue;
          Edit edit = WithReplica(draft, p, s, v);
          const double effective = draft.Judge(edit).effective;
          if (effective < best.effective) best = {std::move(edit), effective};
        }
      }
    }
    return best;
  }

  static constexpr double kGain = 1e-5;  // Less is not worth a volunteer's download.
  Draft& draft_;
  const GrowEffort& effort_;
};

}  // namespace

Edit WithReplica(const Draft& draft, size_t pipeline, size_t stage, Index v) {
  DraftPipeline stages = draft.pipelines()[pipeline];
  stages[stage].holders.push_back(v);
  return {{pipeline, std::move(stages)}};
}

std::vector<size_t> WeakestStages(const Costs& costs, const DraftPipeline& pipeline) {
  const size_t count = pipeline.size();
  const size_t shape = costs.shape_count() - 1;
  std::vector<double> capacity(count, 0);
  std::vector<double> safety(count, 0);
  for (size_t s = 0; s < count; ++s) {
    const auto& [span, holders] = pipeline[s];
    double risk = 0;
    for (const Index v : holders) {
      capacity[s] += 1 / costs.StageBusy(v, span.first, span.last, shape);
      risk = std::max(risk, costs.ColdRisk(v));
    }
    safety[s] = holders.size() > 1 ? static_cast<double>(holders.size()) : -risk;
  }
  std::vector<size_t> by_capacity(count);
  std::iota(by_capacity.begin(), by_capacity.end(), size_t{0});
  std::vector<size_t> by_safety = by_capacity;
  std::ranges::sort(by_capacity, {}, [&](size_t s) { return std::pair(capacity[s], s); });
  std::ranges::sort(by_safety, {}, [&](size_t s) { return std::pair(safety[s], s); });
  std::vector<size_t> stages;
  for (size_t i = 0; i < count; ++i) {
    for (const size_t s : {by_capacity[i], by_safety[i]}) {
      if (std::ranges::find(stages, s) == stages.end()) stages.push_back(s);
    }
  }
  return stages;
}

void Grow(Draft& draft, const GrowEffort& effort) { Grower(draft, effort).Run(); }

}  // namespace shoal::planner
