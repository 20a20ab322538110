#include "links/quantities.h"

#include <gtest/gtest.h>

namespace shoal::links {
namespace {

TEST(Quantities, DurationsHaveAUnit) {
  EXPECT_EQ(ParseDuration("300us"), 300);
  EXPECT_EQ(ParseDuration("20ms"), 20'000);
  EXPECT_EQ(ParseDuration("1.5s"), 1'500'000);
  EXPECT_EQ(ParseDuration("0"), 0);
  for (const char* bad : {"", "20", "ms", "-1ms", "1e3ms", "20 ms", "2h", "nan", "inf", "3601s"}) {
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  }
}

TEST(Quantities, RatesAreBitsPerSecond) {
  EXPECT_EQ(ParseRate("64K"), 8'000.0);
  EXPECT_EQ(ParseRate("20M"), 2'500'000.0);
  EXPECT_EQ(ParseRate("1g"), 125'000'000.0);
  EXPECT_EQ(ParseRate("0"), 0.0);
  for (const char* bad : {"", "20", "M", "0.5K", "20MB", "-1M", "9999G"}) {
    EXPECT_FALSE(ParseRate(bad)) << bad;
  }
}

TEST(Quantities, SharesArePercentOrFractions) {
  EXPECT_DOUBLE_EQ(*ParseShare("0.5%"), 0.005);
  EXPECT_DOUBLE_EQ(*ParseShare("0.005"), 0.005);
  EXPECT_DOUBLE_EQ(*ParseShare("0"), 0);
  for (const char* bad : {"", "%", "100%", "1", "-1%", "5 %"}) EXPECT_FALSE(ParseShare(bad)) << bad;
}

TEST(Quantities, OneValueIsForBothWays) {
  EXPECT_EQ(SplitWays("5M"), (std::pair<std::string_view, std::string_view>("5M", "5M")));
  EXPECT_EQ(SplitWays("5M/50M"), (std::pair<std::string_view, std::string_view>("5M", "50M")));
}

}  // namespace
}  // namespace shoal::links
