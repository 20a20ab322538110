// Operators of single families, each in a stage of its own, against what they should give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numbers>

#include "base/random.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/experts.h"
#include "engine/kernels/log.h"
#include "engine/stage.h"
#include "onnx/model.h"
#include "onnx/testing.h"

namespace shoal::engine {
namespace {

using onnx::Dim;
using onnx::testing::Floats;
using onnx::testing::Ints;

class NoWeights : public WeightSource {
 public:
  Result<Bytes> Map(const onnx::ExternalData&) override {
    return Fail(Code::kNotFound, "no external weights");
  }
};

onnx::Node Op(std::string type, std::vector<std::string> inputs, std::vector<std::string> outputs,
              std::vector<onnx::Attribute> attributes = {}, std::string domain = "") {
  std::string name = type + "." + outputs[0];
  return {std::move(type),   std::move(domain),  std::move(name),
          std::move(inputs), std::move(outputs), std::move(attributes)};
}

// The nodes as a stage from hidden.1 [rows, width] to hidden.2 [rows, out_width].
Result<std::vector<float>> RunGraph(std::vector<onnx::Node> nodes,
                                    std::vector<onnx::Tensor> constants, size_t width,
                                    size_t out_width, const std::vector<float>& input) {
  onnx::Model model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  model.graph.nodes = std::move(nodes);
  model.graph.initializers = std::move(constants);
  const auto value = [](const char* name, size_t size) {
    return onnx::ValueInfo{name,
                           DType::kF32,
                           {Dim::Symbolic("batch"), Dim::Symbolic("sequence"),
                            Dim::Fixed(static_cast<int64_t>(size))}};
  };
  model.graph.inputs = {value("hidden.1", width)};
  model.graph.outputs = {value("hidden.2", out_width)};
  NoWeights none;
  ASSIGN_OR_RETURN(const auto stage, Stage::Load(model, none, {}));
  const SessionId session{1};
  RETURN_IF_ERROR(stage->Open(session, 64));
  std::vector<Row> rows;
  for (uint32_t r = 0; r < input.size() / width; ++r) rows.push_back({session, r, false});
  ASSIGN_OR_RETURN(const Output output, stage->Run(rows, Input::Hidden(input)));
  return std::vector<float>(output.values.begin(), output.values.end());
}

TEST(Ops, TopKGatherAndScatterChooseTheLargest) {
  const auto chosen = RunGraph(
      {Op("TopK", {"hidden.1", "k"}, {"values", "indices"}),
       Op("Mul", {"hidden.1", "zero"}, {"zeros"}),
       Op("GatherElements", {"hidden.1", "indices"}, {"again"}, {{"axis", int64_t{-1}}}),
       Op("ScatterElements", {"zeros", "indices", "again"}, {"hidden.2"}, {{"axis", int64_t{-1}}})},
      {Ints("k", {2}), Floats("zero", {}, {0})}, 4, 4,
      {1, 4, 3, 2, /**/ 5, 5, 5, 1, /**/ -1, -2, -3, -4});
  ASSERT_TRUE(chosen) << chosen.error().ToString();
  // Of equal ones the first.
  EXPECT_EQ(*chosen, (std::vector<float>{0, 4, 3, 0, 5, 5, 0, 0, -1, -2, 0, 0}));
}

TEST(Ops, SumsDividesAndRepeats) {
  const auto shares = RunGraph(
      {Op("ReduceSum", {"hidden.1", "axes"}, {"sum"}, {{"keepdims", int64_t{1}}}),
       Op("Div", {"hidden.1", "sum"}, {"share"}), Op("Max", {"share", "floor"}, {"floored"}),
       Op("Mul", {"floored", "sum"}, {"hidden.2"})},
      {Ints("axes", {-1}), Floats("floor", {}, {0.25f})}, 3, 3, {1, 1, 2, /**/ 0, 4, 4});
  ASSERT_TRUE(shares) << shares.error().ToString();
  EXPECT_EQ(*shares, (std::vector<float>{1, 1, 2, 2, 4, 4}));
}

TEST(Ops, LayerNormalizationHasMeanAndVarianceOfItsBiasAndScale) {
  const auto normed = RunGraph(
      {Op("LayerNormalization", {"hidden.1", "scale", "bias"}, {"hidden.2"}, {{"epsilon", 0.0f}})},
      {Floats("scale", {4}, {1, 2, 1, 1}), Floats("bias", {4}, {0, 0, 10, 0})}, 4, 4, {1, 3, 1, 3});
  ASSERT_TRUE(normed) << normed.error().ToString();
  EXPECT_THAT(*normed,
              ::testing::Pointwise(::testing::FloatNear(1e-6f), {-1.0f, 2.0f, 9.0f, 1.0f}));
}

TEST(Ops, HeadsHaveAMatrixEach) {
  const auto product = RunGraph(
      {Op("Reshape", {"hidden.1", "split"}, {"x"}),
       Op("Transpose", {"x"}, {"heads"}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}),
       Op("MatMul", {"heads", "w"}, {"y"}),
       Op("Transpose", {"y"}, {"rows"}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}),
       Op("Reshape", {"rows", "join"}, {"hidden.2"})},
      {Ints("split", {0, 0, 2, 2}), Ints("join", {0, 0, 2}), Floats("w", {2, 2, 1}, {1, 10, 2, 3})},
      4, 2, {1, 2, 3, 4, /**/ 5, 6, 7, 8});
  ASSERT_TRUE(product) << product.error().ToString();
  EXPECT_EQ(*product, (std::vector<float>{21, 18, 65, 38}));
}

