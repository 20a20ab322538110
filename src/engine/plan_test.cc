// What loading a graph refuses, and how it names it; operators that no Llama graph has.
#include "engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "engine/io.h"
#include "engine/testing/tiny_llama.h"
#include "onnx/testing.h"

namespace shoal::engine {
namespace {

using onnx::Dim;
using onnx::Model;
using onnx::testing::EmptyModel;
using onnx::testing::Floats;
using onnx::testing::HiddenDims;
using onnx::testing::Ints;
using onnx::testing::MakeNode;
using onnx::testing::Value;
using testing::BlobSource;
using ::testing::HasSubstr;
using testing::TinyLlama;

// hidden.1 [.., 4] -> nodes -> hidden.2 [.., width]
Model Small(std::vector<onnx::Node> nodes, std::vector<onnx::Tensor> constants, int64_t width = 4) {
  Model model = EmptyModel("small");
  model.graph.inputs = {Value("hidden.1", DType::kF32, HiddenDims(4))};
  model.graph.outputs = {Value("hidden.2", DType::kF32, HiddenDims(width))};
  model.graph.nodes = std::move(nodes);
  model.graph.initializers = std::move(constants);
  return model;
}

std::string LoadError(const Model& model, WeightSource& source) {
  const auto stage = Stage::Load(model, source, {});
  return stage ? "no error" : stage.error().ToString();
}

std::string LoadError(const Model& model) {
  BlobSource none;
  return LoadError(model, none);
}

// Runs two rows, 1 2 3 4 and 5 6 7 8, through a small graph.
std::vector<float> RunSmall(const Model& model) {
  BlobSource none;
  auto stage = Stage::Load(model, none, {});
  EXPECT_TRUE(stage) << stage.error().ToString();
  if (!stage) return {};
  EXPECT_TRUE((*stage)->Open(SessionId{1}, 8));
  const Row rows[] = {{SessionId{1}, 0, false}, {SessionId{1}, 1, false}};
  const std::vector<float> hidden = {1, 2, 3, 4, 5, 6, 7, 8};
  const Result<Output> output = (*stage)->Run(rows, Input::Hidden(hidden));
  EXPECT_TRUE(output) << output.error().ToString();
  return output ? std::vector<float>(output->values.begin(), output->values.end())
                : std::vector<float>();
}

TEST(Plan, RunsConcatSliceAndReshape) {
  // Swaps the halves of every row.
  const Model model =
      Small({MakeNode("Slice", "left", {"hidden.1", "zero", "two", "axis"}, {"l"}),
             MakeNode("Slice", "right", {"hidden.1", "two", "far", "axis", "one"}, {"r"}),
             MakeNode("Concat", "both", {"r", "l"}, {"c"}, {{"axis", int64_t{2}}}),
             MakeNode("Reshape", "pairs", {"c", "to_pairs"}, {"p"}),
             MakeNode("Reshape", "back", {"p", "to_rows"}, {"hidden.2"})},
            {Ints("zero", {0}), Ints("one", {1}), Ints("two", {-2}), Ints("far", {INT64_MAX}),
             Ints("axis", {-1}), Ints("to_pairs", {-1, 2}), Ints("to_rows", {1, -1, 4})});
  EXPECT_EQ(RunSmall(model), (std::vector<float>{3, 4, 1, 2, 7, 8, 5, 6}));
}

TEST(Plan, PadsEveryRow) {
  const Model model = Small({MakeNode("Reshape", "pairs", {"hidden.1", "to_pairs"}, {"p"}),
                             MakeNode("Pad", "pad", {"p", "pads"}, {"q"}),
                             MakeNode("Reshape", "flat", {"q", "to_rows"}, {"hidden.2"})},
                            {Ints("to_pairs", {0, 0, 2, 2}), Ints("pads", {0, 0, 0, 0, 0, 0, 0, 1}),
                             Ints("to_rows", {0, 0, 6})},
                            6);
  EXPECT_EQ(RunSmall(model), (std::vector<float>{1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0}));
}

TEST(Plan, RunsConstantsOnEitherSideAndTransposedRows) {
  const Model model = Small(
      {MakeNode("Mul", "scale", {"ten", "hidden.1"}, {"m"}),
       MakeNode("Transpose", "turn", {"m"}, {"t"}), MakeNode("Add", "twice", {"t", "t"}, {"a"}),
       MakeNode("Transpose", "back", {"a"}, {"b"}),
       MakeNode("Add", "bias", {"b", "bias"}, {"hidden.2"})},
      {Floats("ten", {}, {10}), Floats("bias", {1, 4}, {1, 2, 3, 4})});
  EXPECT_EQ(RunSmall(model), (std::vector<float>{21, 42, 63, 84, 101, 122, 143, 164}));
}

TEST(Plan, RunsSoftmaxTanhAndGelu) {
  const Model model =
      Small({MakeNode("Tanh", "tanh", {"hidden.1"}, {"t"}),
             MakeNode("Gelu", "gelu", {"t"}, {"g"}, {{"approximate", std::string("tanh")}}),
             MakeNode("Mul", "flat", {"g", "zero"}, {"f"}),
             MakeNode("Softmax", "soft", {"f"}, {"hidden.2"}, {{"axis", int64_t{-1}}})},
            {Floats("zero", {1}, {0})});
  EXPECT_EQ(RunSmall(model), std::vector<float>(8, 0.25f));
}

// A value that is read late must survive all that is computed in between.
TEST(Plan, KeepsBuffersUntilTheirLastReader) {
  std::vector<onnx::Node> nodes;
  std::string last = "hidden.1";
  for (int i = 0; i < 6; ++i) {
    const std::string next = "v" + std::to_string(i);
    nodes.push_back(MakeNode("Add", "add" + next, {last, "hidden.1"}, {next}));
    last = next;
  }
  nodes.push_back(MakeNode("Add", "early", {last, "v1"}, {"e"}));
  nodes.push_back(MakeNode("Add", "late", {"e", "v0"}, {"hidden.2"}));
  EXPECT_EQ(RunSmall(Small(std::move(nodes), {})),
            (std::vector<float>{12, 24, 36, 48, 60, 72, 84, 96}));
}

TEST(Plan, SharesBuffers) {
  TinyLlama llama({.layers = 6}, 1);
  const Result<Plan> plan = MakePlan(llama.Join(0, 8), llama.source(), {});
  ASSERT_TRUE(plan) << plan.error().ToString();
  EXPECT_LE(plan->buffers.size(), 6u);
}

TEST(Plan, NamesTheUnknownOperator) {
  EXPECT_THAT(
      LoadError(Small({MakeNode("Conv", "block.1.conv", {"hidden.1"}, {"hidden.2"})}, {})),
      HasSubstr("unimplemented: loading a stage: node \"block.1.conv\" (ai.onnx.Conv): this "
                "operator is not supported"));
  EXPECT_THAT(
      LoadError(Small(
          {MakeNode("MatMulNBits", "q", {"hidden.1"}, {"hidden.2"}, {}, "com.microsoft")}, {})),
      HasSubstr("node \"q\" (com.microsoft.MatMulNBits)"));
}

struct GraphCase {
  std::vector<onnx::Node> nodes;
  std::vector<onnx::Tensor> constants;
  const char* expected;
};

TEST(Plan, RefusesWhatWouldMixRows) {
  const GraphCase cases[] = {
      {{MakeNode("Transpose", "t", {"hidden.1"}, {"x"}),
        MakeNode("Softmax", "s", {"x"}, {"y"}, {{"axis", int64_t{1}}}),
        MakeNode("Transpose", "u", {"y"}, {"hidden.2"})},
       {},
       "axis must be the last one"},
      {{MakeNode("Transpose", "t", {"hidden.1"}, {"x"}, {{"perm", std::vector<int64_t>{0, 2, 1}}}),
        MakeNode("Softmax", "s", {"x"}, {"hidden.2"})},
       {},
       "works along the last dim of [1, 4, rows], which would mix rows"},
      {{MakeNode("Transpose", "t", {"hidden.1"}, {"x"}),
        MakeNode("Reshape", "r", {"x", "to"}, {"hidden.2"})},
       {Ints("to", {1, -1, 4})},
       "reshaping [4, rows, 1] to [1, rows, 4] would mix rows"},
      {{MakeNode("Slice", "s", {"hidden.1", "zero", "one", "one"}, {"hidden.2"})},
       {Ints("zero", {0}), Ints("one", {1})},
       "slices [1, rows, 4] along the dim that grows"},
      {{MakeNode("Pad", "p", {"hidden.1", "pads"}, {"hidden.2"})},
       {Ints("pads", {0, 0, 0, 0, 1, 0})},
       "anything but zeros at the end of the last dim"},
      {{MakeNode("Concat", "c", {"hidden.1", "hidden.1"}, {"hidden.2"}, {{"axis", int64_t{1}}})},
       {},
       "cannot join [1, rows, 4] and [1, rows, 4] along axis 1"},
  };
  for (const GraphCase& c : cases) {
    EXPECT_THAT(LoadError(Small(c.nodes, c.constants)), HasSubstr(c.expected));
  }
}

TEST(Plan, RefusesNodesThatDoNotFit) {
  const onnx::Tensor square = Floats("w", {2, 2}, {1, 2, 3, 4});
  const GraphCase cases[] = {
      {{MakeNode("MatMul", "m", {"hidden.1", "w"}, {"hidden.2"})},
       {square},
       "input of shape [1, rows, 4] times weight w [2, 2]"},
      {{MakeNode("MatMul", "m", {"hidden.1", "hidden.1"}, {"hidden.2"})}, {}, "is not a constant"},
      {{MakeNode("MatMul", "m", {"hidden.1"}, {"hidden.2"})}, {}, "has 1 inputs and needs 2"},
      {{MakeNode("MatMul", "m", {"hidden.1", "i"}, {"hidden.2"})},
       {Ints("i", {1, 2, 3, 4})},
       "weight i must be f32, f16 or bf16 with two dims"},
      {{MakeNode("Add", "a", {"hidden.1", "w"}, {"hidden.2"})},
       {square},
       "operands of shapes [1, rows, 4] and [2, 2]"},
      {{MakeNode("Add", "a", {"w", "w"}, {"hidden.2"})}, {square}, "is not computed"},
      {{MakeNode("Add", "a", {"hidden.1", "hidden.1", "hidden.1"}, {"hidden.2"})},
       {},
       "input 2 \"hidden.1\" is not supported"},
      {{MakeNode("Add", "a", {"hidden.1", "hidden.1"}, {"hidden.2"}, {{"axis", int64_t{0}}})},
       {},
       "attribute axis is not supported"},
      {{MakeNode("Sigmoid", "s", {"hidden.1"}, {"hidden.2", "more"})}, {}, "exactly 1 outputs"},
      {{MakeNode("SimplifiedLayerNormalization", "n", {"hidden.1", "w"}, {"hidden.2"})},
       {square},
       "scale w must have the one dim 4"},
      {{MakeNode("SimplifiedLayerNormalization", "n", {"hidden.1", "w"}, {"hidden.2"},
                 {{"axis", int64_t{-3}}})},
       {square},
       "axis must be the last one"},
      {{MakeNode("SimplifiedLayerNormalization", "n", {"hidden.1", "w"}, {"hidden.2"},
                 {{"epsilon", int64_t{1}}})},
       {square},
       "attribute epsilon has the wrong type"},
      {{MakeNode("Gelu", "g", {"hidden.1"}, {"hidden.2"})}, {}, "approximate \"none\""},
      {{MakeNode("Cast", "c", {"hidden.1"}, {"hidden.2"}, {{"to", int64_t{10}}})},
       {},
       "cast to element type 10"},
      {{MakeNode("Reshape", "r", {"hidden.1", "i"}, {"hidden.2"})},
       {Ints("i", {-1, 3})},
       "cannot reshape [1, rows, 4] to"},
      {{MakeNode("Reshape", "r", {"hidden.1", "i"}, {"hidden.2"})},
       {Ints("i", {1, 2, 4})},
       "cannot reshape [1, rows, 4] to [1, 2, 4]"},
      {{MakeNode("Reshape", "r", {"hidden.1", "i"}, {"hidden.2"})},
       {Ints("i", {INT64_MAX, INT64_MAX})},
       "too many elements"},
      {{MakeNode("Transpose", "t", {"hidden.1"}, {"hidden.2"},
                 {{"perm", std::vector<int64_t>{0, 0, 1}}})},
       {},
       "perm is not an order of 3 dims"},
      {{MakeNode("Gather", "g", {"w", "i"}, {"hidden.2"})},
       {square, Ints("i", {0})},
       "must be the graph input tokens, positions or logit_rows"},
      {{MakeNode("Sigmoid", "s", {"hidden.1"}, {"x"}),
        MakeNode("Sigmoid", "t", {"x"}, {"hidden.2"})},
       {Floats("none", {0}, {})},
       "initializer none has no elements"},
  };
  for (const GraphCase& c : cases) {
    EXPECT_THAT(LoadError(Small(c.nodes, c.constants)), HasSubstr(c.expected));
  }
  EXPECT_THAT(LoadError(Small({MakeNode("Sigmoid", "s", {"hidden.1"}, {"hidden.2"})}, {}, 5)),
              HasSubstr("\"hidden.2\" comes out as [1, rows, 4], not [1, rows, 5]"));
}

TEST(Plan, HoldsTheGraphContract) {
  const Model good = Small({MakeNode("Sigmoid", "s", {"hidden.1"}, {"hidden.2"})}, {});
  const auto error_with = [&](const std::function<void(Model&)>& change) {
    Model model = good;
    change(model);
    return LoadError(model);
  };
  EXPECT_EQ(LoadError(good), "no error");
  EXPECT_THAT(error_with([](Model& m) { m.graph.inputs[0].dims.pop_back(); }),
              HasSubstr("\"hidden.1\" must be f32 with 2 named dims and then 1 fixed ones"));
  EXPECT_THAT(error_with([](Model& m) { m.graph.inputs[0].type = DType::kF16; }),
              HasSubstr("must be f32"));
  EXPECT_THAT(error_with([](Model& m) { m.graph.inputs[0].dims[2] = Dim::Fixed(0); }),
              HasSubstr("must be f32"));
  EXPECT_THAT(error_with([](Model& m) {
                m.graph.inputs.push_back(Value("attention_mask", DType::kI32, {}));
              }),
              HasSubstr("graph input \"attention_mask\" is not one of a stage's"));
  EXPECT_THAT(error_with([](Model& m) {
                m.graph.inputs.push_back(Value("hidden.3", DType::kF32, HiddenDims(4)));
              }),
              HasSubstr("two inputs of rows that are no layer's halves, \"hidden.1\" and"));
  EXPECT_THAT(error_with([](Model& m) {
                m.graph.nodes.push_back(MakeNode("Tanh", "t", {"hidden.1"}, {"hidden.3"}));
                m.graph.outputs.push_back(Value("hidden.3", DType::kF32, HiddenDims(4)));
              }),
              HasSubstr("two outputs of rows"));
  EXPECT_THAT(error_with([](Model& m) {
                m.graph.nodes[0].outputs[0] = m.graph.outputs[0].name = "result";
              }),
              HasSubstr("graph output \"result\" is not one of a stage's"));
  EXPECT_THAT(error_with([](Model& m) {
                m.graph.inputs[0] = Value("tokens", DType::kI32,
                                          {Dim::Symbolic("batch"), Dim::Symbolic("sequence")});
                m.graph.nodes[0].inputs[0] = "tokens";
              }),
              HasSubstr("\"tokens\" is not computed from hidden states"));
  EXPECT_THAT(error_with([](Model& m) { m.graph.nodes[0].inputs[0] = "nothing"; }),
              HasSubstr("its input \"nothing\""));
}

TEST(Plan, RefusesAttentionThatItDoesNotKnow) {
  const auto error_with = [](const std::function<void(onnx::Node&, onnx::Graph&)>& change) {
    TinyLlama llama({}, 1);
    Model model = llama.Join(1, 3);
    auto node = std::ranges::find(model.graph.nodes, "GroupQueryAttention", &onnx::Node::op_type);
    change(*node, model.graph);
    return LoadError(model, llama.source());
  };
  const auto set = [](onnx::Node& node, const char* name, auto value) {
    std::erase_if(node.attributes, [&](const auto& a) { return a.name == name; });
    node.attributes.push_back({name, value});
  };
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "local_window_size", int64_t{0}); }),
              HasSubstr("node \"block.1.attention\" (com.microsoft.GroupQueryAttention): "
                        "local_window_size is 0"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "smooth_softmax", int64_t{1}); }),
              HasSubstr("attribute smooth_softmax = 1"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "k_quant_type", std::string("x")); }),
              HasSubstr("attribute k_quant_type is not supported"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { n.inputs.push_back("cos_cache"); }),
              HasSubstr("input 9 \"cos_cache\""));
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "num_heads", int64_t{3}); }),
              HasSubstr("3 heads over 2 key-value heads"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "num_heads", int64_t{8}); }),
              HasSubstr("query, key and value of widths 24, 12, 12 for 8 heads"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { set(n, "scale", NAN); }), HasSubstr("finite"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { std::swap(n.inputs[3], n.inputs[4]); }),
              HasSubstr("\"past.1.value\" is not a graph input past.N.key"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { n.inputs[3] = "past.2.key"; }),
              HasSubstr("belong together"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { n.inputs[5] = "total_sequence_length"; }),
              HasSubstr("input 5 must be the graph input seqlens_k"));
  EXPECT_THAT(error_with([&](auto& n, auto&) { n.inputs[1].clear(); }),
              HasSubstr("input 1 is missing"));
  EXPECT_THAT(error_with([&](auto&, auto& g) { g.inputs[3].dims[1] = Dim::Fixed(3); }),
              HasSubstr("graph input past.1.key must be f32 [batch, 2, past_length, 6]"));
  EXPECT_THAT(error_with([&](auto&, auto& g) {
                for (auto& tensor : g.initializers) {
                  if (tensor.name == "cos_cache") tensor.dims = {12, 6};
                }
              }),
              HasSubstr("cos_cache and sin_cache must both be [positions, pairs]"));
}

