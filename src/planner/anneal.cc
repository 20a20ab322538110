#include "planner/anneal.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/random.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

constexpr double kHot = 0.6;  // Taken with probability 1/e: an edit that makes a plan 80 % worse.
constexpr double kCold = 5e-4;

class Walker {
 public:
  Walker(Draft& draft, uint64_t seed)
      : at_(draft), costs_(draft.costs()), random_(seed), volunteers_(costs_.volunteer_count()) {}

  Draft Walk(size_t steps) {
    Draft best = at_;
    const double cooling = std::pow(kCold / kHot, 1 / static_cast<double>(steps));
    double temperature = kHot;
    for (size_t step = 0; step < steps; ++step, temperature *= cooling) {
      trial_ = at_.pipelines();
      touched_.clear();
      if (!Change()) continue;
      Edit edit = MakeEdit();
      if (edit.empty()) continue;
      const double worse = std::log(at_.Judge(edit).effective / at_.effective());
      if (!(worse <= 0 || random_.NextDouble() < std::exp(-worse / temperature))) continue;
      at_.Apply(std::move(edit));
      if (at_.effective() < best.effective()) best = at_;
    }
    return best;
  }

 private:
  size_t Pick(size_t count) { return random_.Below(count); }
  bool Fits(Index v, Span span) const {
    return !span.empty() && costs_.Fits(v, span.first, span.last);
  }
  bool AllFit(const DraftStage& stage) const {
    return !stage.holders.empty() &&
           std::ranges::all_of(stage.holders, [&](Index v) { return Fits(v, stage.span); });
  }
  void Touch(size_t p) {
    if (std::ranges::find(touched_, p) == touched_.end()) touched_.push_back(p);
  }

  // The pipelines touched, if all of them are in order.
  Edit MakeEdit() {
    const size_t known = at_.pipelines().size();
    const size_t fewest = std::clamp(costs_.problem().limits.stages_min, 1u, costs_.block_count());
    Edit edit;
    bool any_left = trial_.size() > touched_.size();
    for (const size_t p : touched_) {
      DraftPipeline& stages = trial_[p];
      if (!stages.empty()) {
        if (stages.size() < fewest) return {};
        for (const DraftStage& stage : stages) {
          if (stage.holders.size() > kHoldersMax || !AllFit(stage)) return {};
        }
        any_left = true;
      }
      edit.push_back({p < known ? p : Draft::kNew, std::move(stages)});
    }
    return any_left ? edit : Edit{};
  }

  bool Change() {
    switch (Pick(10)) {
      case 0:
      case 1:
        return MoveCut();
      case 2:
        return Exchange();
      case 3:
      case 4:
        return Relocate();
      case 5:
        return SplitHolders();
      case 6:
        return Merge();
      case 7:
        return Join();
      case 8:
        return Part();
      default:
        return Rebuild();
    }
  }

  bool MoveCut() {
    const size_t p = Pick(trial_.size());
    DraftPipeline& stages = trial_[p];
    if (stages.size() < 2) return false;
    const size_t s = Pick(stages.size() - 1);
    const uint32_t first = stages[s].span.first;
    const uint32_t last = stages[s + 1].span.last;
    const uint32_t cut = first + 1 + static_cast<uint32_t>(Pick(last - first - 1));
    if (cut == stages[s].span.last) return false;
    stages[s].span.last = stages[s + 1].span.first = cut;
    Touch(p);
    return true;
  }

  bool Exchange() {
    const auto a = Find(static_cast<Index>(Pick(volunteers_)));
    const auto b = Find(static_cast<Index>(Pick(volunteers_)));
    if (!a || !b || (a->pipeline == b->pipeline && a->stage == b->stage)) return false;
    std::swap(trial_[a->pipeline][a->stage].holders[a->holder],
              trial_[b->pipeline][b->stage].holders[b->holder]);
    Touch(a->pipeline);
    Touch(b->pipeline);
    return true;
  }

  // Takes somebody from its place, if it has one, and puts it into another, or out.
  bool Relocate() {
    const auto v = static_cast<Index>(Pick(volunteers_));
    if (const auto place = Find(v)) {
      TakeOut(*place);
      if (trial_[place->pipeline].empty()) return true;
      if (Pick(4) == 0) return true;
    }
    const size_t p = Pick(trial_.size());
    if (trial_[p].empty()) return true;
    Touch(p);
    const size_t s = Pick(trial_[p].size());
    DraftStage& stage = trial_[p][s];
    if (stage.span.size() < 2 || Pick(2) == 0) {
      stage.holders.push_back(v);
      return true;
    }
    const uint32_t cut = stage.span.first + 1 + static_cast<uint32_t>(Pick(stage.span.size() - 1));
    DraftStage other = {{stage.span.first, cut}, {v}};
    const bool before = Pick(2) == 0;
    if (before) {
      stage.span.first = cut;
    } else {
      other.span = {cut, stage.span.last};
      stage.span.last = cut;
    }
    trial_[p].insert(trial_[p].begin() + static_cast<std::ptrdiff_t>(before ? s : s + 1), other);
    return true;
  }

  struct Place {
    size_t pipeline, stage, holder;
  };
  std::optional<Place> Find(Index v) const {
    for (size_t p = 0; p < trial_.size(); ++p) {
      for (size_t s = 0; s < trial_[p].size(); ++s) {
        const std::vector<Index>& holders = trial_[p][s].holders;
        const auto at = std::ranges::find(holders, v);
        if (at != holders.end()) return Place{p, s, static_cast<size_t>(at - holders.begin())};
      }
    }
    return std::nullopt;
  }

