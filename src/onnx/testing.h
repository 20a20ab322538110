// For tests only: short ways to write down models.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "onnx/model.h"

namespace shoal::onnx::testing {

inline ValueInfo Value(std::string name, DType type, std::vector<Dim> dims) {
  return {std::move(name), type, std::move(dims)};
}

// The dims of hidden states.
inline std::vector<Dim> HiddenDims(int64_t width) {
  return {Dim::Symbolic("batch"), Dim::Symbolic("sequence"), Dim::Fixed(width)};
}

template <typename T>
Tensor MakeTensor(std::string name, DType type, std::vector<int64_t> dims,
                  const std::vector<T>& values) {
  Tensor tensor{std::move(name), type, std::move(dims), ByteVector(values.size() * sizeof(T)), {}};
  if (!values.empty()) std::memcpy(tensor.raw.data(), values.data(), tensor.raw.size());
  return tensor;
}

inline Tensor Floats(std::string name, std::vector<int64_t> dims,
                     const std::vector<float>& values) {
  return MakeTensor(std::move(name), DType::kF32, std::move(dims), values);
}

inline Tensor Ints(std::string name, const std::vector<int64_t>& values) {
  return MakeTensor(std::move(name), DType::kI64, {static_cast<int64_t>(values.size())}, values);
}

inline Node MakeNode(std::string op_type, std::string name, std::vector<std::string> inputs,
                     std::vector<std::string> outputs, std::vector<Attribute> attributes = {},
                     std::string domain = "") {
  return {std::move(op_type), std::move(domain),  std::move(name),
          std::move(inputs),  std::move(outputs), std::move(attributes)};
}

// A model without a graph yet: ai.onnx 21, com.microsoft 1.
inline Model EmptyModel(std::string graph_name) {
  Model model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  model.graph.name = std::move(graph_name);
  return model;
}

}  // namespace shoal::onnx::testing
