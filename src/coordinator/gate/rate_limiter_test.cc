#include "coordinator/gate/rate_limiter.h"

#include <gtest/gtest.h>

#include "base/str_cat.h"

namespace shoal {
namespace {

TEST(RateLimiterTest, LetsABurstThroughAndThenTheRate) {
  RateLimiter limiter({.per_minute = 60, .burst = 3});
  Micros now = 0;
  for (int at = 0; at < 3; ++at) EXPECT_EQ(limiter.Take("a", now), 0u);
  EXPECT_EQ(limiter.Take("a", now), 1u);
  EXPECT_EQ(limiter.Take("b", now), 0u);  // Has a bucket of its own.
  now += kSecond;
  EXPECT_EQ(limiter.Take("a", now), 0u);
  EXPECT_EQ(limiter.Take("a", now), 1u);
}

// Whatever is asked when: in any window no more than burst and rate allow.
TEST(RateLimiterTest, NeverGivesMoreThanItsRate) {
  RateLimiter limiter({.per_minute = 30, .burst = 5});
  int given = 0;
  const Micros end = 120 * kSecond;
  for (Micros now = 0; now <= end; now += 7 * kMillisecond) given += limiter.Take("a", now) == 0;
  EXPECT_NEAR(given, 5 + 60, 1);
}

TEST(RateLimiterTest, SaysWhenToComeAgain) {
  RateLimiter limiter({.per_minute = 2, .burst = 1});
  EXPECT_EQ(limiter.Take("a", 0), 0u);
  const uint32_t wait = limiter.Take("a", 0);
  EXPECT_EQ(wait, 30u);
  EXPECT_GT(limiter.Take("a", (wait - 1) * kSecond), 0u);
  EXPECT_EQ(limiter.Take("a", wait * kSecond), 0u);
}

TEST(RateLimiterTest, HoldsOnlySoManyClients) {
  RateLimiter limiter({.per_minute = 60, .burst = 1, .clients_max = 10});
  for (int at = 0; at < 10; ++at) EXPECT_EQ(limiter.Take(StrCat("c", at), 0), 0u);
  // No room: newcomers share one bucket, so that inventing names is of no use.
  EXPECT_EQ(limiter.Take("new 1", 0), 0u);
  EXPECT_GT(limiter.Take("new 2", 0), 0u);
  // The others' buckets have filled since and are forgotten.
  EXPECT_EQ(limiter.Take("new 3", 2 * kSecond), 0u);
  EXPECT_EQ(limiter.Take("new 4", 2 * kSecond), 0u);
}

TEST(RateLimiterTest, CanBeOff) {
  RateLimiter limiter({.per_minute = 0, .burst = 1});
  for (int at = 0; at < 1000; ++at) EXPECT_EQ(limiter.Take("a", 0), 0u);
}

}  // namespace
}  // namespace shoal