TEST(Ops, RefuseWhatTheyDoNotKnow) {
  const auto error = [](onnx::Node node, std::vector<onnx::Tensor> constants) {
    const auto result = RunGraph({std::move(node)}, std::move(constants), 4, 4, {1, 2, 3, 4});
    return result ? std::string("no error") : result.error().detail;
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(error(Op("TopK", {"hidden.1", "k"}, {"hidden.2", "i"}), {Ints("k", {5})}),
              HasSubstr("k must be one number from 1 to 4"));
  EXPECT_THAT(error(Op("GatherElements", {"hidden.1", "k"}, {"hidden.2"}, {{"axis", int64_t{-1}}}),
                    {Ints("k", {0})}),
              HasSubstr("must be the indices of a TopK"));
  EXPECT_THAT(error(Op("ReduceSum", {"hidden.1", "a"}, {"hidden.2"}), {Ints("a", {1})}),
              HasSubstr("axis must be the last one"));
  EXPECT_THAT(error(Op("MoE", {"hidden.1", "hidden.1", "in", "", "out"}, {"hidden.2"},
                       {{"activation_type", std::string("silu")}}, "com.microsoft"),
                    {Floats("in", {4, 2, 4}, std::vector<float>(32)),
                     Floats("out", {4, 4, 1}, std::vector<float>(16))}),
              HasSubstr("only activation_type swiglu"));
  EXPECT_THAT(
      error(Op("MoE", {"hidden.1", "hidden.1", "in", "", "out"}, {"hidden.2"}, {}, "com.microsoft"),
            {Floats("in", {3, 2, 5}, std::vector<float>(30)),
             Floats("out", {3, 4, 1}, std::vector<float>(12))}),
      HasSubstr("MoE"));
}

TEST(Log, IsTheLogarithm) {
  for (float x = 1e-37f; x < 1e37f; x *= 1.37f) {
    const double exact = std::log(static_cast<double>(x));
    EXPECT_NEAR(Log(x), exact, 2e-7 * std::max(1.0, std::abs(exact))) << x;
  }
  EXPECT_NEAR(Log(1e-40f), std::log(1e-40), 1e-4);
  EXPECT_EQ(Log(1), 0);
  EXPECT_EQ(Log(0), -INFINITY);
  EXPECT_TRUE(std::isnan(Log(-1)));
}

// Two experts of one inner value: out = down * (min(g, limit) * sigmoid(alpha g) * (u + beta)).
TEST(Experts, WeighTheChosenAndSkipTheOthers) {
  const ExpertShape shape{
      .experts = 3, .hidden = 1, .inner = 1, .chosen = 2, .alpha = 2, .beta = 1, .limit = 3};
  const float nan = NAN;  // The expert that nobody chooses.
  const std::vector<float> in = {1, 2, 4, 5, nan, nan};
  const std::vector<float> down = {10, 100, nan};
  const std::vector<float> scores = {std::log(1.0f), std::log(3.0f), -80};
  const float x = 1;
  float out = 0;
  Serial serial;
  Experts(shape, {.data = reinterpret_cast<const uint8_t*>(in.data())},
          {.data = reinterpret_cast<const uint8_t*>(down.data())}, nullptr, &x, scores.data(), 1,
          &out, serial);
  const double first = 10 * (1 / (1 + std::exp(-2.0))) * (2 + 1);
  const double second = 100 * (3 / (1 + std::exp(-2.0 * 3))) * (3 + 1);
  EXPECT_NEAR(out, 0.25 * first + 0.75 * second, 1e-3);
}

float Between(Random& random, double most) {
  return static_cast<float>(most * (2 * random.NextDouble() - 1));
}

// A stack of experts in blocks, and the same weights as floats.
struct BlockStack {
  BlockStack(BlockFormat format, size_t experts, size_t outputs, size_t inputs, Random& random)
      : floats(experts * outputs * inputs), bias(experts * outputs) {
    ByteVector codes(floats.size() / kBlockValues * BlockCodeBytes(format));
    std::vector<uint16_t> scales(floats.size() / kBlockValues);
    for (float& value : floats) value = Between(random, 1);
    for (float& value : bias) value = Between(random, 1);
    QuantizeRow(format, floats, codes, scales);
    DequantizeRow(format, codes, scales, floats);
    matrix = std::make_unique<BlockMatrix>(format, experts * outputs, inputs, codes, scales);
  }
  ExpertStack InBlocks() const { return {.blocks = matrix.get(), .bias = bias.data()}; }
  ExpertStack InFloats() const {
    return {.data = reinterpret_cast<const uint8_t*>(floats.data()), .bias = bias.data()};
  }

  std::vector<float> floats, bias;
  std::unique_ptr<BlockMatrix> matrix;
};

class BlockExperts : public ::testing::TestWithParam<BlockFormat> {
 protected:
  static constexpr ExpertShape kShape{
      .experts = 5, .hidden = 64, .inner = 32, .chosen = 2, .alpha = 1.7f, .beta = 1, .limit = 7};
  static constexpr size_t kRows = 9;

  BlockExperts() : x_(kRows * kShape.hidden), scores_(kRows * kShape.experts) {
    for (float& value : x_) value = Between(random_, 1);
    for (float& value : scores_) value = Between(random_, 3);
  }

  // Rows [first, first + count).
  std::vector<float> Run(const ExpertStack& in, const ExpertStack& out, const BlockKernels* kernels,
                         size_t first = 0, size_t count = kRows) {
    std::vector<float> result(count * kShape.hidden);
    Serial serial;
    Experts(kShape, in, out, kernels, x_.data() + first * kShape.hidden,
            scores_.data() + first * kShape.experts, count, result.data(), serial);
    return result;
  }

  Random random_{11};
  std::vector<float> x_, scores_;
};

TEST_P(BlockExperts, GiveWhatTheirWeightsGiveAsFloats) {
  const BlockStack in(GetParam(), kShape.experts, 2 * kShape.inner, kShape.hidden, random_);
  const BlockStack out(GetParam(), kShape.experts, kShape.hidden, kShape.inner, random_);
  const std::vector<float> expected = Run(in.InFloats(), out.InFloats(), nullptr);
  const std::vector<float> exact = Run(in.InBlocks(), out.InBlocks(), nullptr);
  const std::vector<float> rounded = Run(in.InBlocks(), out.InBlocks(), BlockKernelsHere().back());
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(exact[i], expected[i], 1e-5 * largest) << i;
    ASSERT_NEAR(rounded[i], expected[i], 0.02 * largest) << i;
  }
}

