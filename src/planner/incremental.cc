#include "planner/incremental.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "planner/conversion.h"
#include "planner/large_pool.h"
#include "planner/pipeline_search.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

constexpr size_t kSparesTried = 3;      // For a stage without holder: the cheapest ones.
constexpr size_t kRebuildList = 24;     // Spares that may help to make a pipeline anew.
constexpr size_t kLendersTried = 32;    // Pipelines looked at for a replica to borrow.
constexpr size_t kNewcomersMax = 64;    // Per call; the others wait as spares.
constexpr size_t kPipelinesTried = 12;  // For each newcomer ...
constexpr size_t kStagesTried = 3;      // ... and their weakest stages.
constexpr size_t kJoinList = 32;        // Spares among whom another pipeline is looked for.
constexpr double kStrengthenGain = 0.002;  // A spare is worth its download from here on.
// With Scope::kBroken others' blocks change hands only for something so many times better.
constexpr double kMovesOthers = 3;
constexpr SearchEffort kQuick = {.bisections = 3,
                                 .caps = 1,
                                 .shapes = 1,
                                 .orders = 2,
                                 .polished = 1,
                                 .evaluations = 400,
                                 .exact_steps = 5e4};

// Edits are judged by the pipelines they touch alone: work does not grow with the pool.
class Repairer {
 public:
  Repairer(const Costs& costs, Standing standing, const PoolPlan& running, Scope scope)
      : costs_(costs),
        scope_(scope),
        used_(costs.volunteer_count(), false),
        broken_(std::move(standing.broken)) {
    pipelines_ = std::move(standing.whole);
    for (const DraftPipeline& pipeline : pipelines_) Mark(pipeline, true);
    for (const DraftPipeline& pipeline : broken_) Mark(pipeline, true);
    for (const LeftOut& out : running.left_out) known_spares_.insert(out.node);
  }

  std::vector<DraftPipeline> Run() {
    for (DraftPipeline& pipeline : broken_) Repair(std::move(pipeline));
    if (!pipelines_.empty()) PlaceNewcomers();
    return std::move(pipelines_);
  }

 private:
  void Mark(const DraftPipeline& pipeline, bool used) {
    for (const DraftStage& stage : pipeline) {
      for (const Index v : stage.holders) used_[v] = used;
    }
  }

  std::vector<Index> Spares() const {
    std::vector<Index> spares;
    for (Index v = 0; v < used_.size(); ++v) {
      if (!used_[v]) spares.push_back(v);
    }
    return spares;
  }

  struct Option {
    DraftPipeline pipeline;
    double effective = kInfinity;
    size_t lender = SIZE_MAX;  // A pipeline that gives up a replica ...
    DraftPipeline lent;        // ... and what is left of it.
  };

  // `handicap`: it is only taken if it is so many times better than what is there.
  void Consider(DraftPipeline pipeline, Option& best, double handicap = 1) const {
    const double effective = handicap * PipelineEffective(costs_, pipeline);
    if (effective < best.effective) best = {std::move(pipeline), effective, SIZE_MAX, {}};
  }

  // --- A pipeline with stages that nobody holds ---

  void Repair(DraftPipeline broken) {
    Option best;
    Fill(broken, best);
    Borrow(broken, best);
    // Its neighbours have to move for the one, everybody for the other.
    TakeIfBetter(best, [&](Option& option) { Absorb(broken, option); });
    TakeIfBetter(best, [&](Option& option) { Rebuild(broken, option); });
    Mark(broken, false);
    if (best.pipeline.empty()) return;
    Mark(best.pipeline, true);
    if (best.lender != SIZE_MAX) pipelines_[best.lender] = std::move(best.lent);
    pipelines_.push_back(std::move(best.pipeline));
  }

  // By how much a plan must be better that moves blocks of volunteers who still hold them.
  double Handicap() const { return scope_ == Scope::kBroken ? kMovesOthers : 1; }

  template <typename Try>
  void TakeIfBetter(Option& best, Try attempt) const {
    Option option;
    attempt(option);
    if (option.effective * Handicap() < best.effective) best = std::move(option);
  }

  // What v would add to every token on this span, and what loading it there costs.
  double CostOf(Index v, Span span) const {
    return (costs_.StageLatency(v, span.first, span.last, 0) + 2 * costs_.LatencySeconds(v)) *
           costs_.LoadFactor(costs_.LoadSeconds(v, span.first, span.last), 0);
  }

