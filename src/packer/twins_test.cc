// Quantised checkpoints are packed as their exact float twins: the same weights, blob by blob.
#include <gtest/gtest.h>

#include <set>

#include "packer/packer.h"
#include "packer/testing.h"
#include "store/pack.h"
#include "tokenizer/tokenizer.h"

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

// The blobs of the weights, in the order of the blocks. (Those of graphs are not equal: GGUF has
// epsilons as floats.)
std::vector<std::string> WeightBlobs(const fs::path& pack) {
  const auto opened = store::Pack::Open(pack);
  EXPECT_TRUE(opened) << opened.error().ToString();
  std::vector<std::string> names;
  for (const store::Block& block : opened->manifest().variants[0].blocks) {
    for (const store::Sha256& sha : block.weights) names.push_back(store::Hex(sha));
  }
  return names;
}

class GgufTwins : public testing::TestWithParam<const char*> {};

TEST_P(GgufTwins, HaveTheSameWeights) {
  const fs::path golden = fs::path(SHOAL_SOURCE_DIR) / "tests" / "golden";
  const ScratchFolder scratch;
  PackOptions options;
  options.checkpoint = golden / "hf" / GetParam();
  options.pack = scratch.path() / "folder";
  ASSERT_TRUE(PackCheckpoint(options));
  options.checkpoint = golden / "gguf" / StrCat(GetParam(), ".gguf");
  options.pack = scratch.path() / "file";
  const auto outcome = PackCheckpoint(options);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  const auto expected = WeightBlobs(scratch.path() / "folder");
  EXPECT_GT(expected.size(), 4u);
  EXPECT_EQ(WeightBlobs(scratch.path() / "file"), expected);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgufTwins,
                         testing::Values("llama3", "qwen2", "gemma3", "phi3", "qwen3_moe"));

TEST(SourceFiles, TokenizersOfOtherFilesArePacked) {
  const fs::path converted =
      fs::path(SHOAL_SOURCE_DIR) / "tests" / "golden" / "tokenizers" / "converted";
  const ScratchFolder scratch;
  const auto arch = model::ParseArchitecture(kTinyConfig);
  for (const char* file : {"tiktoken.model", "bpe.model"}) {
    PackOptions options;
    options.checkpoint = scratch.path() / file / "checkpoint";
    options.pack = scratch.path() / file / "pack";
    WriteCheckpoint(options.checkpoint, kTinyConfig, RandomTensors(*arch, 1));
    const bool renamed = std::string_view(file) == "bpe.model";
    fs::copy_file(converted / file, options.checkpoint / (renamed ? "tokenizer.model" : file));
    const auto outcome = PackCheckpoint(options);
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    const auto pack = store::Pack::Open(options.pack);
    const auto json = pack->ReadPackedFile("tokenizer.json");
    ASSERT_TRUE(json) << json.error().ToString();
    EXPECT_TRUE(tokenizer::Tokenizer::Load(*json));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Twins,
                         testing::Values("fp8_twins/deepseek_v3", "fp8_twins/kimi_k2",
                                         "mxfp4_twins/gpt_oss"));

}  // namespace
}  // namespace shoal::packer
