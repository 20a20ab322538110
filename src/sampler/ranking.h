// Token ids from the largest score down, sorted no further than somebody looks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace shoal {

// A total order (lower ids first among equal scores): what comes out does not depend on the
// standard library's selection algorithm.
class Ranking {
 public:
  // Of `ids`, by scores[id]. `scores` holds no NaN and outlives the ranking.
  Ranking(std::span<const float> scores, std::vector<int32_t> ids)
      : scores_(scores), ids_(std::move(ids)) {}

  size_t size() const { return ids_.size(); }

  // The id at `rank` < size(); amortised over a walk, the cost is that of sorting what was seen.
  int32_t operator[](size_t rank) {
    if (rank >= sorted_) SortBeyond(rank);
    return ids_[rank];
  }

 private:
  void SortBeyond(size_t rank) {
    constexpr size_t kFirst = 128;
    const size_t target = std::min(std::max({kFirst, 4 * sorted_, rank + 1}), ids_.size());
    const auto from = ids_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    const auto to = ids_.begin() + static_cast<std::ptrdiff_t>(target);
    const auto before = [this](int32_t a, int32_t b) {
      const float score_a = scores_[static_cast<size_t>(a)];
      const float score_b = scores_[static_cast<size_t>(b)];
      return score_a != score_b ? score_a > score_b : a < b;
    };
    // A heap takes one cheap comparison for each id that is not among the first; for many of them
    // selecting and sorting takes fewer.
    if (to - from <= (ids_.end() - from) / 8) {
      std::partial_sort(from, to, ids_.end(), before);
    } else {
      if (to != ids_.end()) std::nth_element(from, to, ids_.end(), before);
      std::sort(from, to, before);
    }
    sorted_ = target;
  }

  std::span<const float> scores_;
  std::vector<int32_t> ids_;
  size_t sorted_ = 0;
};

}  // namespace shoal
