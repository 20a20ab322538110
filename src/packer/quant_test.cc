// Packs in q8 and q4: what the blobs hold against the checkpoint, and which nodes read it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "onnx/read.h"
#include "packer/packer.h"
#include "packer/quant_format.h"
#include "packer/recipe.h"
#include "packer/testing.h"
#include "store/pack.h"
#include "store/stage_graph.h"
#include "store/stage_weights.h"

namespace shoal::packer {
namespace {

// The tensors of a joined graph with the bytes that they name.
class WholeGraph {
 public:
  explicit WholeGraph(const store::Pack& pack)
      : stage_(*JoinStage(pack, 0, pack.manifest().block_count(), 8)),
        model_(*onnx::Parse(stage_.onnx)),
        weights_(*store::StageWeights::Open(pack, stage_)) {}

  const std::vector<onnx::Node>& nodes() const { return model_.graph.nodes; }
  const onnx::Tensor* Find(std::string_view name) const {
    const auto found = std::ranges::find(model_.graph.initializers, name, &onnx::Tensor::name);
    return found != model_.graph.initializers.end() ? &*found : nullptr;
  }
  const onnx::Tensor& Get(std::string_view name) const {
    const onnx::Tensor* tensor = Find(name);
    EXPECT_NE(tensor, nullptr) << name;
    return *tensor;
  }
  Bytes Data(const onnx::Tensor& tensor) { return *weights_->Map(*tensor.external); }

 private:
  store::StageGraph stage_;
  onnx::Model model_;
  std::unique_ptr<store::StageWeights> weights_;
};

class QuantTest : public testing::TestWithParam<std::string> {
 protected:
  store::Pack MustPack(const char* config, const TestTensors& tensors) {
    WriteCheckpoint(options_.checkpoint, config, tensors);
    options_.weights = GetParam();
    const auto outcome = PackCheckpoint(options_);
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    auto pack = store::Pack::Open(options_.pack);
    EXPECT_TRUE(pack) << pack.error().ToString();
    return *std::move(pack);
  }

  ScratchFolder folder_;
  PackOptions options_{.checkpoint = folder_.path() / "tiny", .pack = folder_.path() / "pack"};
};

// Decodes [rows, columns] by the documented layout, written here once more.
std::vector<float> Decode(Bytes codes, Bytes scale_bytes, uint64_t rows, uint64_t columns,
                          bool is_q4) {
  const uint64_t blocks = columns / 32;
  const uint64_t row_bytes = columns / (is_q4 ? 2 : 1);
  std::vector<uint16_t> scales(scale_bytes.size() / 2);
  std::memcpy(scales.data(), scale_bytes.data(), scale_bytes.size());
  EXPECT_EQ(codes.size(), rows * row_bytes);
  EXPECT_EQ(scales.size(), rows * blocks);
  std::vector<float> values(rows * columns);
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t column = 0; column < columns; ++column) {
      const uint8_t byte = codes[row * row_bytes + column / (is_q4 ? 2 : 1)];
      const int code = is_q4 ? (column % 2 == 0 ? byte & 15 : byte >> 4) - 8 : byte - 128;
      values[row * columns + column] =
          static_cast<float>(code) * F16ToF32(scales[row * blocks + column / 32]);
    }
  }
  return values;
}

// Compares a stored matrix with the checkpoint's tensor: nearest codes, under a sound scale.
void ExpectNear(const std::vector<float>& stored, const TestTensor& source, bool is_q4) {
  std::vector<float> expected(source.data.size() / 2);
  ToF32(DType::kBF16, source.data, expected);
  ASSERT_EQ(stored.size(), expected.size());
  for (size_t first = 0; first < expected.size(); first += 32) {
    double largest = 0;
    double error = 0;
    for (size_t i = first; i < first + 32; ++i) {
      largest = std::max<double>(largest, std::fabs(expected[i]));
      error += std::pow(double{stored[i]} - expected[i], 2);
    }
    ASSERT_LE(std::sqrt(error / 32), largest * (is_q4 ? 0.5 / 7 : 0.5 / 127)) << first;
  }
}