  void Fill(const DraftPipeline& broken, Option& best) const {
    std::vector<DraftPipeline> partial = {broken};
    for (size_t s = 0; s < broken.size(); ++s) {
      if (!broken[s].holders.empty()) continue;
      const Span span = broken[s].span;
      std::vector<std::pair<double, Index>> spares;
      for (Index v = 0; v < used_.size(); ++v) {
        if (!used_[v] && costs_.Fits(v, span.first, span.last)) {
          spares.emplace_back(CostOf(v, span), v);
        }
      }
      // One more than tried for each stage filled before, which may have taken the best ones.
      const size_t count = std::min(spares.size(), kSparesTried + broken.size());
      std::ranges::partial_sort(spares, spares.begin() + static_cast<std::ptrdiff_t>(count));
      spares.resize(count);
      std::vector<DraftPipeline> filled;
      for (const DraftPipeline& pipeline : partial) {
        size_t tried = 0;
        for (const auto& [cost, v] : spares) {
          if (tried == kSparesTried || filled.size() >= 64) break;
          if (Holds(pipeline, v)) continue;
          ++tried;
          filled.push_back(pipeline);
          filled.back()[s].holders.push_back(v);
        }
      }
      partial = std::move(filled);
    }
    for (DraftPipeline& pipeline : partial) Consider(std::move(pipeline), best);
  }

  static bool Holds(const DraftPipeline& pipeline, Index v) {
    return std::ranges::any_of(pipeline, [&](const DraftStage& stage) {
      return std::ranges::find(stage.holders, v) != stage.holders.end();
    });
  }

  bool AllFit(const DraftStage& stage) const {
    return std::ranges::all_of(
        stage.holders, [&](Index v) { return costs_.Fits(v, stage.span.first, stage.span.last); });
  }

  size_t StagesMin() const {
    return std::clamp(costs_.problem().limits.stages_min, 1u, costs_.block_count());
  }

  // The neighbours of an empty stage take its blocks over.
  void Absorb(DraftPipeline pipeline, Option& best) const {
    for (size_t s = 0; s < pipeline.size();) {
      if (!pipeline[s].holders.empty()) {
        ++s;
        continue;
      }
      // A run of empty stages is one gap.
      Span gap = pipeline[s].span;
      size_t end = s;
      while (end < pipeline.size() && pipeline[end].holders.empty()) {
        gap.last = pipeline[end++].span.last;
      }
      pipeline.erase(pipeline.begin() + static_cast<std::ptrdiff_t>(s),
                     pipeline.begin() + static_cast<std::ptrdiff_t>(end));
      if (!Close(pipeline, s, gap)) return;
    }
    if (!pipeline.empty() && pipeline.size() >= StagesMin()) Consider(std::move(pipeline), best);
  }

  // Gives `gap`, before stage s, to the stages on its sides; the even cut first, then others.
  bool Close(DraftPipeline& pipeline, size_t s, Span gap) const {
    Option closed;
    for (uint32_t cut = gap.first; cut <= gap.last; ++cut) {
      if ((s == 0 && cut != gap.first) || (s == pipeline.size() && cut != gap.last)) continue;
      DraftPipeline trial = pipeline;
      if (s > 0) trial[s - 1].span.last = cut;
      if (s < trial.size()) trial[s].span.first = cut;
      if (s > 0 && !AllFit(trial[s - 1])) break;
      if (s < trial.size() && !AllFit(trial[s])) continue;
      const bool whole = std::ranges::none_of(
          trial, [](const DraftStage& stage) { return stage.holders.empty(); });
      const bool one_moves = cut == gap.first || cut == gap.last;
      if (whole) {
        Consider(std::move(trial), closed, one_moves ? 1 : Handicap());
      } else if (closed.pipeline.empty()) {
        closed.pipeline = std::move(trial);
      }
    }
    if (closed.pipeline.empty()) return false;
    pipeline = std::move(closed.pipeline);
    return true;
  }

