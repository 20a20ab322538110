#include "planner/large_pool.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "planner/pipeline_search.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

constexpr size_t kFirstList = 64;     // Volunteers among whom the first pipeline is looked for.
constexpr size_t kFirstClusters = 6;  // Clusters that are tried for it as well.
constexpr size_t kWindow = 32;        // Volunteers looked at for each further pipeline.
constexpr size_t kWindowMax = 512;    // As far as a window grows when nothing is found.
constexpr uint32_t kPassesMax = 3;    // Windows that may pass a volunteer over before it is spare.
constexpr size_t kStandbyTries = 4;   // Pipelines tried for each spare.
constexpr size_t kStandbyStages = 2;  // Of their weakest stages.
constexpr size_t kStandbyFailures = 256;  // Spares in a row that helped nowhere: the rest will not.
constexpr double kStandbyGain = 1e-4;

constexpr SearchEffort kFirstEffort = {.bisections = 5,
                                       .caps = 2,
                                       .shapes = 1,
                                       .orders = 2,
                                       .polished = 1,
                                       .evaluations = 3000,
                                       .exact_steps = 5e4};
constexpr SearchEffort kWindowEffort = {.bisections = 2,
                                        .caps = 0,
                                        .shapes = 1,
                                        .orders = 1,
                                        .polished = 0,
                                        .evaluations = 0,
                                        .exact_steps = 5e4};

class LargePool {
 public:
  LargePool(const Costs& costs, std::span<const Index> everyone)
      : costs_(costs), everyone_(everyone), used_(costs.volunteer_count(), false) {
    const uint32_t middle = costs.block_count() / 2;
    per_block_.resize(costs.volunteer_count());
    for (const Index v : everyone) {
      const uint32_t end = std::max(costs.FitEnd(v, middle), middle + 1);
      per_block_[v] =
          (costs.StageLatency(v, middle, end, 0) + 2 * costs.LatencySeconds(v)) / (end - middle);
    }
  }

  Draft Run() {
    AddFirst();
    if (!pipelines_.empty()) {
      if (costs_.problem().objective.latency_weight < 1) AddFromWindows();
      AddStandbys();
    }
    Edit edit;
    for (DraftPipeline& pipeline : pipelines_) edit.push_back({Draft::kNew, std::move(pipeline)});
    Draft draft(costs_);
    if (!edit.empty()) draft.Apply(std::move(edit));
    return draft;
  }

 private:
  void Add(const Chain& chain) {
    for (const ChainStage& stage : chain) used_[stage.volunteer] = true;
    pipelines_.push_back(ToPipeline(chain));
    const Route route = ChainRoute(costs_, chain, costs_.shape_count() - 1);
    carried_ += route.rate * route.latency_s;
  }

  void AddFirst() {
    Chain best;
    double least = kInfinity;
    const auto look = [&](std::span<const Index> list) {
      for (Chain& chain : SearchChains(costs_, list, kFirstEffort, 1)) {
        const double effective = EvaluateChain(costs_, chain).effective;
        if (effective >= least) continue;
        least = effective;
        best = std::move(chain);
      }
    };
    look(Shortlist(costs_, everyone_, kFirstList));
    for (const std::vector<Index>& cluster : BestClusters()) look(cluster);
    // Memory so tight that a shortlist cannot hold the model: everybody, if need be.
    for (size_t count = kFirstList * 4; best.empty(); count *= 4) {
      look(Shortlist(costs_, everyone_, count));
      if (count >= everyone_.size()) break;
    }
    if (!best.empty()) Add(best);
  }

  // Clusters that can hold the model by themselves, the cheapest ones; the cheapest volunteers of
  // each.
  std::vector<std::vector<Index>> BestClusters() const {
    std::vector<std::vector<Index>> clusters(costs_.problem().network.clusters.size() + 1);
    for (const Index v : everyone_) clusters[costs_.ClusterOf(v)].push_back(v);
    clusters[kFar].clear();
    const double needed = static_cast<double>(costs_.LeastBytesNeeded(0, costs_.block_count()));
    std::vector<std::pair<double, size_t>> ranked;
    for (size_t c = 1; c < clusters.size(); ++c) {
      std::ranges::sort(clusters[c], {}, [&](Index v) { return std::pair(per_block_[v], v); });
      if (clusters[c].size() > kFirstList) clusters[c].resize(kFirstList);
      double room = 0;
      double cost = 0;
      for (const Index v : clusters[c]) {
        if (room >= needed) break;
        const auto memory = static_cast<double>(costs_.problem().volunteers[v].memory_bytes);
        cost += per_block_[v] * std::min(memory, needed - room);
        room += memory;
      }
      if (room >= needed) ranked.emplace_back(cost, c);
    }
    std::ranges::sort(ranked);
    if (ranked.size() > kFirstClusters) ranked.resize(kFirstClusters);
    std::vector<std::vector<Index>> best;
    for (const auto& [cost, c] : ranked) best.push_back(std::move(clusters[c]));
    return best;
  }

