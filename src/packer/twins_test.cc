// Quantised checkpoints are packed as their exact float twins, and decoders among other parts as
// those that come alone: the same weights, blob by blob.
#include <gtest/gtest.h>

#include <set>

#include "model/checkpoint.h"
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

// A decoder alone, and among the parts of a model that also sees.
struct Wrapping {
  const char* alone;  // In tests/golden/hf.
  const char* model_type;
  const char* text_config;  // Empty: all that the decoder alone has.
  std::vector<std::pair<std::string, std::string>> prefixes;  // Of tensors: alone, wrapped.
  std::string seeing;
};
// What differs from what the family has.
constexpr const char* kGemma3Text = R"({"model_type": "gemma3_text", "hidden_size": 64,
    "intermediate_size": 160, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 512,
    "query_pre_attn_scalar": 32, "sliding_window": 8, "vocab_size": 256})";
const Wrapping kWrappings[] = {
    {"gemma3", "gemma3", kGemma3Text, {{"model.", "language_model.model."}}, ""},
    {"gemma3", "gemma3", kGemma3Text, {{"model.", "model.language_model."}}, "model."},
    {"mistral",
     "mistral3",
     "",
     {{"model.", "language_model.model."}, {"lm_head.", "language_model.lm_head."}},
     ""},
};

class WrappedTwins : public testing::TestWithParam<Wrapping> {
 protected:
  // The checkpoint of the decoder alone, wrapped. `more`: the name of one more tensor.
  void Write(const fs::path& folder, const std::string& more) const {
    const auto alone = model::Checkpoint::Open(alone_);
    ASSERT_TRUE(alone) << alone.error().ToString();
    TestTensors tensors;
    for (const auto& [name, view] : alone->tensors()) {
      std::string wrapped = name;
      for (const auto& [from, to] : GetParam().prefixes) {
        if (name.starts_with(from)) wrapped = to + name.substr(from.size());
      }
      tensors[wrapped] = {"BF16", view.shape, {view.data.begin(), view.data.end()}};
    }
    tensors[GetParam().seeing + "vision_tower.encoder.layers.0.weight"] = {
        "BF16", {2, 2}, ByteVector(8)};
    tensors[GetParam().seeing + "multi_modal_projector.norm.weight"] = {"BF16", {2}, ByteVector(4)};
    if (!more.empty()) tensors[more] = {"BF16", {2}, ByteVector(4)};
    const std::string_view own = GetParam().text_config;
    WriteCheckpoint(folder,
                    StrCat(R"({"model_type": ")", GetParam().model_type, R"(", "text_config": )",
                           own.empty() ? alone->config_json() : own, "}"),
                    tensors);
    fs::copy_file(alone_ / "generation_config.json", folder / "generation_config.json");
  }

  const fs::path alone_ = fs::path(SHOAL_SOURCE_DIR) / "tests" / "golden" / "hf" / GetParam().alone;
  const ScratchFolder scratch_;
};

TEST_P(WrappedTwins, HaveTheSameBlobs) {
  Write(scratch_.path() / "wrapped", "");
  for (const fs::path& checkpoint : {alone_, scratch_.path() / "wrapped"}) {
    PackOptions options;
    options.checkpoint = checkpoint;
    options.pack = scratch_.path() / (checkpoint == alone_ ? "a" : "b");
    const auto outcome = PackCheckpoint(options);
    ASSERT_TRUE(outcome) << outcome.error().ToString();
  }
  const auto expected = WeightBlobs(scratch_.path() / "a");
  EXPECT_GT(expected.size(), 4u);
  EXPECT_EQ(WeightBlobs(scratch_.path() / "b"), expected);
  EXPECT_EQ(Blobs(scratch_.path() / "b"), Blobs(scratch_.path() / "a"));  // Graphs, too.
}

TEST_P(WrappedTwins, OtherTensorsAreNamed) {
  Write(scratch_.path() / "wrapped", "audio_tower.norm.weight");
  PackOptions options;
  options.checkpoint = scratch_.path() / "wrapped";
  options.pack = scratch_.path() / "pack";
  const auto outcome = PackCheckpoint(options);
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().detail.find("\"audio_tower.norm.weight\""), std::string::npos)
      << outcome.error().detail;
}

INSTANTIATE_TEST_SUITE_P(Kinds, WrappedTwins, testing::ValuesIn(kWrappings));

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
