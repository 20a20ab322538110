#include "packer/graph_builder.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace shoal::packer {

GraphBuilder::GraphBuilder(std::string prefix) : prefix_(std::move(prefix)) {}

void GraphBuilder::Input(std::string name, DType type, std::vector<onnx::Dim> dims) {
  graph_.inputs.push_back({std::move(name), type, std::move(dims)});
}

void GraphBuilder::Output(std::string name, DType type, std::vector<onnx::Dim> dims) {
  graph_.outputs.push_back({std::move(name), type, std::move(dims)});
}

std::string GraphBuilder::External(const onnx::Tensor& tensor) {
  const auto same = [&](const onnx::Tensor& known) { return known.name == tensor.name; };
  if (std::ranges::none_of(graph_.initializers, same)) graph_.initializers.push_back(tensor);
  return tensor.name;
}

std::string GraphBuilder::Constant(const std::string& name, const std::vector<int64_t>& values) {
  onnx::Tensor tensor;
  tensor.name = prefix_ + name;
  tensor.type = DType::kI64;
  tensor.dims = {static_cast<int64_t>(values.size())};
  ByteWriter writer(tensor.raw);
  for (const int64_t value : values) writer.Write(value);
  graph_.initializers.push_back(std::move(tensor));
  return prefix_ + name;
}

std::string GraphBuilder::Scalar(const std::string& name, double value) {
  onnx::Tensor tensor;
  tensor.name = prefix_ + name;
  tensor.type = DType::kF32;
  ByteWriter(tensor.raw).Write(static_cast<float>(value));
  graph_.initializers.push_back(std::move(tensor));
  return prefix_ + name;
}

std::string GraphBuilder::SliceLast(const std::string& name, const std::string& input,
                                    int64_t begin, int64_t end) {
  const std::string from = Constant(name + ".begin", {begin});
  const std::string to = Constant(name + ".end", {end});
  const std::string axis = Constant(name + ".axis", {-1});
  return Add("Slice", name, {input, from, to, axis});
}

std::string GraphBuilder::PadLast(const std::string& name, const std::string& input,
                                  int64_t count) {
  const std::string pads = Constant(name + ".pads", {0, 0, 0, 0, 0, 0, 0, count});
  return Add("Pad", name, {input, pads});
}

std::string GraphBuilder::Reshape(const std::string& name, const std::string& input,
                                  const std::vector<int64_t>& dims) {
  const std::string shape = Constant(name + ".shape", dims);
  return Add("Reshape", name, {input, shape});
}

std::string GraphBuilder::Add(std::string op, const std::string& name,
                              std::vector<std::string> inputs,
                              std::vector<onnx::Attribute> attributes, std::string output) {
  if (output.empty()) output = prefix_ + name;
  graph_.nodes.push_back(
      {std::move(op), "", prefix_ + name, std::move(inputs), {output}, std::move(attributes)});
  return output;
}

void GraphBuilder::AddMicrosoft(std::string op, const std::string& name,
                                std::vector<std::string> inputs, std::vector<std::string> outputs,
                                std::vector<onnx::Attribute> attributes) {
  graph_.nodes.push_back({std::move(op), "com.microsoft", prefix_ + name, std::move(inputs),
                          std::move(outputs), std::move(attributes)});
}

GraphBuilder::Top GraphBuilder::TopK(const std::string& name, const std::string& input,
                                     int64_t count) {
  const std::string k = Constant(name + ".k", {count});
  Top top{prefix_ + name + ".values", prefix_ + name + ".indices"};
  graph_.nodes.push_back(
      {"TopK",
       "",
       prefix_ + name,
       {input, k},
       {top.values, top.indices},
       {{"axis", int64_t{-1}}, {"largest", int64_t{1}}, {"sorted", int64_t{1}}}});
  return top;
}

std::string GraphBuilder::CastToFloat(const std::string& name, const std::string& input,
                                      std::string output) {
  return Add("Cast", name, {input}, {{"to", static_cast<int64_t>(DType::kF32)}}, std::move(output));
}

std::string GraphBuilder::RmsNorm(const std::string& name, const std::string& input,
                                  const std::string& weight, double epsilon, std::string output) {
  return Add("SimplifiedLayerNormalization", name, {input, weight},
             {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(epsilon)}}, std::move(output));
}

onnx::Model GraphBuilder::Take(std::string graph_name) {
  onnx::Model model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  model.graph = std::move(graph_);
  model.graph.name = std::move(graph_name);
  return model;
}

}  // namespace shoal::packer