TEST_P(QuantTest, BlobsHoldTheCheckpointInBlocks) {
  const bool is_q4 = GetParam() == "q4";
  const model::Architecture arch = *model::ParseArchitecture(kTinyConfig);
  const TestTensors tensors = RandomTensors(arch, 5);
  const store::Pack pack = MustPack(kTinyConfig, tensors);
  EXPECT_EQ(pack.manifest().variants.front().weights, GetParam());
  WholeGraph graph(pack);
  std::set<std::string> in_q4;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    for (const model::WeightSpec& spec : model::BlockWeights(arch, block)) {
      const std::string name = StrCat("block.", block, ".", spec.role);
      SCOPED_TRACE(name);
      // down's rows of 50 are no whole blocks.
      const bool whole = spec.kind != model::WeightKind::kVector && spec.shape[1] % 32 == 0;
      if (!whole) {
        EXPECT_EQ(graph.Get(name).type,
                  spec.kind == model::WeightKind::kVector ? DType::kF32 : DType::kF16);
        continue;
      }
      const onnx::Tensor& codes = graph.Get(name + ".codes");
      const onnx::Tensor& scales = graph.Get(name + ".scales");
      EXPECT_EQ(codes.external->offset % 64, 0u);
      EXPECT_EQ(scales.external->offset % 64, 0u);
      const bool narrow = codes.external->length == spec.shape[0] * spec.shape[1] / 2;
      if (narrow) in_q4.insert(spec.role);
      ExpectNear(
          Decode(graph.Data(codes), graph.Data(scales), spec.shape[0], spec.shape[1], narrow),
          tensors.at(spec.pieces[0].tensor), narrow);
    }
  }
  EXPECT_EQ(in_q4, is_q4 ? (std::set<std::string>{"q", "gate", "up"}) : std::set<std::string>{});
}

TEST_P(QuantTest, ProductsSayHowTheirMatrixIsStored) {
  const model::Architecture arch = *model::ParseArchitecture(kTinyConfig);
  const store::Pack pack = MustPack(kTinyConfig, RandomTensors(arch, 5));
  const WholeGraph graph(pack);
  size_t products = 0;
  for (const onnx::Node& node : graph.nodes()) {
    if (node.op_type != "MatMulNBits") continue;
    ++products;
    std::map<std::string, int64_t> ints;
    for (const onnx::Attribute& attribute : node.attributes) {
      ints[attribute.name] = std::get<int64_t>(attribute.value);
    }
    EXPECT_EQ(node.domain, "com.microsoft");
    EXPECT_EQ(ints.at("block_size"), 32);
    const onnx::Tensor& codes = graph.Get(node.inputs.at(1));
    EXPECT_EQ(codes.type, DType::kU8);
    EXPECT_EQ(codes.dims,
              (std::vector<int64_t>{ints.at("N"), ints.at("K") / 32, 32 * ints.at("bits") / 8}));
  }
  EXPECT_EQ(products, 2 * 6 + 1u);  // All but down; the head.
  const std::vector<std::string> ops = pack.manifest().variants.front().blocks[0].ops;
  EXPECT_EQ(ops, (std::vector<std::string>{"Cast", "com.microsoft:GatherBlockQuantized"}));
}

TEST_P(QuantTest, ATiedTableIsStoredOnceAndReadInTwoShapes) {
  const model::Architecture arch = *model::ParseArchitecture(kTinyTiedConfig);
  const TestTensors tensors = RandomTensors(arch, 6);
  const store::Pack pack = MustPack(kTinyTiedConfig, tensors);
  const std::vector<store::Block>& blocks = pack.manifest().variants.front().blocks;
  EXPECT_EQ(blocks.front().weights.size(), 1u);
  EXPECT_EQ(blocks.front().weights[0], blocks.back().weights[0]);
  WholeGraph graph(pack);
  const onnx::Tensor& codes = graph.Get("shared.table.codes");
  const onnx::Tensor& rows = graph.Get("shared.table.codes.rows");
  EXPECT_EQ(codes.external, rows.external);
  EXPECT_EQ(codes.dims, (std::vector<int64_t>{41, 1, 32}));
  EXPECT_EQ(rows.dims, (std::vector<int64_t>{41, 32}));
  ExpectNear(Decode(graph.Data(codes), graph.Data(graph.Get("shared.table.scales")), 41, 32, false),
             tensors.at("model.embed_tokens.weight"), false);
}

