// Reading and writing, held against Debian's libonnx and the protobuf library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <limits>

#include "onnx/check.h"
#include "onnx/read.h"
#include "onnx/testing.h"
#include "onnx/write.h"

namespace shoal::onnx {
namespace {

namespace pb = ::onnx;
using testing::EmptyModel;
using testing::Floats;
using ::testing::HasSubstr;
using testing::HiddenDims;
using testing::MakeNode;
using testing::MakeTensor;
using testing::Value;

// One of everything that a Model can hold.
Model Everything() {
  Model model = EmptyModel("everything");
  model.metadata = {{"shoal.block", "3"}, {"note", "Grüße"}, {"", ""}};
  Graph& graph = model.graph;
  graph.inputs = {Value("hidden.3", DType::kF32, HiddenDims(2)),
                  Value("total_sequence_length", DType::kI32, {})};
  graph.outputs = {Value("hidden.4", DType::kF32, HiddenDims(2))};
  graph.value_info = {Value("inner", DType::kF16, {Dim::Fixed(0), Dim::Symbolic("n")})};
  graph.initializers = {Floats("block.3.a", {2}, {1.5f, -0.0f}), testing::Ints("shape", {0, -1, 2}),
                        MakeTensor<float>("scalar", DType::kF32, {}, {3.0f}),
                        MakeTensor<uint16_t>("half", DType::kF16, {1, 2}, {0x3c00, 0x7bff}),
                        MakeTensor<uint8_t>("empty", DType::kBool, {0}, {})};
  Tensor external{"block.3.w", DType::kBF16, {2, 2}, {}, {}};
  external.external = ExternalData{std::string(64, 'a'), uint64_t{1} << 40, 8};
  graph.initializers.push_back(external);
  graph.nodes = {
      MakeNode("Strange", "block.3.strange", {"hidden.3", "", "block.3.w"}, {"inner", ""},
               {{"f", -0.0f},
                {"i", std::numeric_limits<int64_t>::min()},
                {"s", std::string("a\0b", 3)},
                {"fs", std::vector<float>{0.0f, std::numeric_limits<float>::infinity()}},
                {"is", std::vector<int64_t>{-1, 0, 1}},
                {"ss", std::vector<std::string>{"", "x"}},
                {"t", Floats("", {1}, {7.0f})},
                {"no_ints", std::vector<int64_t>{}}},
               "com.microsoft"),
      MakeNode("Identity", "", {"inner"}, {"hidden.4"})};
  return model;
}

pb::ModelProto ParseWithLibrary(const ByteVector& bytes) {
  pb::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return proto;
}

Result<Model> ParseProto(const pb::ModelProto& proto) {
  return Parse(AsBytes(proto.SerializeAsString()));
}

std::string ErrorOf(const Result<Model>& result) {
  return result ? "no error" : result.error().ToString();
}

// The smallest model with a graph, as the library makes it.
pb::ModelProto SmallProto() {
  pb::ModelProto proto;
  proto.set_ir_version(8);
  proto.add_opset_import()->set_version(17);
  proto.mutable_graph()->set_name("small");
  return proto;
}

TEST(Write, RoundTripsEverything) {
  const Model model = Everything();
  ASSERT_TRUE(Check(model)) << Check(model).error().ToString();
  const ByteVector bytes = Serialize(model);
  const Result<Model> again = Parse(bytes);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(*again, model);
  EXPECT_EQ(Serialize(*again), bytes);
}

TEST(Write, GivesTheBytesThatTheLibraryWrites) {
  const ByteVector bytes = Serialize(Everything());
  const pb::ModelProto proto = ParseWithLibrary(bytes);
  EXPECT_EQ(proto.SerializeAsString(), AsText(bytes));
}

TEST(Write, MeansToTheLibraryWhatItMeansHere) {
  const pb::ModelProto proto = ParseWithLibrary(Serialize(Everything()));
  EXPECT_EQ(proto.ir_version(), 10);
  EXPECT_EQ(proto.opset_import(1).domain(), "com.microsoft");
  const pb::GraphProto& graph = proto.graph();
  EXPECT_EQ(graph.input(0).type().tensor_type().shape().dim(0).dim_param(), "batch");
  EXPECT_EQ(graph.input(0).type().tensor_type().shape().dim(2).dim_value(), 2);
  EXPECT_TRUE(graph.input(1).type().tensor_type().has_shape());
  EXPECT_EQ(graph.input(1).type().tensor_type().elem_type(), pb::TensorProto::INT32);
  const pb::NodeProto& node = graph.node(0);
  EXPECT_EQ(node.input_size(), 3);
  EXPECT_EQ(node.attribute(1).i(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(node.attribute(1).type(), pb::AttributeProto::INT);
  const pb::TensorProto& external = graph.initializer(5);
  EXPECT_EQ(external.data_location(), pb::TensorProto::EXTERNAL);
  EXPECT_EQ(external.external_data(1).key(), "offset");
  EXPECT_EQ(external.external_data(1).value(), "1099511627776");
}

TEST(Write, IsAcceptedByTheLibrarysChecker) {
  // Version 1.12 knows operators up to opset 17 and IR version 8.
  Model model = EmptyModel("checked");
  model.ir_version = 8;
  model.opsets = {{"", 17}};
  model.graph.inputs = {Value("x", DType::kF32, {Dim::Symbolic("n"), Dim::Fixed(2)})};
  model.graph.outputs = {Value("y", DType::kF32, {Dim::Symbolic("n"), Dim::Fixed(1)})};
  model.graph.initializers = {Floats("w", {2, 1}, {1.0f, 2.0f})};
  model.graph.nodes = {MakeNode("MatMul", "product", {"x", "w"}, {"xw"}),
                       MakeNode("Softmax", "soft", {"xw"}, {"y"}, {{"axis", int64_t{-1}}})};
  EXPECT_TRUE(Check(model));
  const pb::ModelProto proto = ParseWithLibrary(Serialize(model));
  EXPECT_NO_THROW(pb::checker::check_model(proto));
}

TEST(Read, BringsTypedDataIntoRaw) {
  pb::ModelProto proto = SmallProto();
  const auto add = [&](const char* name, int type, int64_t count) {
    pb::TensorProto* tensor = proto.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    tensor->add_dims(count);
    return tensor;
  };
  add("f32", pb::TensorProto::FLOAT, 2)->add_float_data(1.5f);
  proto.mutable_graph()->mutable_initializer(0)->add_float_data(-2.0f);
  add("f64", pb::TensorProto::DOUBLE, 1)->add_double_data(0.25);
  add("i64", pb::TensorProto::INT64, 1)->add_int64_data(-5);
  add("i32", pb::TensorProto::INT32, 1)->add_int32_data(-6);
  add("i8", pb::TensorProto::INT8, 1)->add_int32_data(-7);
  add("u8", pb::TensorProto::UINT8, 1)->add_int32_data(200);
  add("f16", pb::TensorProto::FLOAT16, 1)->add_int32_data(0xbc00);
  const Result<Model> model = ParseProto(proto);
  ASSERT_TRUE(model) << model.error().ToString();
  const auto& t = model->graph.initializers;
  EXPECT_EQ(t[0], Floats("f32", {2}, {1.5f, -2.0f}));
  EXPECT_EQ(t[1], MakeTensor<double>("f64", DType::kF64, {1}, {0.25}));
  EXPECT_EQ(t[2], testing::Ints("i64", {-5}));
  EXPECT_EQ(t[3], MakeTensor<int32_t>("i32", DType::kI32, {1}, {-6}));
  EXPECT_EQ(t[4], MakeTensor<int8_t>("i8", DType::kI8, {1}, {-7}));
  EXPECT_EQ(t[5], MakeTensor<uint8_t>("u8", DType::kU8, {1}, {200}));
  EXPECT_EQ(t[6], MakeTensor<uint16_t>("f16", DType::kF16, {1}, {0xbc00}));
}

TEST(Read, TakesPackedAndUnpackedNumbers) {
  // onnx.proto3 packs what onnx.proto (and so the library) does not: dims 2, 300 of a tensor.
  const ByteVector packed = {0x0a, 0x03, 0x02, 0xac, 0x02, 0x10, 0x01, 0x42, 0x01, 'w'};
  ByteVector graph = {0x2a, static_cast<uint8_t>(packed.size())};
  graph.insert(graph.end(), packed.begin(), packed.end());
  ByteVector bytes = {0x08, 0x0a, 0x3a, static_cast<uint8_t>(graph.size())};
  bytes.insert(bytes.end(), graph.begin(), graph.end());
  const Result<Model> model = Parse(bytes);
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->graph.initializers.at(0).dims, (std::vector<int64_t>{2, 300}));
}

TEST(Read, ExternalRangesDefaultToTheWholeTensorAtZero) {
  pb::ModelProto proto = SmallProto();
  pb::TensorProto* tensor = proto.mutable_graph()->add_initializer();
  tensor->set_data_type(pb::TensorProto::FLOAT);
  tensor->add_dims(3);
  tensor->set_data_location(pb::TensorProto::EXTERNAL);
  auto* entry = tensor->add_external_data();
  entry->set_key("location");
  entry->set_value("weights.bin");
  const Result<Model> model = ParseProto(proto);
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->graph.initializers[0].external, (ExternalData{"weights.bin", 0, 12}));
  entry = tensor->add_external_data();
  entry->set_key("offset");
  for (const char* bad : {"", "-1", "1x", "18446744073709551616"}) {
    entry->set_value(bad);
    EXPECT_THAT(ErrorOf(ParseProto(proto)), HasSubstr("offset")) << bad;
  }
}

TEST(Read, DropsInputsThatInitializersGiveADefault) {
  pb::ModelProto proto = SmallProto();
  pb::ValueInfoProto* input = proto.mutable_graph()->add_input();
  input->set_name("w");
  input->mutable_type()->mutable_tensor_type()->set_elem_type(pb::TensorProto::FLOAT);
  input->mutable_type()->mutable_tensor_type()->mutable_shape();
  pb::TensorProto* tensor = proto.mutable_graph()->add_initializer();
  tensor->set_name("w");
  tensor->set_data_type(pb::TensorProto::FLOAT);
  tensor->add_float_data(1.0f);
  const Result<Model> model = ParseProto(proto);
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_TRUE(model->graph.inputs.empty());
}

TEST(Read, RefusesSubgraphsByName) {
  pb::ModelProto proto = SmallProto();
  pb::NodeProto* node = proto.mutable_graph()->add_node();
  node->set_op_type("If");
  node->set_name("branch");
  pb::AttributeProto* attribute = node->add_attribute();
  attribute->set_name("then_branch");
  attribute->set_type(pb::AttributeProto::GRAPH);
  attribute->mutable_g()->set_name("inner");
  const std::string error = ErrorOf(ParseProto(proto));
  EXPECT_THAT(error, HasSubstr("unimplemented"));
  EXPECT_THAT(error, HasSubstr("node 0 \"branch\" (If): attribute \"then_branch\": is a graph"));
}

TEST(Read, SaysWhatItDoesNotHold) {
  const auto error_with = [](auto change) {
    pb::ModelProto proto = SmallProto();
    change(proto);
    return ErrorOf(ParseProto(proto));
  };
  EXPECT_THAT(error_with([](auto& p) { p.clear_graph(); }), HasSubstr("no graph"));
  EXPECT_THAT(error_with([](auto& p) { p.add_functions(); }), HasSubstr("local functions"));
  EXPECT_THAT(error_with([](auto& p) { p.add_training_info(); }), HasSubstr("training"));
  EXPECT_THAT(error_with([](auto& p) { p.mutable_graph()->add_sparse_initializer(); }),
              HasSubstr("sparse"));
  EXPECT_THAT(error_with([](auto& p) { p.mutable_graph()->set_name("\xff"); }), HasSubstr("UTF-8"));
  EXPECT_THAT(error_with([](auto& p) { p.mutable_graph()->set_name(std::string(2000, 'x')); }),
              HasSubstr("2000 bytes, more than 1024"));
  EXPECT_THAT(error_with([](auto& p) { p.mutable_graph()->add_input()->set_name("x"); }),
              HasSubstr("value \"x\": has no type"));
  EXPECT_THAT(error_with([](auto& p) {
                auto* input = p.mutable_graph()->add_input();
                input->mutable_type()->mutable_tensor_type()->set_elem_type(1);
              }),
              HasSubstr("no shape"));
  EXPECT_THAT(error_with([](auto& p) {
                auto* type = p.mutable_graph()->add_input()->mutable_type()->mutable_tensor_type();
                type->mutable_shape()->add_dim();
              }),
              HasSubstr("neither a name nor a number"));
  EXPECT_THAT(error_with([](auto& p) {
                p.mutable_graph()->add_initializer()->set_data_type(pb::TensorProto::STRING);
              }),
              HasSubstr("element type 8"));
}

TEST(Read, RefusesTensorsWhoseDataContradictThem) {
  const auto error_with = [](auto change) {
    pb::ModelProto proto = SmallProto();
    pb::TensorProto* tensor = proto.mutable_graph()->add_initializer();
    tensor->set_name("w");
    tensor->set_data_type(pb::TensorProto::FLOAT);
    change(*tensor);
    return ErrorOf(ParseProto(proto));
  };
  EXPECT_THAT(error_with([](auto& t) { t.add_int64_data(1); }),
              HasSubstr("tensor \"w\": int64_data in a tensor of type f32"));
  EXPECT_THAT(error_with([](auto& t) {
                t.add_float_data(1);
                t.set_raw_data("abcd");
              }),
              HasSubstr("several fields"));
  EXPECT_THAT(error_with([](auto& t) {
                t.set_data_type(pb::TensorProto::UINT8);
                t.add_int32_data(256);
              }),
              HasSubstr("256"));
  EXPECT_THAT(error_with([](auto& t) { t.add_dims(-1); }), HasSubstr("negative dim"));
  EXPECT_THAT(error_with([](auto& t) {
                for (int i = 0; i < 3; ++i) t.add_dims(int64_t{1} << 40);
              }),
              HasSubstr("can be counted"));
  EXPECT_THAT(error_with([](auto& t) {
                for (int i = 0; i < 17; ++i) t.add_dims(1);
              }),
              HasSubstr("17 dims"));
  EXPECT_THAT(error_with([](auto& t) { t.set_data_location(pb::TensorProto::EXTERNAL); }),
              HasSubstr("no location"));
  EXPECT_THAT(error_with([](auto& t) {
                t.set_data_location(pb::TensorProto::EXTERNAL);
                t.set_raw_data("abcd");
              }),
              HasSubstr("both external and inline"));
}

TEST(Read, RefusesEveryTruncation) {
  const ByteVector bytes = Serialize(Everything());
  // A cut between two fields of the model is a shorter model; the graph is one field of it.
  const size_t graph_end = Serialize([] {
                             Model model = Everything();
                             model.opsets.clear();
                             model.metadata.clear();
                             return model;
                           }())
                               .size();
  for (size_t size = 0; size < graph_end; ++size) {
    // A copy, so that a sanitizer sees a read past the end.
    EXPECT_FALSE(Parse(ByteVector(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size))))
        << size;
  }
  EXPECT_TRUE(Parse(Bytes(bytes).first(graph_end)));
}

TEST(Read, SurvivesEveryFlippedByte) {
  const ByteVector bytes = Serialize(Everything());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const uint8_t flip : {0x01, 0x04, 0x80, 0xff}) {
      ByteVector damaged = bytes;
      damaged[i] ^= flip;
      if (const Result<Model> model = Parse(damaged)) (void)Check(*model);
    }
  }
}

TEST(Read, LimitsTheNumberOfParts) {
  // Empty nodes, two bytes each, inside one graph.
  ByteVector graph;
  for (size_t i = 0; i <= kMaxParts; ++i) graph.insert(graph.end(), {0x0a, 0x00});
  ByteVector bytes = {0x3a};
  for (uint64_t size = graph.size(); size > 0; size >>= 7) {
    bytes.push_back(static_cast<uint8_t>((size & 0x7f) | (size >= 0x80 ? 0x80 : 0)));
  }
  bytes.insert(bytes.end(), graph.begin(), graph.end());
  EXPECT_THAT(ErrorOf(Parse(bytes)), HasSubstr("resource_exhausted"));
}

}  // namespace
}  // namespace shoal::onnx