TEST(Plan, ReportsMissingWeights) {
  TinyLlama llama({}, 1);
  const Model model = llama.Join(0, 4);
  llama.source().blobs.erase("block.2.up.weight");
  EXPECT_THAT(LoadError(model, llama.source()),
              HasSubstr("(ai.onnx.MatMul): weight block.2.up.weight: no blob"));
}

// A view that is not aligned to its elements must be copied, not read in place.
TEST(Plan, TakesUnalignedWeights) {
  class Unaligned : public WeightSource {
   public:
    Result<Bytes> Map(const onnx::ExternalData& range) override {
      bytes_.assign(range.length + 1, 0);
      const float values[] = {2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2};
      std::memcpy(bytes_.data() + 1, values, range.length);
      return Bytes(bytes_).subspan(1);
    }
    ByteVector bytes_;
  };
  onnx::Tensor tensor{"w", DType::kF32, {4, 4}, {}, onnx::ExternalData{"blob", 0, 64}};
  Unaligned source;
  auto stage = Stage::Load(
      Small({MakeNode("MatMul", "m", {"hidden.1", "w"}, {"hidden.2"})}, {tensor}), source, {});
  ASSERT_TRUE(stage) << stage.error().ToString();
  source.bytes_.clear();
  ASSERT_TRUE((*stage)->Open(SessionId{1}, 8));
  const Row row{SessionId{1}, 0, false};
  const std::vector<float> hidden = {1, 2, 3, 4};
  const Result<Output> output = (*stage)->Run({&row, 1}, Input::Hidden(hidden));
  ASSERT_TRUE(output);
  EXPECT_THAT(output->values, ::testing::ElementsAre(2, 4, 6, 8));
}