TEST_P(BlockExperts, HaveTheSameBitsAloneAndWithEveryKernel) {
  const BlockStack in(GetParam(), kShape.experts, 2 * kShape.inner, kShape.hidden, random_);
  const BlockStack out(GetParam(), kShape.experts, kShape.hidden, kShape.inner, random_);
  const std::vector<float> expected = Run(in.InBlocks(), out.InBlocks(), &ScalarBlockKernels());
  for (const BlockKernels* kernels : BlockKernelsHere()) {
    EXPECT_EQ(Run(in.InBlocks(), out.InBlocks(), kernels), expected) << kernels->name;
    for (size_t row = 0; row < kRows; ++row) {
      const auto first = expected.begin() + static_cast<ptrdiff_t>(row * kShape.hidden);
      EXPECT_EQ(Run(in.InBlocks(), out.InBlocks(), kernels, row, 1),
                std::vector<float>(first, first + kShape.hidden))
          << kernels->name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, BlockExperts,
                         ::testing::Values(BlockFormat::kQ4, BlockFormat::kQ8));

KvRows RowsOf(const std::vector<float>& values, size_t width) {
  const auto* const data = reinterpret_cast<const uint8_t*>(values.data());
  return {KvFormat::kF32, data, width, width * sizeof(float)};
}

// Keys are all alike, so that the softmax is even over what is attended to.
TEST(AttendHeads, SeesOnlyTheWindowAndTheSink) {
  AttentionShape shape{.heads = 1, .kv_heads = 1, .head_size = 1};
  const std::vector<float> keys(5, 0.0f);
  const std::vector<float> values = {100, 100, 1, 2, 3};
  std::vector<float> scores(AttentionScratch(shape, 5));
  const float query = 1;
  float out = 0;
  const auto attend = [&] {
    AttendHeads(shape, &query, RowsOf(keys, 1), RowsOf(values, 1), 5, 0, 1, scores.data(), &out);
    return out;
  };
  EXPECT_NEAR(attend(), 206.0f / 5, 1e-5);
  shape.window = 3;
  EXPECT_NEAR(attend(), 2, 1e-6);
  const float sink = std::numbers::ln2_v<float>;  // Counts as two positions.
  shape.sinks = &sink;
  EXPECT_NEAR(attend(), 6.0f / 5, 1e-6);
  shape.window = 8;
  EXPECT_NEAR(attend(), 206.0f / 7, 1e-5);
}

}  // namespace
}  // namespace shoal::engine
