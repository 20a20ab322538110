#include "onnx/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/check.h"
#include "onnx/testing.h"

namespace shoal::onnx {
namespace {

using ::testing::ElementsAre;
using testing::EmptyModel;
using testing::Floats;
using ::testing::HasSubstr;
using testing::HiddenDims;
using testing::MakeNode;
using testing::Value;

// Block `index` of a stack: hidden.i -> hidden.i+1 with a cache and a table that all share.
Model Block(int index) {
  const std::string number = std::to_string(index);
  const std::string prefix = "block." + number + ".";
  const std::string in = "hidden." + number;
  const std::string out = "hidden." + std::to_string(index + 1);
  Model model = EmptyModel("block " + number);
  model.metadata = {{"block", number}, {"model", "tiny"}};
  Graph& graph = model.graph;
  graph.inputs = {Value(in, DType::kF32, HiddenDims(4)),
                  Value("seqlens_k", DType::kI32, {Dim::Symbolic("batch")}),
                  Value("past." + number + ".key", DType::kF32, {Dim::Symbolic("past_length")})};
  graph.outputs = {Value(out, DType::kF32, HiddenDims(4)),
                   Value("present." + number + ".key", DType::kF32, {Dim::Symbolic("total")})};
  graph.initializers = {Floats("cos_cache", {2}, {1, 2}), Floats(prefix + "w", {1}, {0.5f})};
  graph.nodes = {
      MakeNode("Attend", prefix + "attend", {in, graph.inputs[2].name, "seqlens_k", "cos_cache"},
               {prefix + "a", graph.outputs[1].name}),
      MakeNode("Mul", prefix + "mul", {prefix + "a", prefix + "w"}, {out})};
  return model;
}

std::vector<std::string> Names(const std::vector<ValueInfo>& values) {
  std::vector<std::string> names;
  for (const ValueInfo& value : values) names.push_back(value.name);
  return names;
}

std::string JoinError(const std::vector<Model>& blocks) {
  const Result<Model> joined = Join(blocks, "stage");
  return joined ? "no error" : joined.error().ToString();
}

TEST(Join, ConnectsConsecutiveBlocks) {
  const std::vector<Model> blocks = {Block(1), Block(2), Block(3)};
  const Result<Model> joined = Join(blocks, "stage 1 4");
  ASSERT_TRUE(joined) << joined.error().ToString();
  const Graph& graph = joined->graph;
  EXPECT_EQ(graph.name, "stage 1 4");
  EXPECT_THAT(Names(graph.inputs),
              ElementsAre("hidden.1", "seqlens_k", "past.1.key", "past.2.key", "past.3.key"));
  EXPECT_THAT(Names(graph.outputs),
              ElementsAre("present.1.key", "present.2.key", "hidden.4", "present.3.key"));
  EXPECT_THAT(Names(graph.value_info), ElementsAre("hidden.2", "hidden.3"));
  EXPECT_EQ(graph.initializers.size(), 4u);
  EXPECT_EQ(graph.nodes.size(), 6u);
  EXPECT_EQ(graph.nodes[2].name, "block.2.attend");
  EXPECT_THAT(joined->metadata, ElementsAre(std::pair<std::string, std::string>("model", "tiny")));
  EXPECT_TRUE(Check(*joined));
}

TEST(Join, OfOneBlockIsThatBlock) {
  Model block = Block(2);
  const Result<Model> joined = Join(std::span(&block, 1), block.graph.name);
  ASSERT_TRUE(joined);
  EXPECT_EQ(*joined, block);
}

TEST(Join, IsAssociative) {
  const std::vector<Model> blocks = {Block(1), Block(2), Block(3)};
  const Model whole = *Join(blocks, "stage");
  const std::vector<Model> left = {*Join(std::span(blocks).first(2), "left"), blocks[2]};
  const std::vector<Model> right = {blocks[0], *Join(std::span(blocks).last(2), "right")};
  const Result<Model> from_left = Join(left, "stage");
  const Result<Model> from_right = Join(right, "stage");
  ASSERT_TRUE(from_left && from_right);
  EXPECT_EQ(from_left->graph.nodes, whole.graph.nodes);
  EXPECT_EQ(from_left->graph.inputs, whole.graph.inputs);
  EXPECT_EQ(from_left->graph.outputs, whole.graph.outputs);
  EXPECT_EQ(from_right->graph.nodes, whole.graph.nodes);
  EXPECT_EQ(from_right->graph.inputs, whole.graph.inputs);
  EXPECT_EQ(from_right->graph.outputs, whole.graph.outputs);
}

TEST(Join, SaysWhichBlockAndValueDoNotFit) {
  EXPECT_THAT(JoinError({}), HasSubstr("no blocks"));
  std::vector<Model> blocks = {Block(1), Block(2)};
  blocks[1].graph.inputs[0].dims[2] = Dim::Fixed(8);
  EXPECT_THAT(JoinError(blocks),
              HasSubstr("joining block 1: value \"hidden.2\" is f32 [batch, sequence, 4] in one "
                        "block and f32 [batch, sequence, 8] in another"));
  blocks = {Block(1), Block(2)};
  blocks[1].graph.inputs[1].type = DType::kI64;
  EXPECT_THAT(JoinError(blocks), HasSubstr("\"seqlens_k\" is i32 [batch]"));
  blocks = {Block(1), Block(2)};
  blocks[1].graph.initializers[0].raw[0] ^= 1;
  EXPECT_THAT(JoinError(blocks), HasSubstr("initializer \"cos_cache\" differs"));
  blocks = {Block(1), Block(2)};
  blocks[1].opsets[0].version = 20;
  EXPECT_THAT(JoinError(blocks), HasSubstr("at version 20, an earlier block at 21"));
  blocks = {Block(1), Block(2)};
  blocks[1].ir_version = 9;
  EXPECT_THAT(JoinError(blocks), HasSubstr("IR version 9"));
  EXPECT_THAT(JoinError({Block(2), Block(1)}), HasSubstr("out of order"));
  EXPECT_THAT(JoinError({Block(1), Block(1)}), HasSubstr("which an earlier block makes too"));
  blocks = {Block(1), Block(2)};
  blocks[1].graph.nodes[0].name = "block.1.mul";
  EXPECT_THAT(JoinError(blocks), HasSubstr("two nodes are called \"block.1.mul\""));
}

TEST(Join, RefusesTwoMakersOfOneValue) {
  std::vector<Model> blocks = {Block(1), Block(3)};
  blocks[1].graph.nodes[1].outputs[0] = "hidden.2";
  blocks[1].graph.outputs[0].name = "hidden.2";
  EXPECT_THAT(JoinError(blocks), HasSubstr("\"hidden.2\", which an earlier block makes too"));
}

TEST(Join, LetsAnInitializerTakeTheInputsPlace) {
  std::vector<Model> blocks = {Block(1), Block(2)};
  blocks[0].graph.initializers.erase(blocks[0].graph.initializers.begin());
  blocks[0].graph.inputs.push_back(Value("cos_cache", DType::kF32, {Dim::Symbolic("positions")}));
  const Result<Model> joined = Join(blocks, "stage");
  ASSERT_TRUE(joined) << joined.error().ToString();
  EXPECT_EQ(joined->graph.inputs.size(), 4u);
  blocks[0].graph.inputs.back().dims = {Dim::Fixed(3)};
  EXPECT_THAT(JoinError(blocks), HasSubstr("is f32 [2] where the input is f32 [3]"));
}

TEST(BindInput, MakesAnInputAConstant) {
  Model model = Block(1);
  EXPECT_THAT(BindInput(model, Floats("nothing", {1}, {1})).error().detail,
              HasSubstr("no input \"nothing\""));
  EXPECT_THAT(BindInput(model, Floats("hidden.1", {1, 4}, {1, 2, 3, 4})).error().detail,
              HasSubstr("f32 [1, 4] where the input is f32 [batch, sequence, 4]"));
  ASSERT_TRUE(BindInput(model, Floats("hidden.1", {1, 1, 4}, {1, 2, 3, 4})));
  EXPECT_THAT(Names(model.graph.inputs), ElementsAre("seqlens_k", "past.1.key"));
  EXPECT_TRUE(Check(model));
}

}  // namespace
}  // namespace shoal::onnx
