#include "onnx/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "onnx/testing.h"

namespace shoal::onnx {
namespace {

using testing::EmptyModel;
using testing::Floats;
using ::testing::HasSubstr;
using testing::MakeNode;
using testing::Value;

// x -> Add(x, w) -> y -> Sigmoid -> z
Model Good() {
  Model model = EmptyModel("good");
  model.graph.inputs = {Value("x", DType::kF32, {Dim::Symbolic("n")})};
  model.graph.initializers = {Floats("w", {1}, {2.0f})};
  model.graph.nodes = {MakeNode("Add", "add", {"x", "w"}, {"y"}),
                       MakeNode("Sigmoid", "sigmoid", {"y"}, {"z"})};
  model.graph.outputs = {Value("z", DType::kF32, {Dim::Symbolic("n")})};
  return model;
}

struct Case {
  std::function<void(Model&)> damage;
  const char* expected;
};

TEST(Check, AcceptsAGoodModel) { EXPECT_TRUE(Check(Good())); }

TEST(Check, NamesWhatIsWrong) {
  const Case cases[] = {
      {[](Model& m) { m.ir_version = 3; }, "IR version 3 is not one of 4 to 10"},
      {[](Model& m) { m.ir_version = 11; }, "IR version 11"},
      {[](Model& m) { m.opsets.clear(); }, "node 0 \"add\" (Add): domain \"\" is not imported"},
      {[](Model& m) { m.opsets[0].version = 0; }, "at version 0"},
      {[](Model& m) { m.opsets[1] = m.opsets[0]; }, "imported twice"},
      {[](Model& m) { m.graph.nodes[0].domain = "other"; }, "domain \"other\" is not imported"},
      {[](Model& m) { std::swap(m.graph.nodes[0], m.graph.nodes[1]); },
       "\"y\" is made by node 1; nodes must come in topological order"},
      {[](Model& m) { m.graph.nodes[0].inputs[0] = "y"; }, "\"y\" is made by node 0"},
      {[](Model& m) { m.graph.nodes[0].inputs[0] = "q"; }, "its input \"q\" is no graph input"},
      {[](Model& m) { m.graph.nodes[1].outputs[0] = "y"; }, "value \"y\" is made twice"},
      {[](Model& m) { m.graph.nodes[0].outputs[0] = "w"; }, "value \"w\" is made twice"},
      {[](Model& m) { m.graph.nodes[0].outputs = {""}; }, "has no output"},
      {[](Model& m) { m.graph.nodes[0].op_type = ""; }, "no operator"},
      {[](Model& m) { m.graph.nodes[1].name = "add"; }, "two nodes are called \"add\""},
      {[](Model& m) { m.graph.inputs.push_back(m.graph.inputs[0]); }, "\"x\" is there twice"},
      {[](Model& m) { m.graph.inputs[0].name = "w"; }, "value \"w\" is made twice"},
      {[](Model& m) { m.graph.inputs[0].name = ""; }, "input has no name"},
      {[](Model& m) { m.graph.inputs[0].dims[0] = Dim::Fixed(-1); }, "has the dim -1"},
      {[](Model& m) { m.graph.outputs.clear(); }, "no output"},
      {[](Model& m) { m.graph.outputs[0].name = "x"; }, "\"x\" is not made by any node"},
      {[](Model& m) { m.graph.outputs[0].name = "q"; }, "\"q\" is not made by any node"},
      {[](Model& m) { m.graph.outputs.push_back(m.graph.outputs[0]); }, "\"z\" is there twice"},
      {[](Model& m) { m.graph.initializers.push_back(m.graph.initializers[0]); },
       "value \"w\" is made twice"},
      {[](Model& m) { m.graph.initializers[0].name = ""; }, "initializer has no name"},
      {[](Model& m) { m.graph.initializers[0].raw.pop_back(); },
       "tensor \"w\" holds 3 bytes where its dims and type ask for 4"},
      {[](Model& m) { m.graph.initializers[0].dims = {-1}; }, "negative dim"},
      {[](Model& m) { m.graph.initializers[0].dims = {int64_t{1} << 62}; }, "can be counted"},
      {[](Model& m) { m.graph.nodes[0].attributes = {{"a", int64_t{1}}, {"a", int64_t{2}}}; },
       "attribute \"a\" is there twice"},
      {[](Model& m) { m.graph.nodes[0].attributes = {{"a", Floats("t", {2}, {1.0f})}}; },
       "tensor \"t\" holds 4 bytes"},
  };
  for (const Case& c : cases) {
    Model model = Good();
    c.damage(model);
    const Status status = Check(model);
    ASSERT_FALSE(status) << c.expected;
    EXPECT_THAT(status.error().detail, HasSubstr(c.expected));
  }
}

TEST(Check, ExternalRangesMustFit) {
  const auto error_of = [](ExternalData external, ByteVector raw) {
    Model model = Good();
    model.graph.initializers[0].raw = std::move(raw);
    model.graph.initializers[0].external = std::move(external);
    const Status status = Check(model);
    return status ? std::string("no error") : status.error().detail;
  };
  EXPECT_EQ(error_of({"blob", 8, 4}, {}), "no error");
  EXPECT_THAT(error_of({"blob", 8, 5}, {}), HasSubstr("5 bytes of external data"));
  EXPECT_THAT(error_of({"", 8, 4}, {}), HasSubstr("no location"));
  EXPECT_THAT(error_of({"blob", 8, 4}, {1, 2, 3, 4}), HasSubstr("both external and inline"));
  EXPECT_THAT(error_of({"blob", std::numeric_limits<uint64_t>::max() - 2, 4}, {}),
              HasSubstr("past the end of any file"));
}

}  // namespace
}  // namespace shoal::onnx
