#include "store/expert_graphs.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "onnx/join.h"
#include "onnx/write.h"
#include "store/block_graph.h"

namespace shoal::store {

namespace {

onnx::ValueInfo RowsOf(std::string name, uint32_t width) {
  return {std::move(name),
          DType::kF32,
          {onnx::Dim::Symbolic("batch"), onnx::Dim::Symbolic("sequence"), onnx::Dim::Fixed(width)}};
}

// [0, 0, width]: the shape that a Reshape to itself asks for.
onnx::Tensor SameShape(std::string name, int64_t width) {
  const std::array<int64_t, 3> dims = {0, 0, width};
  onnx::Tensor tensor{std::move(name), DType::kI64, {3}, ByteVector(sizeof(dims)), {}};
  std::memcpy(tensor.raw.data(), dims.data(), sizeof(dims));
  return tensor;
}

}  // namespace

onnx::Model ExpertSumGraph(uint32_t block, std::span<const uint32_t> groups, uint32_t hidden) {
  CHECK(!groups.empty());
  const std::string prefix = StrCat("block.", block, ".experts.sum.");
  const std::string output = StrCat("expert_sum.", block);
  onnx::Model model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  onnx::Graph& graph = model.graph;
  graph.name = StrCat("block.", block, ".experts.sum");
  std::string sum;
  for (size_t i = 0; i < groups.size(); ++i) {
    const std::string part = StrCat("expert_sum.", block, ".", groups[i]);
    graph.inputs.push_back(RowsOf(part, hidden));
    if (i == 0) {
      sum = part;
      continue;
    }
    const std::string name = StrCat(prefix, groups[i]);
    const std::string result = i + 1 == groups.size() ? output : name;
    graph.nodes.push_back({"Add", "", name, {sum, part}, {result}, {}});
    sum = result;
  }
  if (groups.size() == 1) {
    const std::string shape = prefix + "shape";
    graph.initializers.push_back(SameShape(shape, hidden));
    graph.nodes.push_back({"Reshape", "", prefix + "only", {sum, shape}, {output}, {}});
  }
  graph.outputs.push_back(RowsOf(output, hidden));
  return model;
}

uint32_t ExpertCount(const MixtureParts& mixture) {
  CHECK(!mixture.groups.empty());
  return mixture.groups.back().first + mixture.groups.back().count;
}

Result<ExpertsGraph> JoinExperts(const Pack& pack, uint32_t block, std::span<const uint32_t> groups,
                                 const StageVariant& variant) {
  const Manifest& manifest = pack.manifest();
  if (variant.weights >= manifest.variants.size()) {
    return Fail(Code::kOutOfRange, StrCat("no variant ", variant.weights, ": the pack has ",
                                          manifest.variants.size()));
  }
  const std::vector<Block>& blocks = manifest.variants[variant.weights].blocks;
  if (block >= blocks.size() || !blocks[block].mixture) {
    return Fail(Code::kOutOfRange, StrCat("block ", block, " has no groups of experts"));
  }
  const MixtureParts& mixture = *blocks[block].mixture;
  ExpertsGraph made{.block = block, .groups = {groups.begin(), groups.end()}};
  std::vector<onnx::Model> graphs;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] >= mixture.groups.size() || (i > 0 && groups[i] <= groups[i - 1])) {
      return Fail(Code::kOutOfRange, StrCat("group ", groups[i], " of block ", block,
                                            ", which has ", mixture.groups.size()));
    }
    const ExpertGroup& group = mixture.groups[groups[i]];
    ASSIGN_OR_RETURN(onnx::Model graph, ReadGraph(pack, group.graph, {&group.weights, 1},
                                                  StrCat("block ", block, ", group ", groups[i])));
    graphs.push_back(std::move(graph));
    made.weights.push_back(*pack.FindBlob(group.weights));
    made.weight_bytes += made.weights.back().bytes;
  }
  if (groups.empty()) return Fail(Code::kOutOfRange, "no groups of experts were named");
  graphs.push_back(ExpertSumGraph(block, groups, manifest.model.hidden));
  ASSIGN_OR_RETURN(onnx::Model joined, onnx::Join(graphs, StrCat("block.", block, ".experts")));
  ASSIGN_OR_RETURN(joined, InActivations(std::move(joined), variant.activations));
  made.onnx = onnx::Serialize(joined);
  made.graph = HashBlob(made.onnx);
  return made;
}

}  // namespace shoal::store
