#include "packer/block_graph.h"

#include <numeric>

#include "base/check.h"
#include "base/str_cat.h"
#include "onnx/join.h"
#include "packer/attention_graph.h"
#include "packer/block_writer.h"
#include "packer/mixture_graph.h"
#include "store/expert_graphs.h"

namespace shoal::packer {

namespace {

using model::NormPlacement;
using onnx::Dim;

std::string HiddenName(uint32_t block) { return BlockWriter::Name("hidden", block); }

onnx::Model EmbeddingGraph(BlockWriter& writer) {
  GraphBuilder& graph = writer.graph();
  const model::Architecture& arch = writer.arch();
  const std::vector<Dim> id_dims = {Dim::Symbolic("batch"), Dim::Symbolic("sequence")};
  const auto look_up = [&](const std::string& role, const std::string& ids, std::string output) {
    graph.Input(ids, DType::kI32, id_dims);
    const PlacedWeight& weight = writer.Weight(role);
    weight.format->AddLookup(graph, role + ".lookup", ids, weight, output);
    return output;
  };
  const bool plain = !arch.learned_positions && arch.embedding_scale == 1;
  const std::string inner = graph.prefix() + "embedded";
  const std::string embedded = look_up("table", "tokens", plain ? HiddenName(1) : inner);
  if (arch.learned_positions) {
    CHECK(arch.embedding_scale == 1);
    const std::string places = look_up("positions", "positions", graph.prefix() + "placed");
    graph.Add("Add", "sum", {embedded, places}, {}, HiddenName(1));
  } else if (!plain) {
    writer.Scale("scale", embedded, arch.embedding_scale, HiddenName(1));
  }
  writer.RowOutput(HiddenName(1), arch.hidden);
  return writer.Take(StrCat("block.", writer.block()));
}

onnx::Model HeadGraph(BlockWriter& writer) {
  GraphBuilder& graph = writer.graph();
  const model::Architecture& arch = writer.arch();
  const std::string input = HiddenName(writer.block());
  writer.RowInput(input, arch.hidden);
  graph.Input("logit_rows", DType::kI32, {Dim::Symbolic("selected")});
  const std::string flat = graph.Reshape("flatten", input, {-1, arch.hidden});
  const std::string rows =
      graph.Add("Gather", "select", {flat, "logit_rows"}, {{"axis", int64_t{0}}});
  const std::string normed = writer.Norm("norm", rows);
  const bool capped = arch.logit_softcap != 0;
  const bool scaled = arch.logit_scale != 1;
  std::string logits = writer.Linear("head", normed, capped || scaled ? "" : "logits");
  if (scaled) logits = writer.Scale("head.scale", logits, arch.logit_scale, capped ? "" : "logits");
  if (capped) writer.Softcap("softcap", logits, arch.logit_softcap, "logits");
  graph.Output("logits", DType::kF32, {Dim::Symbolic("selected"), Dim::Fixed(arch.vocab)});
  return writer.Take(StrCat("block.", writer.block()));
}

// hidden.{b} to the residual after attention, whose name is `output` if given.
std::string AddFirstHalf(BlockWriter& writer, std::string output = {}) {
  const NormPlacement placement = writer.arch().norm.placement;
  const std::string input = HiddenName(writer.block());
  writer.RowInput(input, writer.arch().hidden);
  std::string branch = input;
  if (placement != NormPlacement::kAfter) branch = writer.Norm("attention_norm", branch);
  branch = AddAttention(writer, branch);
  if (placement != NormPlacement::kBefore) branch = writer.Norm("attention_post_norm", branch);
  branch = writer.Scale("attention_scale", branch, writer.arch().residual_scale);
  return writer.graph().Add("Add", "attention_residual", {input, branch}, {}, std::move(output));
}

// The residual and what the layer's second half adds to it, to hidden.{b+1}.
onnx::Model FinishLayer(BlockWriter& writer, const std::string& residual, std::string branch,
                        const std::string& name) {
  if (writer.arch().norm.placement != NormPlacement::kBefore) {
    branch = writer.Norm("mlp_post_norm", branch);
  }
  branch = writer.Scale("mlp_scale", branch, writer.arch().residual_scale);
  const std::string output = HiddenName(writer.block() + 1);
  writer.graph().Add("Add", "mlp_residual", {residual, branch}, {}, output);
  writer.RowOutput(output, writer.arch().hidden);
  return writer.Take(name);
}

onnx::Model LayerGraph(BlockWriter& writer) {
  const model::Mlp& mlp = writer.arch().mlp;
  const std::string residual = AddFirstHalf(writer);
  std::string branch = residual;
  if (writer.arch().norm.placement != NormPlacement::kAfter) {
    branch = writer.Norm("mlp_norm", branch);
  }
  branch = writer.Mlp("", branch, mlp.gated, mlp.activation);
  return FinishLayer(writer, residual, branch, StrCat("block.", writer.block()));
}

onnx::Model BeforeExperts(BlockWriter& writer) {
  const model::Architecture& arch = writer.arch();
  const uint32_t block = writer.block();
  const std::string residual = AddFirstHalf(writer, BlockWriter::Name("residual", block));
  writer.RowOutput(residual, arch.hidden);
  CHECK(arch.norm.placement == NormPlacement::kBefore);
  const std::string routed = BlockWriter::Name("routed", block);
  writer.graph().RmsNorm("mlp_norm.norm", residual, writer.UseOne("mlp_norm"), arch.norm.epsilon,
                         routed);
  writer.RowOutput(routed, arch.hidden);
  const std::string routes = BlockWriter::Name("routes", block);
  AddRouter(writer, routed, routes);
  writer.RowOutput(routes, arch.mixture->experts);
  return writer.Take(StrCat("block.", block, ".before"));
}

onnx::Model AfterExperts(BlockWriter& writer) {
  const model::Architecture& arch = writer.arch();
  const model::Mixture& mixture = *arch.mixture;
  const uint32_t block = writer.block();
  const std::string residual = BlockWriter::Name("residual", block);
  writer.RowInput(residual, arch.hidden);
  std::string sum = BlockWriter::Name("expert_sum", block);
  writer.RowInput(sum, arch.hidden);
  if (mixture.shared_intermediate != 0) {
    const std::string routed = BlockWriter::Name("routed", block);
    writer.RowInput(routed, arch.hidden);
    const std::string shared =
        writer.Mlp("shared_", routed, /*gated=*/true, model::Activation::kSilu);
    sum = writer.graph().Add("Add", "experts.with_shared", {sum, shared});
  }
  return FinishLayer(writer, residual, sum, StrCat("block.", block, ".after"));
}

}  // namespace

onnx::Model BuildBlockGraph(const model::Architecture& arch, uint32_t block,
                            const std::vector<PlacedWeight>& weights) {
  BlockWriter writer(arch, block, weights);
  if (block == 0) return EmbeddingGraph(writer);
  if (!arch.IsLayer(block)) return HeadGraph(writer);
  if (!arch.LayerOf(block).mixture) return LayerGraph(writer);
  MixtureGraphs parts = BuildMixtureGraphs(arch, block, weights);
  std::vector<onnx::Model> graphs = std::move(parts.groups);
  graphs.insert(graphs.begin(), std::move(parts.before));
  std::vector<uint32_t> groups(arch.mixture->expert_groups);
  std::iota(groups.begin(), groups.end(), 0u);
  graphs.push_back(store::ExpertSumGraph(block, groups, arch.hidden));
  graphs.push_back(std::move(parts.after));
  auto joined = onnx::Join(graphs, StrCat("block.", block));
  CHECK_MSG(joined, joined.error().ToString());
  return std::move(*joined);
}

MixtureGraphs BuildMixtureGraphs(const model::Architecture& arch, uint32_t block,
                                 const std::vector<PlacedWeight>& weights) {
  CHECK(arch.IsLayer(block) && arch.LayerOf(block).mixture);
  MixtureGraphs graphs;
  BlockWriter before(arch, block, weights);
  graphs.before = BeforeExperts(before);
  for (uint32_t group = 0; group < arch.mixture->expert_groups; ++group) {
    BlockWriter experts(arch, block, weights);
    graphs.groups.push_back(ExpertGroupGraph(experts, group));
  }
  BlockWriter after(arch, block, weights);
  graphs.after = AfterExperts(after);
  return graphs;
}

}  // namespace shoal::packer
