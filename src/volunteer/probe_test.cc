#include "volunteer/probe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace shoal::volunteer {
namespace {

TEST(Probe, FindsASpeedThatAMachineCanHave) {
  const auto speed = ProbeEngine({.threads = 1});
  ASSERT_TRUE(speed) << speed.error().ToString();
  // A step of 10 MB of weights and 36 MFLOP takes something between a microsecond and ten seconds
  // anywhere that this runs, sanitizers and busy machines included.
  const double seconds = speed->Seconds({.bytes = 1e7, .flops = 36e6});
  EXPECT_GT(seconds, 1e-6);
  EXPECT_LT(seconds, 10);
}

TEST(Probe, SaysWhatTheCoordinatorReads) {
  std::set<std::string> names;
  for (const wire::Measure& measure : ProbeMeasures({.threads = 2})) {
    EXPECT_TRUE(std::isfinite(measure.value) && measure.value > 0) << measure.name;
    names.insert(measure.name);
  }
  const std::set<std::string> known = {"probe.fixed_ms", "probe.gb_per_s", "probe.gflops"};
  EXPECT_FALSE(names.empty());
  for (const std::string& name : names) EXPECT_TRUE(known.contains(name)) << name;
}

}  // namespace
}  // namespace shoal::volunteer
