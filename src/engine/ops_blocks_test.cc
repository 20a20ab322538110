// What MatMulNBits and GatherBlockQuantized refuse, each with the node's name and what is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/stage.h"
#include "engine/testing/tiny_llama.h"
#include "onnx/testing.h"

namespace shoal::engine {
namespace {

using ::testing::HasSubstr;
using testing::TinyLlama;

class BlockOperators : public ::testing::Test {
 protected:
  BlockOperators()
      : llama_({.hidden = 96, .head_size = 16, .rotary_pairs = 8, .blocks = BlockFormat::kQ4}, 1),
        model_(llama_.Join(0, 4)) {}

  onnx::Node& Node(std::string_view op_type) {
    return *std::ranges::find(model_.graph.nodes, op_type, &onnx::Node::op_type);
  }
  onnx::Tensor& Initializer(const std::string& name) {
    return *std::ranges::find(model_.graph.initializers, name, &onnx::Tensor::name);
  }
  // Sets an integer attribute of the first node of this type.
  void Set(std::string_view op_type, std::string_view attribute, int64_t value) {
    auto& attributes = Node(op_type).attributes;
    std::erase_if(attributes, [&](const onnx::Attribute& a) { return a.name == attribute; });
    attributes.push_back({std::string(attribute), value});
  }
  std::string LoadError() {
    const auto stage = Stage::Load(model_, llama_.source(), {});
    return stage ? "no error" : stage.error().ToString();
  }

  TinyLlama llama_;
  onnx::Model model_;
};

TEST_F(BlockOperators, LoadAsTheyAre) { EXPECT_EQ(LoadError(), "no error"); }

TEST_F(BlockOperators, RefuseOtherBitsAndBlocks) {
  Set("MatMulNBits", "bits", 2);
  EXPECT_THAT(LoadError(), HasSubstr("(com.microsoft.MatMulNBits): attribute bits = 2; only 4"));
  Set("MatMulNBits", "bits", 4);
  Set("MatMulNBits", "block_size", 128);
  EXPECT_THAT(LoadError(), HasSubstr("attribute block_size = 128; only 32"));
}

TEST_F(BlockOperators, RefuseDimsThatDoNotFit) {
  Set("MatMulNBits", "K", 64);
  EXPECT_THAT(LoadError(), HasSubstr("input of shape [1, rows, 96] for K = 64"));
  Set("MatMulNBits", "K", 96);
  Set("MatMulNBits", "N", 65);
  EXPECT_THAT(LoadError(), HasSubstr("elements of u8 for 65 outputs of 96 inputs"));
  Set("MatMulNBits", "N", -1);
  EXPECT_THAT(LoadError(), HasSubstr("attribute N = -1"));
}

TEST_F(BlockOperators, RefuseZeroPoints) {
  onnx::Node& node = Node("MatMulNBits");
  node.inputs.push_back(node.inputs[1]);
  EXPECT_THAT(LoadError(), HasSubstr("is not supported: only the first 3 inputs are"));
}

TEST_F(BlockOperators, RefuseScalesThatAreNotFinite) {
  ByteVector& scales = llama_.source().blobs["block.1.q.weight.scales"];
  scales[2] = 0x00;
  scales[3] = 0x7c;
  EXPECT_THAT(LoadError(),
              HasSubstr("invalid_argument: loading a stage: node \"block.1.q.node\" "
                        "(com.microsoft.MatMulNBits): scale 1 of block.1.q.weight.scales"));
}

TEST_F(BlockOperators, TakeFloatScalesThatAreHalfNumbers) {
  onnx::Tensor& scales = Initializer("block.1.q.weight.scales");
  std::vector<float> floats(static_cast<size_t>(scales.ElementCount()), 0.5f);
  const auto set = [&] {
    scales = onnx::testing::MakeTensor(scales.name, DType::kF32, scales.dims, floats);
  };
  set();
  EXPECT_EQ(LoadError(), "no error");
  floats[3] = 0.1f;
  set();
  EXPECT_THAT(LoadError(), HasSubstr("scales block.1.q.weight.scales hold 3: no f16 number"));
}

TEST_F(BlockOperators, RefuseLookUpsOfAnotherKind) {
  Set("GatherBlockQuantized", "gather_axis", 1);
  EXPECT_THAT(LoadError(), HasSubstr("(com.microsoft.GatherBlockQuantized): rows of a table"));
  Set("GatherBlockQuantized", "gather_axis", 0);
  std::erase_if(Node("GatherBlockQuantized").attributes,
                [](const onnx::Attribute& a) { return a.name == "block_size"; });
  EXPECT_THAT(LoadError(), HasSubstr("attribute block_size = 128; only 32"));
}

}  // namespace
}  // namespace shoal::engine