  // Without its last holder a stage goes to a spare or to its neighbours.
  void TakeOut(const Place& place) {
    Touch(place.pipeline);
    DraftPipeline& stages = trial_[place.pipeline];
    std::vector<Index>& holders = stages[place.stage].holders;
    holders.erase(holders.begin() + static_cast<std::ptrdiff_t>(place.holder));
    if (!holders.empty()) return;
    const std::vector<Index> spares = at_.Spares();
    if (!spares.empty() && Pick(2) == 0) {
      holders.push_back(spares[Pick(spares.size())]);
      return;
    }
    const Span span = stages[place.stage].span;
    stages.erase(stages.begin() + static_cast<std::ptrdiff_t>(place.stage));
    if (stages.empty()) return;
    const bool has_left = place.stage > 0;
    const bool has_right = place.stage < stages.size();
    uint32_t cut = span.first + static_cast<uint32_t>(Pick(span.size() + 1));
    if (!has_left) cut = span.first;
    if (!has_right) cut = span.last;
    if (has_left) stages[place.stage - 1].span.last = cut;
    if (has_right) stages[place.stage].span.first = cut;
  }

  bool SplitHolders() {
    const size_t p = Pick(trial_.size());
    const size_t s = Pick(trial_[p].size());
    DraftStage& stage = trial_[p][s];
    if (stage.holders.size() < 2 || stage.span.size() < 2) return false;
    const uint32_t cut = stage.span.first + 1 + static_cast<uint32_t>(Pick(stage.span.size() - 1));
    DraftStage right = {{cut, stage.span.last}, {}};
    std::vector<Index> left;
    for (const Index v : stage.holders) (Pick(2) == 0 ? left : right.holders).push_back(v);
    stage.span.last = cut;
    stage.holders = std::move(left);
    trial_[p].insert(trial_[p].begin() + static_cast<std::ptrdiff_t>(s + 1), std::move(right));
    Touch(p);
    return true;
  }

  bool Merge() {
    const size_t p = Pick(trial_.size());
    DraftPipeline& stages = trial_[p];
    if (stages.size() < 2) return false;
    const size_t s = Pick(stages.size() - 1);
    DraftStage both = {{stages[s].span.first, stages[s + 1].span.last}, {}};
    for (const DraftStage& stage : {stages[s], stages[s + 1]}) {
      for (const Index v : stage.holders) {
        if (Fits(v, both.span)) both.holders.push_back(v);
      }
    }
    if (both.holders.empty()) return false;
    stages[s] = std::move(both);
    stages.erase(stages.begin() + static_cast<std::ptrdiff_t>(s + 1));
    Touch(p);
    return true;
  }

  // Two pipelines become one: the holders of the second are replicas in the first.
  bool Join() {
    const size_t p = Pick(trial_.size());
    const size_t q = Pick(trial_.size());
    if (p == q) return false;
    for (const DraftStage& stage : trial_[q]) {
      for (const Index v : stage.holders) {
        // Where its blocks are, else anywhere.
        const uint32_t middle = stage.span.first + static_cast<uint32_t>(Pick(stage.span.size()));
        const auto at = std::ranges::find_if(
            trial_[p], [&](const DraftStage& other) { return middle < other.span.last; });
        DraftStage& into = Fits(v, at->span) ? *at : trial_[p][Pick(trial_[p].size())];
        if (Fits(v, into.span)) into.holders.push_back(v);
      }
    }
    trial_[q].clear();
    Touch(p);
    Touch(q);
    return true;
  }

  // The other way: one replica of each stage makes a pipeline of its own.
  bool Part() {
    const size_t p = Pick(trial_.size());
    DraftPipeline other;
    for (DraftStage& stage : trial_[p]) {
      if (stage.holders.size() < 2) return false;
      const auto at = static_cast<std::ptrdiff_t>(Pick(stage.holders.size()));
      other.push_back({stage.span, {stage.holders[static_cast<size_t>(at)]}});
      stage.holders.erase(stage.holders.begin() + at);
    }
    Touch(p);
    Touch(trial_.size());
    trial_.push_back(std::move(other));
    return true;
  }

  // A pipeline, or a new one, made anew from the spares and whom it had, in random order.
  bool Rebuild() {
    const size_t p = Pick(trial_.size() + 1);
    std::vector<Index> pool = at_.Spares();
    if (p == trial_.size()) {
      trial_.emplace_back();
    } else {
      for (const DraftStage& stage : trial_[p]) {
        pool.insert(pool.end(), stage.holders.begin(), stage.holders.end());
      }
      trial_[p].clear();
    }
    for (size_t i = pool.size(); i > 1; --i) std::swap(pool[i - 1], pool[Pick(i)]);
    Touch(p);
    uint32_t first = 0;
    for (const Index v : pool) {
      const uint32_t end = costs_.FitEnd(v, first);
      if (end == first) continue;
      const bool full = Pick(2) == 0;
      const uint32_t last = full ? end : first + 1 + static_cast<uint32_t>(Pick(end - first));
      trial_[p].push_back({{first, last}, {v}});
      first = last;
      if (first == costs_.block_count()) return true;
    }
    trial_[p].clear();
    return p < at_.pipelines().size();  // Dissolved.
  }

  Draft at_;
  const Costs& costs_;
  Random random_;
  Index volunteers_;
  std::vector<DraftPipeline> trial_;
  std::vector<size_t> touched_;
};

}  // namespace

void Anneal(Draft& draft, size_t steps, uint64_t seed) {
  Draft best = Walker(draft, seed).Walk(steps);
  if (best.effective() < draft.effective()) draft = std::move(best);
}

}  // namespace shoal::planner
