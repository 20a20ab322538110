// What a decoder's graph says of itself: which inputs and outputs are the tokens, the caches, the
// logits and the control inputs (masks, positions, lengths), and what depends on what.
//
// Names mean nothing here. The tokens are what looks up rows in a table with as many rows as there
// are logits; a cache is a float input with four dims, and belongs to the output that depends on it
// and on the fewest others; a control input is what lets the graph's shapes fit together.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "onnx/model.h"
#include "partition/evaluate.h"

namespace shoal::partition {

// The bytes of an initialiser, wherever they lie; the view stays.
using TensorBytes = std::function<Result<Bytes>(const onnx::Tensor&)>;

// How long rows are in one run.
struct Sample {
  int64_t batch = 1;
  int64_t sequence = 1;
  int64_t past = 0;
  // Position of the first token where the graph is told positions; else they follow from `past`.
  int64_t position = -1;

  int64_t total() const { return past + sequence; }
};

enum class Control : uint8_t {
  kMask,           // [batch, total]: 1
  kPositions,      // [batch, sequence]
  kFlatPositions,  // [sequence]
  kSeqlens,        // [batch]: total - 1
  kTotal,          // [] or [1]
};

struct LayerCache {
  std::string past_key;
  std::string past_value;
  std::string present_key;
  std::string present_value;
  int64_t heads = 0;
  int64_t size = 0;
};

// What a value depends on.
enum class Kind : uint8_t {
  kConstant,
  kControl,  // How long rows are, and where they stand.
  kData,     // The tokens.
};

class Reading {
 public:
  // The graph must have passed onnx::Check. kInvalidArgument or kUnimplemented with the reason why
  // this is no decoder that can be cut.
  static Result<Reading> Of(onnx::Model model, TensorBytes bytes);

  const onnx::Graph& graph() const { return model_.graph; }
  onnx::Graph& mutable_graph() { return model_.graph; }
  int64_t opset() const { return opset_; }
  const std::string& tokens() const { return tokens_; }
  const std::string& logits() const { return logits_; }
  int64_t vocab() const { return vocab_; }
  // By depth.
  const std::vector<LayerCache>& layers() const { return layers_; }
  std::vector<LayerCache>& mutable_layers() { return layers_; }

  // The inputs and initialisers of a run, tokens and caches by their shapes alone.
  Bindings Bind(const Sample& sample) const;
  // What the whole graph computes for the samples: at least two, with unlike lengths.
  const std::vector<Bindings>& traces() const { return traces_; }
  const std::vector<Sample>& samples() const { return samples_; }

  Kind KindOf(const std::string& value) const;
  // The initialiser of that name, or null.
  const onnx::Tensor* Initializer(const std::string& name) const;
  // The node that makes a value, or null.
  const onnx::Node* Maker(const std::string& value) const;
  const TensorBytes& bytes() const { return bytes_; }

  // Gives the graph a control input, unless it has one of that name.
  void AddControl(onnx::ValueInfo input, Control control);
  // After the graph's nodes were changed: finds makers and kinds again, and traces again.
  Status Refresh();

 private:
  Reading() = default;
  Status FindOutputs();
  // Takes out the nodes that neither logits nor caches need.
  void Prune();
  Status FindInputs();
  Status FindTokens(const std::vector<const onnx::ValueInfo*>& integers);
  Status FindControls(std::vector<const onnx::ValueInfo*> integers);
  Status FindLayers(const std::vector<const onnx::ValueInfo*>& caches);
  Status LoadConstants();
  Status Trace();
  void FindKinds();

  onnx::Model model_;
  TensorBytes bytes_;
  int64_t opset_ = 0;
  std::string tokens_;
  std::string logits_;
  int64_t vocab_ = 0;
  DType cache_type_ = DType::kF32;
  std::map<std::string, Control> controls_;
  std::vector<LayerCache> layers_;
  std::vector<std::string> presents_;
  std::vector<Sample> samples_;
  std::vector<Bindings> traces_;
  Bindings constants_;
  std::unordered_map<std::string, Kind> kinds_;
  std::unordered_map<std::string, size_t> makers_;
};

}  // namespace shoal::partition