TEST_P(QuantTest, GoesOnAfterAnInterruption) {
  const model::Architecture arch = *model::ParseArchitecture(kTinyConfig);
  const store::Sha256 expected = MustPack(kTinyConfig, RandomTensors(arch, 7)).id();
  std::filesystem::remove_all(options_.pack);
  options_.progress = [](const Progress& progress) {
    return progress.what != "packing" || 2 * progress.done_bytes < progress.total_bytes;
  };
  EXPECT_EQ(PackCheckpoint(options_).error().code, Code::kCancelled);
  options_.progress = PackOptions().progress;
  const auto outcome = PackCheckpoint(options_);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_GT(outcome->blobs_reused, 0u);
  EXPECT_EQ(outcome->id, expected);
  EXPECT_TRUE(store::Pack::Open(options_.pack)->Verify([](uint64_t, uint64_t) {}).empty());
}

TEST_P(QuantTest, RefusesWhatHasNoScale) {
  const model::Architecture arch = *model::ParseArchitecture(kTinyConfig);
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  for (const auto& [bits, detail] :
       {std::pair<uint16_t, const char*>{F32ToBF16(5e6), "too large for q"},
        {uint16_t{0x7f80}, "not finite"},
        {uint16_t{0xffc0}, "not finite"}}) {
    TestTensors tensors = RandomTensors(arch, 8);
    std::memcpy(tensors[name].data.data() + 64, &bits, 2);
    WriteCheckpoint(options_.checkpoint, kTinyConfig, tensors);
    options_.weights = GetParam();
    options_.force = true;  // Over what the last failure left.
    const auto outcome = PackCheckpoint(options_);
    ASSERT_FALSE(outcome);
    EXPECT_NE(outcome.error().detail.find("\"" + name + "\" holds"), std::string::npos)
        << outcome.error().detail;
    EXPECT_NE(outcome.error().detail.find(detail), std::string::npos) << outcome.error().detail;
  }
}

INSTANTIATE_TEST_SUITE_P(Weights, QuantTest, testing::Values("q8", "q4"),
                         [](const auto& parameter) { return parameter.param; });

TEST(Recipe, KnowsItsNames) {
  for (const char* name : {"f32", "f16", "q8", "q4"}) {
    const auto recipe = Recipe::Named(name);
    ASSERT_TRUE(recipe) << name;
    EXPECT_EQ(recipe->name(), name);
  }
  for (const char* name : {"", "q5", "Q4", "q4,q8"}) {
    EXPECT_EQ(Recipe::Named(name).error().code, Code::kInvalidArgument) << name;
  }
}

TEST(Recipe, StoresByRole) {
  const Recipe recipe = *Recipe::Named("q4");
  model::Architecture arch;
  const auto format = [&](const char* role, model::WeightKind kind, std::vector<uint64_t> shape) {
    model::WeightSpec spec;
    spec.role = role;
    spec.kind = kind;
    spec.shape = std::move(shape);
    return recipe.FormatOf(arch, spec).name();
  };
  using enum model::WeightKind;
  EXPECT_EQ(format("gate", kMatrix, {100, 64}), "q4");
  EXPECT_EQ(format("q", kMatrix, {100, 64}), "q4");
  EXPECT_EQ(format("v", kMatrix, {100, 64}), "q8");
  EXPECT_EQ(format("table", kEmbedding, {100, 64}), "q8");
  EXPECT_EQ(format("gate", kMatrix, {100, 65}), "f16");
  EXPECT_EQ(format("router", kMatrix, {8, 64}), "f16");
  EXPECT_EQ(format("positions", kEmbedding, {100, 64}), "f16");
  EXPECT_EQ(format("k_up", kHeads, {4, 64, 64}), "f16");
  EXPECT_EQ(format("q_a", kMatrix, {48, 64}), "q8");
  arch.mixture.emplace();
  EXPECT_EQ(format("gate", kMatrix, {100, 64}), "q8");
  EXPECT_EQ(format("q", kMatrix, {100, 64}), "q8");
  EXPECT_EQ(format("shared_down", kMatrix, {64, 96}), "q8");
  EXPECT_EQ(format("experts.0.out", kExperts, {4, 64, 96}), "q4");
}

}  // namespace
}  // namespace shoal::packer
