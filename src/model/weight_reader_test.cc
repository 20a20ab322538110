// Weights put together from pieces, against the same pieces cut out by hand.
#include "model/weight_reader.h"

#include <gtest/gtest.h>

#include "model/families.h"
#include "model/testing.h"

namespace shoal::model {
namespace {

class WeightReaderTest : public testing::TestWithParam<const char*> {
 protected:
  static Checkpoint Open(const std::string& kind) {
    auto checkpoint = Checkpoint::Open(std::string(SHOAL_SOURCE_DIR "/tests/golden/hf/") + kind);
    EXPECT_TRUE(checkpoint) << checkpoint.error().ToString();
    return *std::move(checkpoint);
  }
  static std::vector<float> Tensor(const Checkpoint& checkpoint, const std::string& name) {
    return Floats(checkpoint.tensors().at(name));
  }
  // All slices of a weight of a block, one after the other.
  static std::vector<float> Read(const Checkpoint& checkpoint, uint32_t block,
                                 const std::string& role) {
    for (const WeightSpec& spec : BlockWeights(checkpoint.architecture(), block)) {
      if (spec.role != role) continue;
      auto reader = WeightReader::Open(checkpoint, spec);
      EXPECT_TRUE(reader) << reader.error().ToString();
      std::vector<float> all;
      for (uint64_t i = 0; i < reader->slice_count(); ++i) {
        const std::vector<float> slice = Floats(reader->Slice(i));
        all.insert(all.end(), slice.begin(), slice.end());
      }
      EXPECT_EQ(all.size(), spec.element_count());
      return all;
    }
    ADD_FAILURE() << "no weight " << role;
    return {};
  }
};

TEST_F(WeightReaderTest, TakesRowsOfAStackedTensor) {
  const Checkpoint phi = Open("phi3");
  const std::vector<float> stacked = Tensor(phi, "model.layers.1.self_attn.qkv_proj.weight");
  EXPECT_EQ(Read(phi, 2, "q"), std::vector<float>(stacked.begin(), stacked.begin() + 64 * 64));
  EXPECT_EQ(Read(phi, 2, "v"), std::vector<float>(stacked.end() - 32 * 64, stacked.end()));
}

TEST_F(WeightReaderTest, TakesColumnsOfATransposedTensor) {
  const Checkpoint gpt = Open("gpt2");
  const std::vector<float> stacked = Tensor(gpt, "h.0.attn.c_attn.weight");  // [64, 192]
  const std::vector<float> k = Read(gpt, 1, "k");
  for (size_t out = 0; out < 64; ++out) {
    for (size_t in = 0; in < 64; ++in) ASSERT_EQ(k[out * 64 + in], stacked[in * 192 + 64 + out]);
  }
  const std::vector<float> biases = Tensor(gpt, "h.0.attn.c_attn.bias");
  EXPECT_EQ(Read(gpt, 1, "v_bias"), std::vector<float>(biases.begin() + 128, biases.end()));
}

TEST_F(WeightReaderTest, AddsWhatTheFamilyLeavesOut) {
  const Checkpoint gemma = Open("gemma2");
  std::vector<float> expected = Tensor(gemma, "model.norm.weight");
  for (float& value : expected) value += 1;
  EXPECT_EQ(Read(gemma, 5, "norm"), expected);
}

TEST_F(WeightReaderTest, PairsGateAndUp) {
  const Checkpoint mixtral = Open("mixtral");
  ASSERT_EQ(mixtral.architecture().mixture->expert_groups, 4u);
  const std::string expert = "model.layers.0.block_sparse_moe.experts.2.";
  const std::vector<float> gate = Tensor(mixtral, expert + "w1.weight");  // [96, 64]
  const std::vector<float> up = Tensor(mixtral, expert + "w3.weight");
  const std::vector<float> in = Read(mixtral, 1, "experts.2.in");
  for (size_t row = 0; row < 96; ++row) {
    for (size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(in[2 * row * 64 + i], gate[row * 64 + i]);
      ASSERT_EQ(in[(2 * row + 1) * 64 + i], up[row * 64 + i]);
    }
  }
}

TEST_F(WeightReaderTest, TakesAnExpertOfAStack) {
  const Checkpoint oss = Open("gpt_oss");
  const std::vector<float> all = Tensor(oss, "model.layers.0.mlp.experts.gate_up_proj");
  const std::vector<float> in = Read(oss, 1, "experts.3.in");  // Of [4, 64, 128], transposed.
  for (size_t out = 0; out < 128; ++out) {
    for (size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(in[out * 64 + i], all[3 * 64 * 128 + i * 128 + out]);
    }
  }
}

TEST_F(WeightReaderTest, DividesTheUpProjectionOfLatents) {
  const Checkpoint deepseek = Open("deepseek_v3");
  const std::vector<float> b = Tensor(deepseek, "model.layers.0.self_attn.kv_b_proj.weight");
  const std::vector<float> keys = Read(deepseek, 1, "k_up");    // [4, 32, 32]
  const std::vector<float> values = Read(deepseek, 1, "v_up");  // [4, 32, 32]
  for (size_t head = 0; head < 4; ++head) {
    for (size_t i = 0; i < 32; ++i) {
      for (size_t rank = 0; rank < 32; ++rank) {
        ASSERT_EQ(keys[(head * 32 + i) * 32 + rank], b[(head * 64 + i) * 32 + rank]);
        ASSERT_EQ(values[(head * 32 + rank) * 32 + i], b[(head * 64 + 32 + i) * 32 + rank]);
      }
    }
  }
}

// Every element of every tensor that is not left out belongs to exactly one weight.
TEST_P(WeightReaderTest, CoversTheCheckpoint) {
  const Checkpoint checkpoint = Open(GetParam());
  const Architecture& arch = checkpoint.architecture();
  uint64_t elements = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!IsIgnorableTensor(arch, name)) elements += tensor.data.size() / DTypeBytes(tensor.type);
  }
  EXPECT_EQ(TotalParams(arch), elements);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WeightReaderTest,
                         testing::Values("llama_tied", "mistral", "qwen2", "qwen3_moe", "mixtral",
                                         "phi3", "gemma2", "gemma3", "gpt2", "olmo2", "deepseek_v3",
                                         "kimi_k2", "gpt_oss", "smollm3", "granite"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace shoal::model
