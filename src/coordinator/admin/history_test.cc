#include "coordinator/admin/history.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace shoal {
namespace {

namespace json = boost::json;

constexpr int64_t kStart = 1'800'000'000;  // A multiple of five minutes.

json::array SamplesOf(const History& history, size_t series) {
  const json::value parsed = json::parse(history.Json());
  return parsed.at("series").at(series).at("samples").as_array();
}

HistorySample At(int64_t index, double tokens_per_second = 1, double available = 1) {
  return {.unix_seconds = kStart + index * History::kFinePeriodSeconds,
          .tokens_per_second = tokens_per_second,
          .volunteers = 3,
          .answers = 2,
          .available = available};
}

TEST(HistoryTest, KeepsTheLastHourAsItCame) {
  History history;
  EXPECT_TRUE(SamplesOf(history, 0).empty());
  for (int64_t i = 0; i < 1000; ++i) history.Add(At(i, static_cast<double>(i)));
  const json::array fine = SamplesOf(history, 0);
  ASSERT_EQ(fine.size(), History::kFineCount);
  EXPECT_EQ(fine.front(), (json::array{kStart + 6400, 640.0, 3.0, 2.0, 1.0}));
  EXPECT_EQ(fine.back().at(0), kStart + 9990);
}

TEST(HistoryTest, KeepsTheDayInMeans) {
  History history;
  constexpr int64_t kPerPeriod = History::kCoarsePeriodSeconds / History::kFinePeriodSeconds;
  // Half of the second period is without an answer.
  for (int64_t i = 0; i < 2 * kPerPeriod + 1; ++i) {
    const bool is_down = i >= kPerPeriod && i % 2 == 0;
    history.Add(At(i, i < kPerPeriod ? 8 : 4, is_down ? 0 : 1));
  }
  const json::array coarse = SamplesOf(history, 1);
  ASSERT_EQ(coarse.size(), 2u);
  EXPECT_EQ(coarse[0], (json::array{kStart + 300, 8.0, 3.0, 2.0, 1.0}));
  EXPECT_EQ(coarse[1], (json::array{kStart + 600, 4.0, 3.0, 2.0, 0.5}));
}

TEST(HistoryTest, IsBoundedOverTheWeeks) {
  History history;
  for (int64_t i = 0; i < 60'000; ++i) history.Add(At(i));
  EXPECT_EQ(SamplesOf(history, 0).size(), History::kFineCount);
  EXPECT_EQ(SamplesOf(history, 1).size(), History::kCoarseCount);
}

TEST(HistoryTest, BeginsAnewWhenTheClockIsSetBack) {
  History history;
  for (int64_t i = 0; i < 100; ++i) history.Add(At(i));
  history.Add(At(-1000));
  EXPECT_EQ(SamplesOf(history, 0).size(), 1u);
  EXPECT_TRUE(SamplesOf(history, 1).empty());
}

TEST(HistoryTest, LeavesOutPeriodsInWhichNothingCame) {
  History history;
  history.Add(At(0));
  history.Add(At(1000));
  history.Add(At(2000));
  EXPECT_EQ(SamplesOf(history, 1).size(), 2u);
}

}  // namespace
}  // namespace shoal
