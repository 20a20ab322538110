// `shoal simulate` as people and scripts meet it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "cli/testing.h"

namespace shoal::cli {
namespace {

CommandResult RunSimulate(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "simulate");
  arguments.insert(arguments.end(), {"--scenarios", SHOAL_SOURCE_DIR "/tests/scenarios"});
  return RunShoal(arguments);
}

TEST(SimulateTest, ListsThePlantedBugs) {
  const CommandResult result = RunSimulate({"--plant", "list"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* name :
       {"drop-rebuild", "accept-old-epoch", "stale-kv", "forget-lease", "double-send", "lose-chunk",
        "late-rollback", "credit-twice", "copy-beside", "lose-kv"}) {
    EXPECT_NE(result.out.find(name), std::string::npos) << name;
  }
}

TEST(SimulateTest, WrongUsage) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "needs a scenario"},
      {{"sunshine"}, "sunshine"},
      {{"chat", "--seeds", "9..3"}, "smaller"},
      {{"chat", "--seeds", "many"}, "many"},
      {{"chat", "--plant", "rose"}, "rose"},
  };
  for (const auto& [arguments, detail] : cases) {
    const CommandResult result = RunSimulate(arguments);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.err.find(detail), std::string::npos) << result.err;
  }
}

TEST(SimulateTest, AFailingSeedIsPrintedAndFailsTheRun) {
  const CommandResult result =
      RunSimulate({"chat+churn", "--seeds", "1..50", "--plant", "double-send", "--until-found"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.out.find("chat+churn seed "), std::string::npos) << result.out;
}

TEST(SimulateTest, ASeedRepeatsExactly) {
  const CommandResult first = RunSimulate({"chat+churn", "--seeds", "7", "--trace"});
  const CommandResult second = RunSimulate({"chat+churn", "--seeds", "7", "--trace"});
  EXPECT_EQ(first.out, second.out);
  EXPECT_NE(RunSimulate({"chat+churn", "--seeds", "8", "--trace"}).out, first.out);
}

TEST(SimulateTest, EveryPlantedBugIsFound) {
  const std::pair<const char*, const char*> cases[] = {
      {"drop-rebuild", "chat+churn"},
      {"accept-old-epoch", "crowd+churn"},
      {"stale-kv", "chat+churn"},
      {"forget-lease", "chat"},
      {"double-send", "chat"},
      {"lose-chunk", "long-prompts"},
      {"late-rollback", "chat+churn"},
      {"credit-twice", "chat"},
      {"copy-beside", "system-prompt+churn"},
      {"lose-kv", "leaving+long-prompts"},
  };
  for (const auto& [plant, scenario] : cases) {
    const CommandResult result =
        RunSimulate({scenario, "--seeds", "1..60", "--plant", plant, "--until-found"});
    EXPECT_EQ(result.exit_code, 1) << plant << "\n" << result.out;
  }
}

// Seeds that once fired: KV is copied from a session that is released right after, or for a session
// whose route is replaced before the copy's turn; a layer's experts lie with too few holders, who
// give none of them up.
TEST(SimulateTest, SeedsThatFoundSomethingAreSilent) {
  const std::pair<const char*, const char*> cases[] = {{"system-prompt+crowd+tight-kv", "35"},
                                                       {"system-prompt", "605"},
                                                       {"system-prompt+churn", "529"},
                                                       {"experts+crowd+partition", "514"}};
  for (const auto& [scenario, seed] : cases) {
    const CommandResult result = RunSimulate({scenario, "--seeds", seed});
    EXPECT_EQ(result.exit_code, 0) << result.out;
  }
}

// The checkers are silent over every scenario.
TEST(SimulateTest, NothingFiresWithoutABug) {
  const char* const tests = std::getenv("SHOAL_TESTS");
  const bool is_full = tests != nullptr && std::string_view(tests) == "full";
  const CommandResult result = RunSimulate({"all", "--seeds", is_full ? "1..200" : "1..10"});
  EXPECT_EQ(result.exit_code, 0) << result.out;
}

}  // namespace
}  // namespace shoal::cli
