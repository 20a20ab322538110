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

// So many tabs as `pack --shapes-only` says hold the model, and fewer do not.
TEST(PlanTest, ATabsNumberThatPackTellsIsEnough) {
  const std::string config = SHOAL_SOURCE_DIR "/tests/golden/configs/llama-3.3-70b";
  const CommandResult shapes = RunShoal({"pack", config, "--shapes-only", "--weights", "q4"});
  ASSERT_EQ(shapes.exit_code, 0) << shapes.err;
  for (const uint32_t gib : {2, 4, 8}) {
    const std::string line =
        StrCat("tabs of ", gib, " GiB, with the KV of one session of 4096 tokens: ");
    const size_t at = shapes.out.find(line);
    ASSERT_NE(at, std::string::npos) << shapes.out;
    const unsigned long tabs = std::stoul(shapes.out.substr(at + line.size()));
    const auto plan = [&](unsigned long count) {
      const std::string file = testing::TempDir() + "/plan_test_tabs.json";
      std::ofstream(file) << R"({"positions": 4096, "devices": [{"name": "tab", "count": )" << count
                          << R"(, "memory_gb": )" << gib * 1.073741824 << "}]}";
      return RunShoal({"plan", config, "--shapes-only", "--weights", "q4", "--devices", file});
    };
    const CommandResult enough = plan(tabs);
    EXPECT_EQ(enough.exit_code, 0) << tabs << " tabs: " << enough.out << enough.err;
    EXPECT_EQ(plan(tabs - 1).exit_code, 1) << tabs - 1 << " tabs";
  }
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
