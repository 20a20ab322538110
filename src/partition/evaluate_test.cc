#include "partition/evaluate.h"

#include <gtest/gtest.h>

#include "onnx/testing.h"

namespace shoal::partition {
namespace {

using onnx::testing::MakeNode;

Array Floats(std::vector<int64_t> dims, std::vector<double> values) {
  return MakeArray(DType::kF32, std::move(dims), std::move(values));
}
Array Ints(std::vector<int64_t> dims, std::vector<double> values) {
  return MakeArray(DType::kI64, std::move(dims), std::move(values));
}

// The first output of a node over these inputs.
Array RunNode(const onnx::Node& node, const std::vector<Array>& inputs) {
  std::vector<const Array*> pointers;
  for (const Array& input : inputs) pointers.push_back(&input);
  auto outputs = Evaluate(node, pointers, 17);
  EXPECT_TRUE(outputs) << outputs.error().ToString();
  return outputs ? outputs->front() : Array{};
}

onnx::Node Op(std::string type, std::vector<onnx::Attribute> attributes = {}) {
  return MakeNode(std::move(type), "n", {"x"}, {"y"}, std::move(attributes));
}

TEST(Evaluate, BroadcastsBothSides) {
  const Array sum = RunNode(Op("Add"), {Floats({2, 1}, {1, 2}), Floats({3}, {10, 20, 30})});
  EXPECT_EQ(sum.dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(*sum.data, (std::vector<double>{11, 21, 31, 12, 22, 32}));
}

TEST(Evaluate, RoundsAsFloat32) {
  EXPECT_EQ((*RunNode(Op("Div"), {Floats({}, {1}), Floats({}, {3})}).data)[0], double{1.0f / 3.0f});
  EXPECT_EQ((*RunNode(Op("Div"), {Ints({}, {-7}), Ints({}, {2})}).data)[0], -3);
}

TEST(Evaluate, ShapesAreKnownWhereElementsAreNot) {
  const Array shape = RunNode(Op("Shape"), {ShapeOnly(DType::kF32, {2, 5})});
  EXPECT_EQ(*shape.data, (std::vector<double>{2, 5}));
  const Array product =
      RunNode(Op("MatMul"), {ShapeOnly(DType::kF32, {4, 2, 3}), ShapeOnly(DType::kF32, {3, 7})});
  EXPECT_EQ(product.dims, (std::vector<int64_t>{4, 2, 7}));
  EXPECT_FALSE(product.known());
}

TEST(Evaluate, MovesElements) {
  const Array x = Floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(*RunNode(Op("Transpose"), {x}).data, (std::vector<double>{1, 4, 2, 5, 3, 6}));
  const Array picked = RunNode(Op("Gather", {{"axis", int64_t{1}}}), {x, Ints({2}, {-1, 0})});
  EXPECT_EQ(*picked.data, (std::vector<double>{3, 1, 6, 4}));
  const Array sliced = RunNode(Op("Slice"), {x, Ints({1}, {1}), Ints({1}, {9e18}), Ints({1}, {1})});
  EXPECT_EQ(*sliced.data, (std::vector<double>{2, 3, 5, 6}));
  const Array upper = RunNode(Op("Trilu"), {x, Ints({}, {1})});
  EXPECT_EQ(*upper.data, (std::vector<double>{0, 2, 3, 0, 0, 6}));
  const Array wide = RunNode(Op("Expand"), {Floats({2, 1}, {1, 2}), Ints({3}, {2, 1, 2})});
  EXPECT_EQ(*wide.data, (std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2}));
}

TEST(Evaluate, ReducesAndNormalises) {
  const Array x = Floats({2, 2}, {1, 3, 5, 7});
  const Array mean = RunNode(Op("ReduceMean", {{"axes", std::vector<int64_t>{-1}}}), {x});
  EXPECT_EQ(*mean.data, (std::vector<double>{2, 6}));
  const Array weights = RunNode(Op("Softmax"), {Floats({1, 2}, {0, 0})});
  EXPECT_EQ(*weights.data, (std::vector<double>{0.5, 0.5}));
}

TEST(Evaluate, RefusesWhatDoesNotFit) {
  const Array x = Floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto fails = [](const onnx::Node& node, const std::vector<Array>& inputs) {
    std::vector<const Array*> pointers;
    for (const Array& input : inputs) pointers.push_back(&input);
    return !Evaluate(node, pointers, 17);
  };
  EXPECT_TRUE(fails(Op("Add"), {x, Floats({2}, {1, 2})}));
  EXPECT_TRUE(fails(Op("Reshape"), {x, Ints({1}, {5})}));
  EXPECT_TRUE(fails(Op("Gather"), {x, Ints({1}, {2})}));
  EXPECT_TRUE(fails(Op("Range"), {Ints({}, {0}), Ints({}, {9e18}), Ints({}, {1})}));
  EXPECT_TRUE(fails(Op("ConstantOfShape"), {Ints({2}, {1e9, 1e9})}));
  EXPECT_TRUE(fails(Op("Expand"), {x, Ints({3}, {1e9, 2, 3})}));
  EXPECT_TRUE(fails(Op("NoSuchOperator"), {x}));
}

}  // namespace
}  // namespace shoal::partition
