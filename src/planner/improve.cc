#include "planner/improve.h"

#include <algorithm>

#include "planner/pipeline_search.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

class Improver {
 public:
  Improver(Draft& draft, size_t evaluations)
      : draft_(draft), costs_(draft.costs()), stop_at_(draft.judged() + evaluations) {}

  void Run() {
    while (!Spent() &&
           (MoveCuts() || Replace() || Move() || Exchange() || Split() || Merge() || Dissolve())) {
    }
  }

 private:
  bool Spent() const { return draft_.judged() >= stop_at_; }
  bool Try(const Edit& edit) { return !Spent() && draft_.ApplyIfBetter(edit); }
  bool Fits(Index v, Span span) const { return costs_.Fits(v, span.first, span.last); }
  bool AllFit(const DraftStage& stage) const {
    return !stage.span.empty() &&
           std::ranges::all_of(stage.holders, [&](Index v) { return Fits(v, stage.span); });
  }
  size_t StagesMin() const {
    return std::clamp(costs_.problem().limits.stages_min, 1u, costs_.block_count());
  }

  bool MoveCuts() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      for (size_t s = 0; s + 1 < draft_.pipelines()[p].size(); ++s) {
        for (const int by : {1, -1, 2, -2, 4, -4}) {
          DraftPipeline trial = draft_.pipelines()[p];
          const int64_t cut = int64_t{trial[s].span.last} + by;
          if (cut <= trial[s].span.first || cut >= trial[s + 1].span.last) continue;
          trial[s].span.last = trial[s + 1].span.first = static_cast<uint32_t>(cut);
          if (AllFit(trial[s]) && AllFit(trial[s + 1]) && Try({{p, std::move(trial)}})) return true;
        }
      }
    }
    return false;
  }

  // A spare instead of a holder, or beside it.
  bool Replace() {
    const std::vector<Index> spares = draft_.Spares();
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      for (size_t s = 0; s < draft_.pipelines()[p].size(); ++s) {
        const auto [span, holders] = draft_.pipelines()[p][s];
        for (const Index v : spares) {
          if (!Fits(v, span)) continue;
          if (holders.size() < kHoldersMax && Try(WithReplica(draft_, p, s, v))) return true;
          for (size_t h = 0; h < holders.size(); ++h) {
            DraftPipeline trial = draft_.pipelines()[p];
            trial[s].holders[h] = v;
            if (Try({{p, std::move(trial)}})) return true;
          }
        }
      }
    }
    return false;
  }

  // A holder that is not alone goes to another stage, or out.
  bool Move() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      for (size_t s = 0; s < draft_.pipelines()[p].size(); ++s) {
        const std::vector<Index> holders = draft_.pipelines()[p][s].holders;
        if (holders.size() < 2) continue;
        for (size_t h = 0; h < holders.size(); ++h) {
          DraftPipeline without = draft_.pipelines()[p];
          without[s].holders.erase(without[s].holders.begin() + static_cast<std::ptrdiff_t>(h));
          if (Try({{p, without}}) || MoveTo(p, s, without, holders[h])) return true;
        }
      }
    }
    return false;
  }

  bool MoveTo(size_t p, size_t s, const DraftPipeline& without, Index v) {
    for (size_t q = 0; q < draft_.pipelines().size(); ++q) {
      const size_t stages = draft_.pipelines()[q].size();
      for (size_t t = 0; t < stages; ++t) {
        if (p == q && s == t) continue;
        DraftPipeline into = p == q ? without : draft_.pipelines()[q];
        if (!Fits(v, into[t].span) || into[t].holders.size() >= kHoldersMax) continue;
        into[t].holders.push_back(v);
        Edit edit = {{q, std::move(into)}};
        if (p != q) edit.push_back({p, without});
        if (Try(edit)) return true;
      }
    }
    return false;
  }

  struct Place {
    size_t pipeline, stage, holder;
  };

  bool Exchange() {
    std::vector<Place> places;
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      for (size_t s = 0; s < draft_.pipelines()[p].size(); ++s) {
        const size_t holders = draft_.pipelines()[p][s].holders.size();
        for (size_t h = 0; h < holders; ++h) places.push_back({p, s, h});
      }
    }
    for (size_t i = 0; i < places.size() && !Spent(); ++i) {
      for (size_t j = i + 1; j < places.size(); ++j) {
        if (ExchangeAt(places[i], places[j])) return true;
      }
    }
    return false;
  }

  bool ExchangeAt(const Place& a, const Place& b) {
    if (a.pipeline == b.pipeline && a.stage == b.stage) return false;
    DraftPipeline first = draft_.pipelines()[a.pipeline];
    Index& v = first[a.stage].holders[a.holder];
    if (a.pipeline == b.pipeline) {
      Index& w = first[b.stage].holders[b.holder];
      if (!Fits(v, first[b.stage].span) || !Fits(w, first[a.stage].span)) return false;
      std::swap(v, w);
      return Try({{a.pipeline, std::move(first)}});
    }
    DraftPipeline second = draft_.pipelines()[b.pipeline];
    Index& w = second[b.stage].holders[b.holder];
    if (!Fits(v, second[b.stage].span) || !Fits(w, first[a.stage].span)) return false;
    std::swap(v, w);
    return Try({{a.pipeline, std::move(first)}, {b.pipeline, std::move(second)}});
  }

  // A stage in two: some holders, or a spare, take the left part, the others the right one.
  bool Split() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      for (size_t s = 0; s < draft_.pipelines()[p].size(); ++s) {
        const DraftStage whole = draft_.pipelines()[p][s];
        if (whole.span.size() < 2) continue;
        for (const auto& [left, right] : Parts(whole.holders)) {
          for (uint32_t cut = whole.span.first + 1; cut < whole.span.last; ++cut) {
            const DraftStage a = {{whole.span.first, cut}, left};
            const DraftStage b = {{cut, whole.span.last}, right};
            if (!AllFit(a) || !AllFit(b)) continue;
            DraftPipeline trial = draft_.pipelines()[p];
            trial[s] = a;
            trial.insert(trial.begin() + static_cast<std::ptrdiff_t>(s + 1), b);
            if (Try({{p, std::move(trial)}})) return true;
          }
        }
      }
    }
    return false;
  }

  using Sides = std::pair<std::vector<Index>, std::vector<Index>>;
  std::vector<Sides> Parts(const std::vector<Index>& holders) const {
    std::vector<Sides> parts;
    for (const Index v : draft_.Spares()) {
      parts.push_back({{v}, holders});
      parts.push_back({holders, {v}});
    }
    const size_t count = holders.size();
    constexpr size_t kEverySubset = 5;
    if (count <= kEverySubset) {
      for (size_t subset = 1; subset + 1 < size_t{1} << count; ++subset) {
        Sides sides;
        for (size_t h = 0; h < count; ++h) {
          ((subset >> h & 1) != 0 ? sides.first : sides.second).push_back(holders[h]);
        }
        parts.push_back(std::move(sides));
      }
    } else {
      for (size_t h = 1; h < count; ++h) {
        const auto middle = holders.begin() + static_cast<std::ptrdiff_t>(h);
        parts.push_back({{holders.begin(), middle}, {middle, holders.end()}});
      }
    }
    return parts;
  }

  // Two stages in one, held by whoever has room for both.
  bool Merge() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      const size_t stages = draft_.pipelines()[p].size();
      if (stages <= StagesMin()) continue;
      for (size_t s = 0; s + 1 < stages; ++s) {
        DraftPipeline trial = draft_.pipelines()[p];
        DraftStage both = {{trial[s].span.first, trial[s + 1].span.last}, {}};
        for (const DraftStage& stage : {trial[s], trial[s + 1]}) {
          for (const Index v : stage.holders) {
            if (Fits(v, both.span) && both.holders.size() < kHoldersMax) both.holders.push_back(v);
          }
        }
        if (both.holders.empty()) continue;
        trial[s] = std::move(both);
        trial.erase(trial.begin() + static_cast<std::ptrdiff_t>(s + 1));
        if (Try({{p, std::move(trial)}})) return true;
      }
    }
    return false;
  }

  // A pipeline's volunteers and the spares make a new one, or none.
  bool Dissolve() {
    for (size_t p = 0; p < draft_.pipelines().size(); ++p) {
      if (draft_.pipelines().size() > 1 && Try({{p, {}}})) return true;
      std::vector<Index> pool = draft_.Spares();
      for (const DraftStage& stage : draft_.pipelines()[p]) {
        pool.insert(pool.end(), stage.holders.begin(), stage.holders.end());
      }
      std::ranges::sort(pool);
      if (pool.size() > kSearchMax) continue;
      for (const Chain& chain : SearchChains(costs_, pool, kQuick, 3)) {
        if (Try({{p, ToPipeline(chain)}})) return true;
      }
    }
    return false;
  }

  static constexpr size_t kSearchMax = 32;
  static constexpr SearchEffort kQuick = {.bisections = 5,
                                          .caps = 2,
                                          .shapes = 1,
                                          .orders = 2,
                                          .polished = 1,
                                          .evaluations = 500,
                                          .exact_steps = 5e4};

  Draft& draft_;
  const Costs& costs_;
  size_t stop_at_;
};

}  // namespace

void Improve(Draft& draft, size_t evaluations) { Improver(draft, evaluations).Run(); }

}  // namespace shoal::planner
