// `shoal serve MODEL`: what is packed, when it is, and when it is not.
#include "cli/served_pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing.h"
#include "packer/testing.h"
#include "store/pack.h"

namespace shoal::cli {
namespace {

namespace fs = std::filesystem;

class ServedPackTest : public testing::Test {
 protected:
  ServedPackTest() {
    fs::copy(GoldenFolder("llama3"), folder_.path() / "tiny-1.5");
    options_.model = folder_.path() / "tiny-1.5";
    options_.data = folder_.path() / "data";
    options_.weights = "q8";
    options_.on_packing = [this](const std::string&) { ++packings_; };
  }

  packer::ScratchFolder folder_;
  ServedPackOptions options_;
  int packings_ = 0;
};

TEST_F(ServedPackTest, PacksOnceAndAgainWhenTheModelHasChanged) {
  const auto first = PackToServe(options_);
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(packings_, 1);
  const auto pack = store::Pack::Open(*first);
  ASSERT_TRUE(pack);
  EXPECT_EQ(pack->manifest().name, "tiny-1.5");
  EXPECT_EQ(pack->manifest().variants.front().weights, "q8");
  EXPECT_EQ(PackToServe(options_).value(), *first);
  EXPECT_EQ(packings_, 1);
  // A pack is served where it lies.
  options_.model = *first;
  EXPECT_EQ(PackToServe(options_).value(), fs::canonical(*first));
  options_.model = folder_.path() / "tiny-1.5";
  // Another model in the same place: Qwen's shapes differ, so the pack does.
  fs::remove_all(options_.model);
  fs::copy(GoldenFolder("qwen2"), options_.model);
  const auto second = PackToServe(options_);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(packings_, 2);
  EXPECT_EQ(*second, *first);
  EXPECT_NE(store::Pack::Open(*second)->id(), pack->id());
}

TEST_F(ServedPackTest, OtherWeightsAndPlacesAreOtherPacks) {
  const fs::path first = PackToServe(options_).value();
  options_.weights = "f16";
  const fs::path second = PackToServe(options_).value();
  fs::create_directories(folder_.path() / "elsewhere");
  fs::rename(options_.model, folder_.path() / "elsewhere/tiny-1.5");
  options_.model = folder_.path() / "elsewhere/tiny-1.5";
  const fs::path third = PackToServe(options_).value();
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
  EXPECT_EQ(packings_, 3);
}

TEST_F(ServedPackTest, GoesOnWhereItWasStopped) {
  class Stop {};
  options_.on_progress = [](std::string_view what, uint64_t done, uint64_t total) {
    if (what == "packing" && done > total / 2) throw Stop();
  };
  EXPECT_THROW(static_cast<void>(PackToServe(options_)), Stop);
  uint64_t least = ~uint64_t{0};
  options_.on_progress = [&](std::string_view what, uint64_t done, uint64_t) {
    if (what == "packing") least = std::min(least, done);
  };
  ASSERT_TRUE(PackToServe(options_));
  EXPECT_GT(least, 0u);
}

TEST_F(ServedPackTest, SaysWhatItCannotServe) {
  options_.model = folder_.path() / "absent";
  EXPECT_EQ(PackToServe(options_).error().code, Code::kNotFound);
  fs::create_directories(folder_.path() / "empty");
  options_.model = folder_.path() / "empty";
  EXPECT_THAT(PackToServe(options_).error().detail, testing::HasSubstr("neither a pack"));
  const CommandResult result = RunShoal({"serve", options_.model.string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, testing::HasSubstr("neither a pack"));
}

}  // namespace
}  // namespace shoal::cli
