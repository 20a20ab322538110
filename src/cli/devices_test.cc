#include "cli/devices.h"

#include <gtest/gtest.h>

namespace shoal::cli {
namespace {

TEST(Devices, ReadsKindsClustersAndWishes) {
  const auto devices = ParseDevices(R"({
    "sessions": 4, "positions": 1000, "latency_weight": 0.25,
    "clusters": [{"name": "home", "latency_ms": 2, "mbit_per_s": 80}],
    "devices": [
      {"name": "phone", "count": 2, "memory_gb": 1.5, "cluster": "home", "latency_ms": 20},
      {"memory_gb": 8, "weights": "f32", "gb_per_s": 100, "gflops": 2000, "fixed_ms": 0.5,
       "up_mbit_per_s": 8, "down_mbit_per_s": 80, "stay_minutes": 5}]})",
                                    "d.json");
  ASSERT_TRUE(devices.has_value()) << devices.error().ToString();
  const planner::Problem& problem = devices->problem;
  ASSERT_EQ(problem.volunteers.size(), 3u);
  EXPECT_EQ(problem.volunteers[1].memory_bytes, 1'500'000'000u);
  EXPECT_EQ(problem.volunteers[1].link.cluster, 1u);
  EXPECT_DOUBLE_EQ(problem.volunteers[1].link.latency_s, 0.02);
  EXPECT_DOUBLE_EQ(problem.network.clusters[0].bytes_per_s, 1e7);
  EXPECT_DOUBLE_EQ(problem.volunteers[2].speed.s_per_byte, 1e-11);
  EXPECT_DOUBLE_EQ(problem.volunteers[2].speed.s_per_flop, 5e-13);
  EXPECT_DOUBLE_EQ(problem.volunteers[2].link.up_bytes_per_s, 1e6);
  EXPECT_DOUBLE_EQ(problem.volunteers[2].stay_s, 300);
  EXPECT_EQ(problem.workload.sessions, 4u);
  EXPECT_EQ(problem.limits.positions, 1000u);
  EXPECT_DOUBLE_EQ(problem.objective.latency_weight, 0.25);
  EXPECT_EQ(devices->kinds[0].weights, "");
  EXPECT_EQ(devices->kinds[1].weights, "f32");
  EXPECT_EQ(devices->NameOf(NodeId{2}), "phone 2");
  EXPECT_EQ(devices->NameOf(NodeId{3}), "device 2");
  EXPECT_EQ(devices->NameOf(NodeId{9}), "volunteer 9");
}

TEST(Devices, NamesTheFieldAtFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "d.json"},
      {"{}", "devices"},
      {R"({"devices": [{}]})", "memory_gb"},
      {R"({"devices": [{"memory_gb": -1}]})", "memory_gb"},
      {R"({"devices": [{"memory_gb": 1, "gb_per_s": 0}]})", "gb_per_s"},
      {R"({"devices": [{"memory_gb": 1, "count": 0}]})", "count"},
      {R"({"devices": [{"memory_gb": 1, "count": 200001}]})", "count"},
      {R"({"devices": [{"memory_gb": 1, "cluster": "x"}]})", "'x' is not listed"},
      {R"({"clusters": [{"name": "a"}, {"name": "a"}], "devices": []})", "twice"},
      {R"({"devices": [], "latency_weight": 2})", "expected a number from 0 to 1, found 2"},
      {R"({"devices": [], "session": 2})", "d.json: session: there is no such field"},
      {R"({"devices": [{"memory_gb": 1, "gbps": 2}]})", "devices[0]: gbps: there is no such field"},
      {R"({"clusters": [{"name": "a", "latency": 1}], "devices": []})", "clusters[0]: latency: "},
  };
  for (const auto& [text, expected] : cases) {
    const auto devices = ParseDevices(text, "d.json");
    ASSERT_FALSE(devices.has_value()) << text;
    EXPECT_NE(devices.error().detail.find(expected), std::string::npos)
        << devices.error().ToString();
  }
}

}  // namespace
}  // namespace shoal::cli