TEST(Plan, RefusesViewsOfTheWrongSize) {
  class Short : public WeightSource {
    Result<Bytes> Map(const onnx::ExternalData&) override { return Bytes(); }
  };
  onnx::Tensor tensor{"w", DType::kF32, {4, 4}, {}, onnx::ExternalData{"blob", 0, 64}};
  Short source;
  EXPECT_THAT(LoadError(Small({MakeNode("MatMul", "m", {"hidden.1", "w"}, {"hidden.2"})}, {tensor}),
                        source),
              HasSubstr("data_loss: loading a stage: node \"m\" (ai.onnx.MatMul): weight w: 0 "
                        "bytes came for 64"));
}

TEST(Io, ParsesNames) {
  EXPECT_EQ(ParseRowValueName("hidden.12"), (RowValueName{RowValueKind::kHidden, 12}));
  EXPECT_EQ(ParseRowValueName("routes.3"), (RowValueName{RowValueKind::kRoutes, 3}));
  EXPECT_EQ(ParseRowValueName("expert_sum.7"), (RowValueName{RowValueKind::kExpertSum, 7}));
  EXPECT_EQ(ParsePastName("past.3.key"), (CacheName{3, true}));
  EXPECT_EQ(ParsePresentName("present.0.value"), (CacheName{0, false}));
  for (const char* bad : {"hidden.", "hidden.01", "hidden.-1", "hidden.1x", "hidden.1234567890",
                          "past.1.key", "hidden1", "expert_sum.1.2"}) {
    EXPECT_FALSE(ParseRowValueName(bad)) << bad;
  }
  for (const char* bad : {"past.1.keys", "past..key", "past.key", "present.1.key", "past.1"}) {
    EXPECT_FALSE(ParsePastName(bad)) << bad;
  }
}

}  // namespace
}  // namespace shoal::engine
