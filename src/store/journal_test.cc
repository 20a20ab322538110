#include "store/journal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

namespace shoal::store {
namespace {

namespace fs = std::filesystem;

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("journal_test_" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path path() const { return folder_ / "journal"; }

  fs::path folder_;
};

const std::vector<JournalStage> kPlan = {{0, 0, 3, {"ann", "bob"}, {"q4", "f32"}},
                                         {0, 3, 5, {"cy"}, {"q4"}}};

TEST_F(JournalTest, ComesBackAsItWas) {
  {
    auto journal = Journal::Open(path(), "m").value();
    journal.Worked("ann", 5);
    journal.Worked("bob", 7);
    journal.Worked("ann", 6);
    journal.Flush();
    journal.Worked("ann", 1);
    journal.Planned(kPlan);
    journal.SessionOpened(UINT64_MAX);
    journal.SessionOpened(2);
    journal.SessionEnded(2);
  }
  const auto journal = Journal::Open(path(), "m").value();
  EXPECT_EQ(journal.past().work, (decltype(JournalState::work){{"ann", 12}, {"bob", 7}}));
  EXPECT_EQ(journal.past().plan, kPlan);
  EXPECT_EQ(journal.past().open, std::set<uint64_t>{UINT64_MAX});
  EXPECT_TRUE(journal.state().open.empty());
}

TEST_F(JournalTest, SurvivesAKilledProcess) {
  const pid_t child = fork();
  if (child == 0) {
    auto journal = Journal::Open(path(), "m").value();
    journal.Worked("ann", 5);
    journal.Flush();
    journal.Planned(kPlan);
    journal.SessionOpened(7);
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  const auto journal = Journal::Open(path(), "m").value();
  EXPECT_EQ(journal.past().work.at("ann"), 5u);
  EXPECT_EQ(journal.past().plan, kPlan);
  EXPECT_EQ(journal.past().open, std::set<uint64_t>{7});
}

TEST_F(JournalTest, EndsAtALineThatWasCutOffOrDamaged) {
  {
    auto journal = Journal::Open(path(), "m").value();
    journal.SessionOpened(1);
    journal.SessionOpened(2);
  }
  const std::string whole = [&] {
    std::ifstream file(path());
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    std::ofstream(path()) << whole.substr(0, bytes);
    const auto journal = Journal::Open(path(), "m").value();
    EXPECT_LE(journal.past().open.size(), 2u) << bytes;
    if (bytes > whole.size() / 2) EXPECT_TRUE(journal.past().open.contains(1)) << bytes;
  }
  std::string damaged = whole;
  damaged[whole.size() - 3] ^= 1;
  std::ofstream(path()) << damaged;
  EXPECT_EQ(Journal::Open(path(), "m").value().past().open, std::set<uint64_t>{1});
}

TEST_F(JournalTest, AnotherModelsPlanIsForgottenItsWorkIsNot) {
  {
    auto journal = Journal::Open(path(), "m").value();
    journal.Worked("ann", 5);
    journal.Planned(kPlan);
  }
  const auto journal = Journal::Open(path(), "other").value();
  EXPECT_TRUE(journal.past().plan.empty());
  EXPECT_EQ(journal.past().work.at("ann"), 5u);
}

TEST_F(JournalTest, BelongsToOneProcess) {
  const auto journal = Journal::Open(path(), "m").value();
  const auto second = Journal::Open(path(), "m");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace shoal::store
