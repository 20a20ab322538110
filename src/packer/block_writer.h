// One block's graph while it is being made: its architecture, its weights as they are stored, and
// the parts that attention, MLPs and mixtures are built of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"
#include "onnx/model.h"
#include "packer/block_graph.h"
#include "packer/graph_builder.h"
#include "packer/tensor_format.h"

namespace shoal::packer {

class BlockWriter {
 public:
  // All of them must outlive the writer.
  BlockWriter(const model::Architecture& arch, uint32_t block,
              const std::vector<PlacedWeight>& weights);

  const model::Architecture& arch() const { return arch_; }
  uint32_t block() const { return block_; }
  GraphBuilder& graph() { return graph_; }

  // CHECKs that the block has the weight.
  const PlacedWeight& Weight(std::string_view role) const;
  // The name of a weight's one initialiser, which becomes part of the graph by it.
  std::string UseOne(std::string_view role);
  bool Has(std::string_view role) const { return Find(role) != nullptr; }

  // x W^T, plus the bias of that role if there is one. The result's name is `output` if given.
  std::string Linear(const std::string& role, const std::string& input, std::string output = {});
  std::string Norm(const std::string& role, const std::string& input);
  // Root mean square norm, of an epsilon of its own.
  std::string RmsNorm(const std::string& role, const std::string& input, double epsilon);
  std::string Activate(model::Activation activation, const std::string& name,
                       const std::string& input);
  // x times a number; x itself if that is 1.
  std::string Scale(const std::string& name, const std::string& input, double factor,
                    std::string output = {});
  // cap * tanh(x / cap)
  std::string Softcap(const std::string& name, const std::string& input, double cap,
                      std::string output = {});
  // down(act(gate(x)) * up(x)), or down(act(up(x))): the roles are `prefix` + "gate" and so on.
  std::string Mlp(const std::string& prefix, const std::string& input, bool gated,
                  model::Activation activation);

  // "hidden.7" and the like, and the dims of such values: [batch, sequence, width].
  static std::string Name(std::string_view what, uint32_t block);
  static std::vector<onnx::Dim> RowDims(uint64_t width);
  void RowInput(std::string name, uint64_t width);
  void RowOutput(std::string name, uint64_t width);

  // The graph so far; the writer is spent.
  onnx::Model Take(std::string name) { return graph_.Take(std::move(name)); }

 private:
  const PlacedWeight* Find(std::string_view role) const;

  const model::Architecture& arch_;
  const uint32_t block_;
  const std::vector<PlacedWeight>& weights_;
  GraphBuilder graph_;
};

}  // namespace shoal::packer
