#include "packer/graph_builder.h"

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

void GraphBuilder::External(onnx::Tensor tensor) {
  graph_.initializers.push_back(std::move(tensor));
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

std::string GraphBuilder::CastToFloat(const std::string& name, const std::string& input,
                                      std::string output) {
  return Add("Cast", name, {input}, {{"to", static_cast<int64_t>(DType::kF32)}}, std::move(output));
}

std::string GraphBuilder::RmsNorm(const std::string& name, const std::string& input,
                                  const std::string& weight, double epsilon) {
  return Add("SimplifiedLayerNormalization", name, {input, weight},
             {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(epsilon)}});
}

onnx::Model GraphBuilder::Take(std::string graph_name) {
  onnx::Model model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  model.graph = std::move(graph_);
  model.graph.name = std::move(graph_name);
  return model;
}

}  // namespace shoal::packer
