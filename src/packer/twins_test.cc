// Quantised checkpoints are packed as their exact float twins: the same weights, blob by blob.
#include <gtest/gtest.h>

#include <set>

#include "packer/packer.h"
#include "packer/testing.h"

namespace shoal::packer {
namespace {

namespace fs = std::filesystem;

std::set<std::string> Blobs(const fs::path& pack) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(pack / "blobs")) {
    if (entry.is_regular_file()) names.insert(entry.path().filename().string());
  }
  return names;
}

class Twins : public testing::TestWithParam<const char*> {};

TEST_P(Twins, HaveTheSameBlobs) {
  const fs::path folder = fs::path(SHOAL_SOURCE_DIR) / "tests" / "golden" / GetParam();
  const ScratchFolder scratch;
  std::set<std::string> blobs[2];
  for (const size_t quantised : {0, 1}) {
    PackOptions options;
    options.checkpoint = folder / (quantised != 0 ? "quantised" : "float");
    options.pack = scratch.path() / (quantised != 0 ? "a" : "b");
    const auto outcome = PackCheckpoint(options);
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    blobs[quantised] = Blobs(options.pack);
  }
  EXPECT_GT(blobs[0].size(), 4u);
  EXPECT_EQ(blobs[0], blobs[1]);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Twins,
                         testing::Values("fp8_twins/deepseek_v3", "fp8_twins/kimi_k2",
                                         "mxfp4_twins/gpt_oss"));

}  // namespace
}  // namespace shoal::packer