  // A replica of another pipeline, or of another stage of this one, takes the one empty stage.
  void Borrow(const DraftPipeline& broken, Option& best) const {
    const auto empty =
        std::ranges::find_if(broken, [](const DraftStage& s) { return s.holders.empty(); });
    if (std::count_if(broken.begin(), broken.end(),
                      [](const DraftStage& s) { return s.holders.empty(); }) != 1) {
      return;
    }
    const auto at = static_cast<size_t>(empty - broken.begin());
    const Span span = empty->span;
    ForReplicas(broken, [&](DraftPipeline without, Index v) {
      if (!costs_.Fits(v, span.first, span.last)) return;
      without[at].holders.push_back(v);
      Consider(std::move(without), best);
    });
    for (size_t p = 0; p < std::min(pipelines_.size(), kLendersTried); ++p) {
      const double before = PipelineEffective(costs_, pipelines_[p]);
      ForReplicas(pipelines_[p], [&](DraftPipeline without, Index v) {
        if (!costs_.Fits(v, span.first, span.last)) return;
        DraftPipeline with = broken;
        with[at].holders.push_back(v);
        // What the lender loses counts as if the repaired pipeline were worse by as much.
        const double loss = PipelineEffective(costs_, without) / before;
        const double effective = PipelineEffective(costs_, with) * std::max(1.0, loss);
        if (effective < best.effective) best = {std::move(with), effective, p, std::move(without)};
      });
    }
  }

  // While answers are under way a stage's first holder, whom they go through, stays.
  template <typename Try>
  void ForReplicas(const DraftPipeline& pipeline, Try attempt) const {
    for (size_t s = 0; s < pipeline.size(); ++s) {
      if (pipeline[s].holders.size() < 2) continue;
      for (size_t h = scope_ == Scope::kBroken ? 1 : 0; h < pipeline[s].holders.size(); ++h) {
        DraftPipeline without = pipeline;
        auto& holders = without[s].holders;
        holders.erase(holders.begin() + static_cast<std::ptrdiff_t>(h));
        attempt(std::move(without), pipeline[s].holders[h]);
      }
    }
  }

  void Rebuild(const DraftPipeline& broken, Option& best) const {
    std::vector<Index> pool = Shortlist(costs_, Spares(), kRebuildList);
    for (const DraftStage& stage : broken) {
      pool.insert(pool.end(), stage.holders.begin(), stage.holders.end());
    }
    std::ranges::sort(pool);
    for (const Chain& chain : SearchChains(costs_, pool, kQuick, 2)) {
      Consider(ToPipeline(chain), best);
    }
  }

  // --- Volunteers that are new ---

  void PlaceNewcomers() {
    size_t placed = 0;
    for (Index v = 0; v < used_.size() && placed < kNewcomersMax; ++v) {
      if (used_[v] || known_spares_.contains(costs_.problem().volunteers[v].node)) continue;
      ++placed;
      if (!Strengthen(v)) Found(v);
    }
  }

  // As a replica where it helps most: near it, where stages are weak, and anywhere.
  bool Strengthen(Index v) {
    std::vector<size_t> order(pipelines_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto distance = [&](size_t p) {
      const bool near = costs_.ClusterOf(v) != kFar &&
                        std::ranges::any_of(pipelines_[p], [&](const DraftStage& stage) {
                          return costs_.AreNear(v, stage.holders.front());
                        });
      size_t holders = 0;
      for (const DraftStage& stage : pipelines_[p]) holders += stage.holders.size();
      return std::pair(!near,
                       static_cast<double>(holders) / static_cast<double>(pipelines_[p].size()));
    };
    std::vector<std::pair<bool, double>> merit;
    for (const size_t p : order) merit.push_back(distance(p));
    const size_t count = std::min(order.size(), kPipelinesTried);
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(count), {},
                              [&](size_t p) { return std::pair(merit[p], p); });
    double best_gain = kStrengthenGain;
    size_t best_pipeline = SIZE_MAX;
    DraftPipeline best;
    for (size_t i = 0; i < count; ++i) {
      const DraftPipeline& pipeline = pipelines_[order[i]];
      const double before = PipelineEffective(costs_, pipeline);
      std::vector<size_t> stages = WeakestStages(costs_, pipeline);
      if (stages.size() > kStagesTried) stages.resize(kStagesTried);
      for (const size_t s : stages) {
        const auto& [span, holders] = pipeline[s];
        if (holders.size() >= kHoldersMax || !costs_.Fits(v, span.first, span.last)) continue;
        DraftPipeline with = pipeline;
        with[s].holders.push_back(v);
        const double gain = 1 - PipelineEffective(costs_, with) / before;
        if (gain <= best_gain) continue;
        best_gain = gain;
        best_pipeline = order[i];
        best = std::move(with);
      }
    }
    if (best_pipeline == SIZE_MAX) return false;
    pipelines_[best_pipeline] = std::move(best);
    used_[v] = true;
    return true;
  }

