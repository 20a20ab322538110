// `shoal plan` as people and scripts meet it, of a checkpoint's config.json alone.
#include <gtest/gtest.h>

#include <fstream>

#include "cli/testing.h"

namespace shoal::cli {
namespace {

CommandResult RunPlan(const std::string& devices) {
  const std::string file = testing::TempDir() + "/plan_test_devices.json";
  std::ofstream(file) << devices;
  return RunShoal({"plan", SHOAL_SOURCE_DIR "/tests/golden/configs/llama-3.2-1b", "--shapes-only",
                   "--devices", file});
}

std::string Phones(uint32_t count) {
  return StrCat(R"({"devices": [{"name": "phone", "count": )", count, R"(, "memory_gb": 0.4}]})");
}

TEST(PlanTest, SaysWhoHoldsWhatAndWhatOneMoreWouldBring) {
  const CommandResult result = RunPlan(R"({"devices": [{"name": "laptop", "memory_gb": 4}]})");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("volunteer 1: laptop"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("tokens/s for 1 session;"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("with one more like laptop: "), std::string::npos) << result.out;
}

// As many as it says are needed, and no fewer.
TEST(PlanTest, SaysHowManyMoreWouldDo) {
  const CommandResult result = RunPlan(Phones(1));
  EXPECT_EQ(result.exit_code, 1);
  const size_t at = result.out.find("with ");
  ASSERT_NE(at, std::string::npos) << result.out;
  const auto more = static_cast<uint32_t>(std::stoul(result.out.substr(at + 5)));
  EXPECT_EQ(RunPlan(Phones(1 + more)).exit_code, 0);
  EXPECT_EQ(RunPlan(Phones(more)).exit_code, 1);
}

TEST(PlanTest, SaysWhichKindsWouldNotHelp) {
  const CommandResult result = RunPlan(R"({"devices": [{"name": "watch", "memory_gb": 0.05},
      {"name": "phone", "memory_gb": 0.4}, {"name": "key", "memory_gb": 0.01}]})");
  EXPECT_EQ(result.exit_code, 1);
  for (const char* useless : {"watch", "key"}) {
    const std::string line = StrCat("more like ", useless, ": still no plan");
    EXPECT_NE(result.out.find(line), std::string::npos) << result.out;
  }
  EXPECT_NE(result.out.find(" more like phone: first token"), std::string::npos) << result.out;
}

TEST(PlanTest, NamesWhatIsWrongWithTheFile) {
  const CommandResult result = RunPlan(R"({"devices": [{"memory_gb": 1, "gbps": 20}]})");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("devices[0]: gbps"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace shoal::cli
