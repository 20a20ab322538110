// What the rewriting of single operators has in common.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "partition/canonical.h"

namespace shoal::partition {

// Dims in each of the reading's samples.
using DimsOfSamples = std::vector<std::vector<int64_t>>;

class CanonicalWriter {
 public:
  explicit CanonicalWriter(const Reading& reading);

  const Reading& reading() const { return reading_; }
  Canonical& out() { return out_; }

  // The name under which a value of the model can be read: computed, constant, or made by a helper.
  Result<std::string> Use(const std::string& name);
  // The known elements of a value that is the same in all samples; nothing if it is not.
  const Array* ConstantArray(const std::string& name) const;
  // The integers of a constant input, or of an attribute of the node; nothing if neither is there.
  std::optional<std::vector<int64_t>> Ints(const onnx::Node& node, size_t input,
                                           std::string_view attribute) const;
  // The initialiser that a name stands for, through casts; null if it stands for none.
  const onnx::Tensor* Table(const std::string& name) const;
  bool IsData(const std::string& name) const;

  // Dims as the traces have them, with rows that were flattened as [batch, sequence, width].
  DimsOfSamples TracedDims(const std::string& name) const;
  const DimsOfSamples& DimsOf(const std::string& value) const { return out_.dims.at(value); }

  // Adds a node with one output called `output`; returns that.
  std::string Add(std::string op, std::vector<std::string> inputs, std::string output,
                  DimsOfSamples dims, std::vector<onnx::Attribute> attributes = {},
                  std::string domain = {});
  // `name` of the model is `value` here.
  void Name(const std::string& name, std::string value) { named_[name] = std::move(value); }
  // A fresh name for a value between.
  std::string Between(const std::string& output);
  // A constant; returns its name. `key` tells it from others.
  std::string AddConstant(const std::string& key, Constant constant);
  std::string Scalar(float value);
  std::string IntVector(const std::vector<int64_t>& values);
  // `value` under other dims; itself where they are its own. kUnimplemented where that cannot be
  // said with numbers, 0 and -1.
  Result<std::string> Reshape(const std::string& value, const DimsOfSamples& dims,
                              const std::string& output);
  // `value` [begin, end) along a dim.
  std::string Slice(const std::string& value, size_t axis, int64_t begin, int64_t end,
                    const std::string& output);
  // A constant as float32, by a cast if it is stored in less.
  std::string AsFloat(const std::string& constant);

 private:
  Result<std::string> UseControl(const std::string& name);
  bool IsPositions(const std::string& name) const;

  const Reading& reading_;
  Canonical out_;
  std::map<std::string, std::string> named_;
  size_t fresh_ = 0;
};

// The nodes for one node of the model (canonical_ops.cc).
Status WriteNode(CanonicalWriter& writer, const onnx::Node& node);

}  // namespace shoal::partition
