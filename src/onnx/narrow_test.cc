#include "onnx/narrow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/testing.h"

namespace shoal::onnx {
namespace {

using ::testing::ElementsAre;
using testing::EmptyModel;
using testing::Floats;
using ::testing::HasSubstr;
using testing::HiddenDims;
using testing::Ints;
using testing::MakeNode;
using testing::Value;

bool IsHidden(std::string_view name) { return name.starts_with("hidden."); }

Tensor External(std::string name, DType type, std::vector<int64_t> dims) {
  Tensor tensor{std::move(name), type, std::move(dims), {}, ExternalData{"blob", 0, 0}};
  tensor.external->length = tensor.ElementCount() * DTypeBytes(type);
  return tensor;
}

// hidden.1 -> norm -> product with stored scales -> attention with a cache -> * constant ->
// hidden.2
Model Layer() {
  Model model = EmptyModel("layer");
  Graph& graph = model.graph;
  graph.inputs = {Value("hidden.1", DType::kF32, HiddenDims(4)),
                  Value("past.1.key", DType::kF32, {Dim::Symbolic("past")}),
                  Value("seqlens_k", DType::kI32, {Dim::Symbolic("batch")})};
  graph.outputs = {Value("present.1.key", DType::kF32, {Dim::Symbolic("total")}),
                   Value("hidden.2", DType::kF32, HiddenDims(4))};
  graph.value_info = {Value("attended", DType::kF32, HiddenDims(4))};
  graph.initializers = {External("norm", DType::kF32, {4}),
                        External("codes", DType::kU8, {4, 1, 16}),
                        External("scales", DType::kF16, {4, 1}), Floats("half", {}, {0.5f}),
                        Ints("shape", {0, 0, 4})};
  const int64_t to_f32 = static_cast<int64_t>(DType::kF32);
  graph.nodes = {
      MakeNode("SimplifiedLayerNormalization", "n", {"hidden.1", "norm"}, {"normed"}),
      MakeNode("Cast", "c", {"scales"}, {"wide"}, {{"to", to_f32}}),
      MakeNode("MatMulNBits", "m", {"normed", "codes", "wide"}, {"product"}, {}, "com.microsoft"),
      MakeNode("GroupQueryAttention", "g", {"product", "", "", "past.1.key", "seqlens_k"},
               {"attended", "present.1.key"}, {}, "com.microsoft"),
      MakeNode("Reshape", "r", {"attended", "shape"}, {"shaped"}),
      MakeNode("Mul", "s", {"shaped", "half"}, {"hidden.2"})};
  return model;
}

const Node& Find(const Model& model, std::string_view op) {
  const auto at = std::ranges::find(model.graph.nodes, op, &Node::op_type);
  EXPECT_NE(at, model.graph.nodes.end()) << op;
  return *at;
}

TEST(NarrowToF16, CastsAtTheBordersAndKeepsCachesInFloat16) {
  const Result<Model> narrow = NarrowToF16(Layer(), IsHidden);
  ASSERT_TRUE(narrow) << narrow.error().ToString();
  const Graph& graph = narrow->graph;
  EXPECT_EQ(graph.inputs[0].type, DType::kF32);
  EXPECT_EQ(graph.inputs[1].type, DType::kF16);
  EXPECT_EQ(graph.inputs[2].type, DType::kI32);
  EXPECT_EQ(graph.outputs[0].type, DType::kF16);
  EXPECT_EQ(graph.outputs[1].type, DType::kF32);
  EXPECT_EQ(graph.value_info[0].type, DType::kF16);
  EXPECT_THAT(Find(*narrow, "SimplifiedLayerNormalization").inputs,
              ElementsAre("hidden.1.f16", "norm.f16"));
  const Node& last = graph.nodes.back();
  EXPECT_EQ(last.op_type, "Cast");
  EXPECT_THAT(last.inputs, ElementsAre("hidden.2.f16"));
  EXPECT_THAT(last.outputs, ElementsAre("hidden.2"));
  EXPECT_EQ(last.IntAttribute("to", 0), static_cast<int64_t>(DType::kF32));
}

TEST(NarrowToF16, ReadsWhatIsStoredInFloat16AsItIs) {
  const Result<Model> narrow = NarrowToF16(Layer(), IsHidden);
  ASSERT_TRUE(narrow) << narrow.error().ToString();
  EXPECT_THAT(Find(*narrow, "MatMulNBits").inputs, ElementsAre("normed", "codes", "scales"));
  const auto casts = std::ranges::count(narrow->graph.nodes, "Cast", &Node::op_type);
  EXPECT_EQ(casts, 3);  // The hidden states in and out, and the norm's weights.
}

TEST(NarrowToF16, ConvertsConstantsAndLeavesIntegers) {
  const Result<Model> narrow = NarrowToF16(Layer(), IsHidden);
  ASSERT_TRUE(narrow) << narrow.error().ToString();
  const Tensor& half = narrow->graph.initializers[3];
  EXPECT_EQ(half.type, DType::kF16);
  EXPECT_THAT(half.raw, ElementsAre(0x00, 0x38));
  EXPECT_EQ(narrow->graph.initializers[4], Layer().graph.initializers[4]);
}

// A router behind the layer: hidden.2 -> product with what is stored in float16 -> Softmax, which
// floors its weights, and hidden.3, which is scaled by the first of them.
Model Routed() {
  Model model = Layer();
  Graph& graph = model.graph;
  graph.outputs = {Value("hidden.3", DType::kF32, HiddenDims(4)),
                   Value("hidden.weights", DType::kF32, HiddenDims(2))};
  graph.value_info.push_back(Value("scores", DType::kF32, HiddenDims(2)));
  graph.initializers.push_back(External("router", DType::kF16, {4, 2}));
  graph.initializers.push_back(Floats("tiny", {}, {1e-37f}));
  const int64_t to_f32 = static_cast<int64_t>(DType::kF32);
  const std::vector<Node> more = {
      MakeNode("Cast", "rc", {"router"}, {"router.wide"}, {{"to", to_f32}}),
      MakeNode("MatMul", "rm", {"hidden.2", "router.wide"}, {"logits"}),
      MakeNode("Softmax", "rs", {"logits"}, {"scores"}),
      MakeNode("Max", "rf", {"scores", "tiny"}, {"hidden.weights"}),
      MakeNode("ReduceSum", "first", {"scores", "axis"}, {"sum"}),
      MakeNode("Mul", "scaled", {"hidden.2", "sum"}, {"hidden.3"})};
  graph.initializers.push_back(Ints("axis", {-1}));
  graph.nodes.insert(graph.nodes.end(), more.begin(), more.end());
  return model;
}

TEST(NarrowToF16, RoutesInFloat32) {
  const Result<Model> narrow = NarrowToF16(Routed(), IsHidden);
  ASSERT_TRUE(narrow) << narrow.error().ToString();
  const Graph& graph = narrow->graph;
  EXPECT_THAT(Find(*narrow, "MatMul").inputs, ElementsAre("hidden.2.f32", "router.wide"));
  EXPECT_THAT(Find(*narrow, "Max").inputs, ElementsAre("scores", "tiny"));
  EXPECT_THAT(Find(*narrow, "Max").outputs, ElementsAre("hidden.weights"));
  EXPECT_EQ(graph.value_info[1].type, DType::kF32);
  const auto tiny = std::ranges::find(graph.initializers, "tiny", &Tensor::name);
  EXPECT_EQ(*tiny, Floats("tiny", {}, {1e-37f}));
  const auto scaled = std::ranges::find(graph.nodes, "scaled", &Node::name);
  EXPECT_THAT(scaled->inputs, ElementsAre("hidden.2", "sum.f16"));
  EXPECT_THAT(scaled->outputs, ElementsAre("hidden.3.f16"));
}

TEST(NarrowToF16, RefusesOperatorsThatNeedMorePrecision) {
  Model model = Layer();
  model.graph.nodes.back().op_type = "Erf";
  const Result<Model> narrow = NarrowToF16(model, IsHidden);
  ASSERT_FALSE(narrow);
  EXPECT_EQ(narrow.error().code, Code::kUnimplemented);
  EXPECT_THAT(narrow.error().detail, HasSubstr("Erf"));
}

}  // namespace
}  // namespace shoal::onnx
