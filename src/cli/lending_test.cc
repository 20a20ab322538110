// What a machine that lends keeps between its runs.
#include "cli/lending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "packer/testing.h"

namespace shoal::cli {
namespace {

namespace fs = std::filesystem;

TEST(KeepResumeToken, IsMadeOnceAndNobodyElsesToRead) {
  const packer::ScratchFolder scratch;
  const fs::path folder = scratch.path() / "data" / "lent";
  const std::string token = KeepResumeToken(folder).value();
  EXPECT_EQ(token.size(), 32u);
  EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), token.npos);
  EXPECT_EQ(KeepResumeToken(folder).value(), token);
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  EXPECT_NE(KeepResumeToken(scratch.path() / "other").value(), token);
}

TEST(KeepResumeToken, IsMadeAnewWhereItWasCutShort) {
  const packer::ScratchFolder scratch;
  std::ofstream(scratch.path() / "resume-token") << "12ab";
  EXPECT_EQ(KeepResumeToken(scratch.path()).value().size(), 32u);
}

TEST(KeepResumeToken, SaysWhereItCannotBeKept) {
  const packer::ScratchFolder scratch;
  std::ofstream(scratch.path() / "file") << "no folder";
  const auto token = KeepResumeToken(scratch.path() / "file" / "lent");
  ASSERT_FALSE(token);
  EXPECT_THAT(token.error().detail, testing::HasSubstr("file/lent"));
}

}  // namespace
}  // namespace shoal::cli
