// An ONNX model in memory: what Shoal reads, writes, joins and runs of the format (onnx.proto3, IR
// version 10). Graphs inside attributes (If, Loop) are not held.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "tensor/dtype.h"

namespace shoal::onnx {

// A dimension is a number, or a name that stands for a number known only at run time.
struct Dim {
  int64_t value = -1;  // Used when symbol is empty; >= 0.
  std::string symbol;

  static Dim Fixed(int64_t value) { return {value, {}}; }
  static Dim Symbolic(std::string name) { return {-1, std::move(name)}; }
  bool operator==(const Dim&) const = default;
};

struct ValueInfo {
  std::string name;
  DType type = DType::kF32;
  std::vector<Dim> dims;
  bool operator==(const ValueInfo&) const = default;
};

// Where a tensor's bytes lie outside the model file.
struct ExternalData {
  std::string location;  // In a pack: the lower-case hex SHA-256 of the blob.
  uint64_t offset = 0;
  uint64_t length = 0;
  bool operator==(const ExternalData&) const = default;
};

// Product of the dims, 1 for none; nothing if a dim is negative or the product passes int64.
std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims);

struct Tensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> dims;
  ByteVector raw;  // Little-endian elements; empty when external.
  std::optional<ExternalData> external;
  bool operator==(const Tensor&) const = default;

  // Product of the dims; 1 for a scalar. The dims must have one (read.h and check.h see to it).
  int64_t ElementCount() const;
};

struct Attribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
               std::vector<std::string>, Tensor>
      value;
  bool operator==(const Attribute&) const = default;
};

struct Node {
  std::string op_type;
  std::string domain;  // "" is ai.onnx.
  std::string name;
  std::vector<std::string> inputs;  // "" is an omitted optional input.
  std::vector<std::string> outputs;
  std::vector<Attribute> attributes;
  bool operator==(const Node&) const = default;

  // The attribute with this name, or null.
  const Attribute* FindAttribute(std::string_view attribute_name) const;
  // Its value; `otherwise` if it is absent or of another type.
  int64_t IntAttribute(std::string_view attribute_name, int64_t otherwise) const;
  float FloatAttribute(std::string_view attribute_name, float otherwise) const;
};

struct Opset {
  std::string domain;
  int64_t version = 0;
  bool operator==(const Opset&) const = default;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;  // Topologically sorted.
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs;  // Without the initializers.
  std::vector<ValueInfo> outputs;
  std::vector<ValueInfo> value_info;
  bool operator==(const Graph&) const = default;
};

struct Model {
  int64_t ir_version = 10;
  std::string producer = "shoal";
  std::vector<Opset> opsets;
  Graph graph;
  std::vector<std::pair<std::string, std::string>> metadata;
  bool operator==(const Model&) const = default;
};

}  // namespace shoal::onnx