  // Another pipeline over the spares, now that v is one of them.
  void Found(Index v) {
    if (costs_.problem().objective.latency_weight == 1) return;
    std::vector<Index> near;
    for (const Index w : Spares()) {
      if (w == v || costs_.ClusterOf(w) == costs_.ClusterOf(v)) near.push_back(w);
    }
    near = Shortlist(costs_, near, kJoinList);
    uint64_t room = 0;
    for (const Index w : near) room += costs_.problem().volunteers[w].memory_bytes;
    if (room < costs_.LeastBytesNeeded(0, costs_.block_count())) return;
    const std::vector<Chain> chains = SearchChains(costs_, near, kQuick, 1);
    if (chains.empty()) return;
    pipelines_.push_back(ToPipeline(chains.front()));
    Mark(pipelines_.back(), true);
  }

  const Costs& costs_;
  const Scope scope_;
  std::vector<bool> used_;
  std::vector<DraftPipeline> broken_;
  std::vector<DraftPipeline> pipelines_;
  std::unordered_set<NodeId> known_spares_;
};

Draft DraftOf(const Costs& costs, std::vector<DraftPipeline> pipelines) {
  Draft draft(costs);
  Edit edit;
  for (DraftPipeline& pipeline : pipelines) edit.push_back({Draft::kNew, std::move(pipeline)});
  if (!edit.empty()) draft.Apply(std::move(edit));
  return draft;
}

}  // namespace

void CountAsCached(Problem& problem, const PoolPlan& plan) {
  std::unordered_map<NodeId, Volunteer*> volunteers;
  volunteers.reserve(problem.volunteers.size());
  for (Volunteer& volunteer : problem.volunteers) volunteers.emplace(volunteer.node, &volunteer);
  const auto block_count = static_cast<uint32_t>(problem.blocks.size());
  for (const Pipeline& pipeline : plan.pipelines) {
    for (const PlacedSpan& stage : pipeline.stages) {
      for (const NodeId node : stage.nodes) {
        const auto at = volunteers.find(node);
        if (at == volunteers.end()) continue;
        std::vector<uint64_t>& cached = at->second->cached_bytes;
        cached.resize(block_count);
        const uint32_t last = std::min(stage.span.last, block_count);
        const std::vector<BlockCost>& blocks = BlocksOf(problem, at->second->form);
        for (uint32_t b = stage.span.first; b < last; ++b) cached[b] = blocks[b].weight_bytes;
      }
    }
  }
}

Result<PoolPlan> Replan(Problem problem, const PoolPlan& running, Care care, Scope scope) {
  if (!running.complete()) return PlanPool(problem, care);
  RETURN_IF_ERROR(ValidateProblem(problem));
  CountAsCached(problem, running);
  const Costs costs(problem);
  Draft draft = DraftOf(costs, Repairer(costs, StandingOf(costs, running), running, scope).Run());
  if (draft.pipelines().empty()) return PlanPool(problem, care);
  PoolPlan repaired = Finish(draft);
  if (scope == Scope::kBroken || problem.volunteers.size() > kReplanWhole) return repaired;
  ASSIGN_OR_RETURN(PoolPlan whole, PlanPool(problem, care));
  const double needed = repaired.prediction.effective * (1 - problem.inertia.min_gain);
  return whole.prediction.effective < needed ? whole : repaired;
}

Result<PoolPlan> Reconsider(Problem problem, const PoolPlan& running) {
  RETURN_IF_ERROR(ValidateProblem(problem));
  CountAsCached(problem, running);
  PoolPlan kept = Reassess(problem, running);
  ASSIGN_OR_RETURN(PoolPlan whole, PlanPool(problem));
  if (!kept.complete()) return whole;
  const double needed = kept.prediction.effective * (1 - problem.inertia.min_gain);
  return whole.complete() && whole.prediction.effective < needed ? whole : kept;
}

}  // namespace shoal::planner