  // Everybody not yet used: clusters by their cheapest member, within them by cost.
  std::vector<Index> Sequence() const {
    std::vector<double> of_cluster(costs_.problem().network.clusters.size() + 1, kInfinity);
    for (const Index v : everyone_) {
      double& least = of_cluster[costs_.ClusterOf(v)];
      least = std::min(least, per_block_[v]);
    }
    std::vector<Index> sequence;
    for (const Index v : everyone_) {
      if (!used_[v]) sequence.push_back(v);
    }
    std::ranges::sort(sequence, {}, [&](Index v) {
      const uint32_t cluster = costs_.ClusterOf(v);
      return std::tuple(cluster == kFar ? per_block_[v] : of_cluster[cluster], cluster,
                        per_block_[v], v);
    });
    return sequence;
  }

  void AddFromWindows() {
    std::vector<Index> ahead = Sequence();
    std::ranges::reverse(ahead);  // The next ones are at the back.
    std::vector<Index> window;
    std::vector<uint32_t> passes(costs_.volunteer_count(), 0);
    size_t width = kWindow;
    while (carried_ < costs_.problem().workload.sessions) {
      while (window.size() < width && !ahead.empty()) {
        window.push_back(ahead.back());
        ahead.pop_back();
      }
      const std::vector<Chain> found = SearchChains(costs_, window, kWindowEffort, 1);
      if (!found.empty()) {
        Add(found.front());
        for (const Index v : window) ++passes[v];
      } else if (ahead.empty() || width >= kWindowMax) {
        break;
      } else {
        width *= 2;
        continue;
      }
      std::erase_if(window, [&](Index v) { return used_[v] || passes[v] > kPassesMax; });
      width = kWindow;
    }
  }

  void AddStandbys() {
    std::vector<Index> spares = Sequence();
    std::ranges::sort(spares, {}, [&](Index v) { return std::pair(per_block_[v], v); });
    std::vector<double> scores;
    for (const DraftPipeline& pipeline : pipelines_)
      scores.push_back(PipelineScore(costs_, pipeline));
    size_t next = 0;
    size_t failures = 0;
    for (const Index v : spares) {
      bool placed = false;
      for (size_t i = 0; i < std::min(kStandbyTries, pipelines_.size()) && !placed; ++i) {
        const size_t p = next++ % pipelines_.size();
        placed = AddStandby(pipelines_[p], scores[p], v);
      }
      failures = placed ? 0 : failures + 1;
      if (failures >= kStandbyFailures) break;
    }
  }

  bool AddStandby(DraftPipeline& pipeline, double& score, Index v) const {
    std::vector<size_t> stages = WeakestStages(costs_, pipeline);
    if (stages.size() > kStandbyStages) stages.resize(kStandbyStages);
    for (const size_t s : stages) {
      DraftStage& stage = pipeline[s];
      if (stage.holders.size() >= kHoldersMax) continue;
      if (!costs_.Fits(v, stage.span.first, stage.span.last)) continue;
      stage.holders.push_back(v);
      const double with = PipelineScore(costs_, pipeline);
      if (with < score * (1 - kStandbyGain)) {
        score = with;
        return true;
      }
      stage.holders.pop_back();
    }
    return false;
  }

  const Costs& costs_;
  std::span<const Index> everyone_;
  std::vector<bool> used_;
  std::vector<double> per_block_;  // Seconds that a volunteer adds to a stream, per block it holds.
  std::vector<DraftPipeline> pipelines_;
  double carried_ = 0;  // Sessions that the pipelines can have under way at full rate.
};

}  // namespace

Draft PlanLarge(const Costs& costs, std::span<const Index> everyone) {
  return LargePool(costs, everyone).Run();
}

}  // namespace shoal::planner
