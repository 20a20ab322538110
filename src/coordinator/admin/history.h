// GET /status/history.json: how the swarm did over the last hour and the last day.
//
// Samples come in at a steady period. The last hour is kept as it came; the last day as means over
// five minutes. The size is bounded, and nothing of it outlives the process.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace shoal {

// One look at the swarm.
struct HistorySample {
  int64_t unix_seconds = 0;
  double tokens_per_second = 0;
  double volunteers = 0;
  double answers = 0;
  double available = 0;  // 1 when a request would be answered, 0 when not; means lie between.
};

class History {
 public:
  static constexpr int64_t kFinePeriodSeconds = 10;
  static constexpr size_t kFineCount = 360;
  static constexpr int64_t kCoarsePeriodSeconds = 300;
  static constexpr size_t kCoarseCount = 288;

  // To be called every kFinePeriodSeconds. A clock that was set back begins the history anew.
  void Add(const HistorySample& sample);

  // {"series": [{"period_s", "columns", "samples"}]}, finest first; every sample has the values of
  // the columns: t (end of the period, Unix seconds), tokens_per_second, volunteers, answers,
  // available.
  std::string Json() const;

 private:
  std::deque<HistorySample> fine_;
  std::deque<HistorySample> coarse_;
  HistorySample sum_;  // Of the coarse period under way; unix_seconds is its end.
  size_t summed_ = 0;
};

}  // namespace shoal
