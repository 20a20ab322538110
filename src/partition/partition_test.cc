#include "partition/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/str_cat.h"
#include "onnx/testing.h"
#include "partition/testing.h"

namespace shoal::partition {
namespace {

using onnx::testing::Floats;
using onnx::testing::MakeNode;
using ::testing::HasSubstr;

constexpr int64_t kPositions = 48;

Partition MustDivide(TestModel test) {
  auto partition = Divide(std::move(test.model), std::move(test.bytes), kPositions);
  EXPECT_TRUE(partition) << partition.error().ToString();
  return partition ? std::move(*partition) : Partition{};
}

std::string Refusal(TestModel test) {
  const auto partition = Divide(std::move(test.model), std::move(test.bytes), kPositions);
  EXPECT_FALSE(partition);
  return partition ? "" : partition.error().detail;
}

std::vector<std::string> OpsOf(const PartitionBlock& block) {
  std::vector<std::string> ops;
  for (const onnx::Node& node : block.model.graph.nodes) ops.push_back(node.op_type);
  return ops;
}

onnx::Node& NodeMaking(onnx::Model& model, const std::string& value) {
  for (onnx::Node& node : model.graph.nodes) {
    if (std::ranges::find(node.outputs, value) != node.outputs.end()) return node;
  }
  ADD_FAILURE() << value;
  return model.graph.nodes.front();
}

// Every value, node and input under a name that says nothing.
void Rename(onnx::Model& model) {
  std::map<std::string, std::string> names;
  const auto rename = [&](std::string& name) {
    if (name.empty()) return;
    name = names.emplace(name, StrCat("v", 7919 * names.size() % 100003)).first->second;
  };
  for (onnx::Tensor& tensor : model.graph.initializers) rename(tensor.name);
  for (onnx::ValueInfo& input : model.graph.inputs) rename(input.name);
  for (onnx::Node& node : model.graph.nodes) {
    for (std::string& input : node.inputs) rename(input);
    for (std::string& output : node.outputs) rename(output);
    node.name = "n" + node.outputs[0];
  }
  for (onnx::ValueInfo& output : model.graph.outputs) rename(output.name);
}

class Styles : public testing::TestWithParam<const char*> {};

TEST_P(Styles, AreDividedByTheirLayers) {
  const Partition partition = MustDivide(ReadGolden(GetParam()));
  ASSERT_EQ(partition.blocks.size(), 5u);
  EXPECT_EQ(partition.hidden, 32);
  for (size_t block = 1; block <= 3; ++block) {
    const onnx::Graph& graph = partition.blocks[block].model.graph;
    std::set<std::string> inputs;
    for (const onnx::ValueInfo& input : graph.inputs) inputs.insert(input.name);
    EXPECT_EQ(inputs, (std::set<std::string>{
                          StrCat("hidden.", block), StrCat("past.", block, ".key"),
                          StrCat("past.", block, ".value"), "seqlens_k", "total_sequence_length"}));
    EXPECT_EQ(std::ranges::count(OpsOf(partition.blocks[block]), "GroupQueryAttention"), 1);
  }
  // Layers are alike, wherever they lie.
  EXPECT_EQ(OpsOf(partition.blocks[1]), OpsOf(partition.blocks[2]));
}

TEST_P(Styles, NeedNoNames) {
  TestModel renamed = ReadGolden(GetParam());
  Rename(renamed.model);
  const Partition plain = MustDivide(ReadGolden(GetParam()));
  const Partition partition = MustDivide(std::move(renamed));
  ASSERT_EQ(partition.blocks.size(), plain.blocks.size());
  EXPECT_EQ(partition.params, plain.params);
  for (size_t block = 0; block < plain.blocks.size(); ++block) {
    EXPECT_EQ(OpsOf(partition.blocks[block]), OpsOf(plain.blocks[block])) << block;
    EXPECT_EQ(partition.blocks[block].flops_per_token, plain.blocks[block].flops_per_token);
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, Styles,
                         testing::Values("genai", "genai_q4", "genai_f16", "optimum",
                                         "optimum_qk_norm", "gpt2_merged"));

TEST(Divide, KeepsATiedTableOnce) {
  const Partition partition = MustDivide(ReadGolden("gpt2_merged"));
  std::vector<std::string> shared;
  for (const PartitionBlock& block : partition.blocks) {
    for (const BlockConstant& constant : block.constants) {
      if (constant.shared) shared.push_back(constant.key);
    }
  }
  EXPECT_EQ(shared, (std::vector<std::string>(2, "transformer.wte.weight.transposed")));
}

TEST(Divide, FindsASlidingWindow) {
  // The mask of a token hides what lies more than 4 positions before it: keys before position - 4.
  TestModel test = ReadGolden("optimum");
  onnx::Model& model = test.model;
  onnx::Node* greater = nullptr;
  for (onnx::Node& node : model.graph.nodes) {
    if (node.op_type == "Greater") greater = &node;
  }
  ASSERT_NE(greater, nullptr);
  // later or too early, as transformers' masks have it: the mask value times a boolean.
  const std::string columns = greater->inputs[0];
  const std::string places = greater->inputs[1];
  const std::string later = greater->outputs[0];
  greater->outputs[0] = later + ".causal";
  const std::vector<onnx::Node> more = {
      MakeNode("Sub", "first", {places, "five"}, {"first_seen"}),
      MakeNode("LessOrEqual", "early", {columns, "first_seen"}, {"early"}),
      MakeNode("Or", "both", {later + ".causal", "early"}, {later})};
  model.graph.nodes.insert(model.graph.nodes.begin() + (greater - model.graph.nodes.data()) + 1,
                           more.begin(), more.end());
  onnx::Tensor five = onnx::testing::Ints("five", {5});
  five.dims = {};
  model.graph.initializers.push_back(five);
  // The triangle above the diagonal would show what is early: all of the mask counts.
  for (onnx::Node& node : model.graph.nodes) {
    if (node.op_type == "Trilu") node = MakeNode("Identity", "all", {node.inputs[0]}, node.outputs);
  }
  const Partition partition = MustDivide(std::move(test));
  ASSERT_EQ(partition.blocks.size(), 5u);
  for (const onnx::Node& node : partition.blocks[1].model.graph.nodes) {
    if (node.op_type == "GroupQueryAttention")
      EXPECT_EQ(node.IntAttribute("local_window_size", 0), 5);
  }
}

TEST(Divide, NamesWhatCrossesWhereItCannotCut) {
  TestModel test = ReadGolden("genai");
  // What the first layer reads is added to what the head reads: two values cross everywhere.
  onnx::Model& model = test.model;
  onnx::Node& head = NodeMaking(model, "/lm_head/out");
  const std::string normed = head.inputs[0];
  head.inputs[0] = "both";
  const auto at = model.graph.nodes.begin() + (&head - model.graph.nodes.data());
  model.graph.nodes.insert(at, MakeNode("Add", "both", {normed, "/layers.0/norm"}, {"both"}));
  const std::string refusal = Refusal(std::move(test));
  EXPECT_THAT(refusal, HasSubstr("between the caches \"past_key_values.0.key\" and"));
  EXPECT_THAT(refusal, HasSubstr("\"/layers.0/norm\""));
}

TEST(Divide, RefusesAttentionThatIsNotCausal) {
  TestModel test = ReadGolden("optimum");
  for (onnx::Node& node : test.model.graph.nodes) {
    // A token sees the one after it.
    if (node.op_type == "Greater") node.op_type = "GreaterOrEqual";
    if (node.op_type == "Trilu")
      node.op_type = "Identity", node.inputs.resize(1), node.attributes = {};
  }
  EXPECT_THAT(Refusal(std::move(test)), HasSubstr("the attention over the cache"));
}

TEST(Divide, RefusesAttentionWithAnotherActivation) {
  TestModel test = ReadGolden("optimum");
  for (onnx::Node& node : test.model.graph.nodes) {
    if (node.op_type == "Softmax") node = MakeNode("Sigmoid", node.name, node.inputs, node.outputs);
  }
  EXPECT_THAT(Refusal(std::move(test)), HasSubstr("no attention that Shoal can take over"));
}

TEST(Divide, RefusesWhatIsNoDecoder) {
  TestModel no_cache = ReadGolden("genai");
  std::erase_if(no_cache.model.graph.outputs,
                [](const onnx::ValueInfo& output) { return output.name != "logits"; });
  EXPECT_THAT(Refusal(std::move(no_cache)), HasSubstr("keeps no caches"));
  TestModel unknown = ReadGolden("genai");
  NodeMaking(unknown.model, "/layers.1/gate/out").op_type = "Conv";
  EXPECT_THAT(Refusal(std::move(unknown)),
              ::testing::AllOf(HasSubstr("/layers.1/gate"), HasSubstr("Conv")));
  TestModel one_cache = ReadGolden("genai");
  std::erase_if(one_cache.model.graph.outputs,
                [](const onnx::ValueInfo& output) { return output.name == "present.1.value"; });
  EXPECT_FALSE(Refusal(std::move(one_cache)).empty());
}

}  // namespace
}  // namespace shoal::partition
