#include "coordinator/admin/history.h"

#include <boost/json.hpp>
#include <cmath>

namespace shoal {

namespace {

namespace json = boost::json;

// Three decimals are more than a chart shows.
double ToThousandths(double value) { return std::round(value * 1000) / 1000; }

void Keep(std::deque<HistorySample>& samples, const HistorySample& sample, size_t count) {
  samples.push_back(sample);
  if (samples.size() > count) samples.pop_front();
}

json::object Series(const std::deque<HistorySample>& samples, int64_t period_seconds) {
  json::array rows;
  rows.reserve(samples.size());
  for (const HistorySample& sample : samples) {
    rows.push_back(json::array{sample.unix_seconds, ToThousandths(sample.tokens_per_second),
                               ToThousandths(sample.volunteers), ToThousandths(sample.answers),
                               ToThousandths(sample.available)});
  }
  return {{"period_s", period_seconds},
          {"columns", json::array{"t", "tokens_per_second", "volunteers", "answers", "available"}},
          {"samples", std::move(rows)}};
}

}  // namespace

void History::Add(const HistorySample& sample) {
  if (!fine_.empty() && sample.unix_seconds < fine_.back().unix_seconds) *this = History();
  Keep(fine_, sample, kFineCount);

  const int64_t period_end =
      (sample.unix_seconds / kCoarsePeriodSeconds + 1) * kCoarsePeriodSeconds;
  if (summed_ > 0 && period_end != sum_.unix_seconds) {
    const auto count = static_cast<double>(summed_);
    Keep(coarse_,
         {sum_.unix_seconds, sum_.tokens_per_second / count, sum_.volunteers / count,
          sum_.answers / count, sum_.available / count},
         kCoarseCount);
    sum_ = {};
    summed_ = 0;
  }
  sum_.unix_seconds = period_end;
  sum_.tokens_per_second += sample.tokens_per_second;
  sum_.volunteers += sample.volunteers;
  sum_.answers += sample.answers;
  sum_.available += sample.available;
  ++summed_;
}

std::string History::Json() const {
  return json::serialize(
      json::object{{"series", json::array{Series(fine_, kFinePeriodSeconds),
                                          Series(coarse_, kCoarsePeriodSeconds)}}});
}

}  // namespace shoal
