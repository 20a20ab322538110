// PolishChain: local search on the exact figures of one chain.
#include <algorithm>

#include "planner/pipeline_search.h"

namespace shoal::planner {

namespace {

constexpr double kBetter = 1 - 1e-9;  // Smaller improvements are rounding.

class Polisher {
 public:
  Polisher(const Costs& costs, Chain chain, std::span<const Index> candidates, size_t evaluations)
      : costs_(costs),
        chain_(std::move(chain)),
        used_(costs.volunteer_count(), false),
        candidates_(candidates),
        left_(evaluations) {
    for (const ChainStage& stage : chain_) used_[stage.volunteer] = true;
    score_ = EvaluateChain(costs_, chain_).effective;
  }

  Chain Run() {
    while (left_ > 0 && (MoveCut() || Exchange() || Replace() || Drop() || Split())) {
    }
    return std::move(chain_);
  }

 private:
  bool Fits(const ChainStage& stage) const {
    return !stage.span.empty() && costs_.Fits(stage.volunteer, stage.span.first, stage.span.last);
  }

  // Keeps `trial_` if it is better.
  bool Judge() {
    if (left_ == 0) return false;
    --left_;
    const double score = EvaluateChain(costs_, trial_).effective;
    if (!(score < score_ * kBetter)) return false;
    score_ = score;
    chain_ = trial_;
    std::fill(used_.begin(), used_.end(), false);
    for (const ChainStage& stage : chain_) used_[stage.volunteer] = true;
    return true;
  }

  bool MoveCut() {
    for (size_t i = 0; i + 1 < chain_.size(); ++i) {
      for (const int by : {1, -1, 2, -2, 4, -4}) {
        trial_ = chain_;
        const int64_t cut = int64_t{chain_[i].span.last} + by;
        if (cut <= chain_[i].span.first || cut >= chain_[i + 1].span.last) continue;
        trial_[i].span.last = trial_[i + 1].span.first = static_cast<uint32_t>(cut);
        if (Fits(trial_[i]) && Fits(trial_[i + 1]) && Judge()) return true;
      }
    }
    return false;
  }

  bool Exchange() {
    for (size_t i = 0; i < chain_.size(); ++i) {
      for (size_t j = i + 1; j < chain_.size(); ++j) {
        trial_ = chain_;
        std::swap(trial_[i].volunteer, trial_[j].volunteer);
        if (Fits(trial_[i]) && Fits(trial_[j]) && Judge()) return true;
        if (ExchangeWithSpans(i, j)) return true;
      }
    }
    return false;
  }

  // Both keep the number of their blocks; what lies between moves along.
  bool ExchangeWithSpans(size_t i, size_t j) {
    trial_ = chain_;
    std::swap(trial_[i], trial_[j]);
    uint32_t at = chain_[i].span.first;
    for (size_t k = i; k <= j; ++k) {
      const uint32_t size = trial_[k].span.size();
      trial_[k].span = {at, at + size};
      at += size;
      if (!Fits(trial_[k])) return false;
    }
    return Judge();
  }

  bool Replace() {
    for (size_t i = 0; i < chain_.size(); ++i) {
      for (const Index v : candidates_) {
        if (used_[v]) continue;
        trial_ = chain_;
        trial_[i].volunteer = v;
        if (Fits(trial_[i]) && Judge()) return true;
      }
    }
    return false;
  }

  // Leaves one out; its neighbours take its blocks.
  bool Drop() {
    if (chain_.size() <= std::max(costs_.problem().limits.stages_min, 1u)) return false;
    for (size_t i = 0; i < chain_.size(); ++i) {
      const Span span = chain_[i].span;
      for (uint32_t cut = span.first; cut <= span.last; ++cut) {
        if ((i == 0 && cut != span.first) || (i + 1 == chain_.size() && cut != span.last)) continue;
        trial_ = chain_;
        trial_.erase(trial_.begin() + static_cast<std::ptrdiff_t>(i));
        if (i > 0) trial_[i - 1].span.last = cut;
        if (i < trial_.size()) trial_[i].span.first = cut;
        if (i > 0 && !Fits(trial_[i - 1])) break;
        if (i < trial_.size() && !Fits(trial_[i])) continue;
        if (Judge()) return true;
      }
    }
    return false;
  }

  // Gives a part of a stage to somebody who is not in the chain.
  bool Split() {
    for (size_t i = 0; i < chain_.size(); ++i) {
      const ChainStage whole = chain_[i];
      for (const Index v : candidates_) {
        if (used_[v]) continue;
        for (uint32_t cut = whole.span.first + 1; cut < whole.span.last; ++cut) {
          for (const bool before : {true, false}) {
            trial_ = chain_;
            const ChainStage left = {before ? v : whole.volunteer, {whole.span.first, cut}};
            const ChainStage right = {before ? whole.volunteer : v, {cut, whole.span.last}};
            if (!Fits(left) || !Fits(right)) continue;
            trial_[i] = left;
            trial_.insert(trial_.begin() + static_cast<std::ptrdiff_t>(i + 1), right);
            if (Judge()) return true;
          }
        }
      }
    }
    return false;
  }

  const Costs& costs_;
  Chain chain_, trial_;
  std::vector<bool> used_;
  std::span<const Index> candidates_;
  size_t left_;
  double score_ = 0;
};

}  // namespace

Chain PolishChain(const Costs& costs, Chain chain, std::span<const Index> candidates,
                  size_t evaluations) {
  return Polisher(costs, std::move(chain), candidates, evaluations).Run();
}

}  // namespace shoal::planner
