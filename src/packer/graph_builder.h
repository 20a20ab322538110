// Collects the nodes of one block's graph. Names of nodes and of the values between them begin with
// the block's prefix, so that joined graphs never collide.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "onnx/model.h"

namespace shoal::packer {

class GraphBuilder {
 public:
  // `prefix`: "block.7."
  explicit GraphBuilder(std::string prefix);

  const std::string& prefix() const { return prefix_; }

  void Input(std::string name, DType type, std::vector<onnx::Dim> dims);
  // The value must be made by a node, under this very name.
  void Output(std::string name, DType type, std::vector<onnx::Dim> dims);
  // Weights in a blob; their name as it is. Returns it. The same tensor again is the same one.
  std::string External(const onnx::Tensor& tensor);
  // A small int64 constant within the graph; returns its name.
  std::string Constant(const std::string& name, const std::vector<int64_t>& values);

  // One float32 within the graph; returns its name.
  std::string Scalar(const std::string& name, double value);

  // Adds a node of ai.onnx called prefix + `name` with one output; returns the output's name, which
  // is `output`, or the node's when that is empty.
  std::string Add(std::string op, const std::string& name, std::vector<std::string> inputs,
                  std::vector<onnx::Attribute> attributes = {}, std::string output = {});
  // Adds a node of com.microsoft with outputs under names of their own.
  void AddMicrosoft(std::string op, const std::string& name, std::vector<std::string> inputs,
                    std::vector<std::string> outputs, std::vector<onnx::Attribute> attributes);
  // The `count` largest values along the last axis, descending, and their int64 indices.
  struct Top {
    std::string values;
    std::string indices;
  };
  Top TopK(const std::string& name, const std::string& input, int64_t count);
  std::string CastToFloat(const std::string& name, const std::string& input,
                          std::string output = {});
  // x [..., width]: its values [begin, end) of every row.
  std::string SliceLast(const std::string& name, const std::string& input, int64_t begin,
                        int64_t end);
  // x [a, b, c, width]: with `count` zeros after each of its rows.
  std::string PadLast(const std::string& name, const std::string& input, int64_t count);
  // To these dims, where 0 keeps a dim and -1 takes what is left.
  std::string Reshape(const std::string& name, const std::string& input,
                      const std::vector<int64_t>& dims);
  // Root mean square norm over the last axis.
  std::string RmsNorm(const std::string& name, const std::string& input, const std::string& weight,
                      double epsilon, std::string output = {});

  // The model: opset 21 of ai.onnx, 1 of com.microsoft, IR version 10. The builder is spent.
  onnx::Model Take(std::string graph_name);

 private:
  std::string prefix_;
  onnx::Graph graph_;
};

}  // namespace shoal::packer
