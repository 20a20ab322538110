#include "packer/mixture_graph.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::packer {

namespace {

using model::Mixture;

// Stands for the weight of an expert that is not chosen, of which the logarithm is taken.
constexpr double kNoWeight = 1e-37;
// Keeps sums of sigmoids from 0.
constexpr double kTiny = 1e-20;
// Puts the scores of groups that are not chosen below all others.
constexpr double kExcluded = 1e9;

std::string SumLast(GraphBuilder& graph, const std::string& name, const std::string& input) {
  const std::string axes = graph.Constant(name + ".axes", {-1});
  return graph.Add("ReduceSum", name, {input, axes}, {{"keepdims", int64_t{1}}});
}

// Scores by which experts are chosen: those outside of the best groups are put below all others.
std::string ExcludeGroups(BlockWriter& writer, const std::string& scores, const std::string& zero) {
  GraphBuilder& graph = writer.graph();
  const Mixture& mixture = *writer.arch().mixture;
  const int64_t groups = mixture.route_groups;
  const int64_t size = mixture.experts / mixture.route_groups;
  const std::string split = graph.Reshape("groups.split", scores, {0, 0, groups, size});
  const std::string best = graph.TopK("groups.best_two", split, 2).values;
  const std::string sums =
      graph.Reshape("groups.score", SumLast(graph, "groups.sum", best), {0, 0, groups});
  const GraphBuilder::Top top = graph.TopK("groups.top", sums, mixture.chosen_route_groups);
  const std::string updates = graph.Add("Mul", "groups.kept", {top.values, zero});
  const std::string zeros = graph.Add("Mul", "groups.zeros", {sums, zero});
  const std::string excluded = graph.Scalar("groups.excluded", -kExcluded);
  const std::string base = graph.Add("Add", "groups.all_excluded", {zeros, excluded});
  const std::string mask = graph.Add("ScatterElements", "groups.mask", {base, top.indices, updates},
                                     {{"axis", int64_t{-1}}});
  const std::string wide = graph.Reshape("groups.mask_wide", mask, {0, 0, groups, 1});
  const std::string kept = graph.Add("Add", "groups.masked", {split, wide});
  return graph.Reshape("groups.join", kept, {0, 0, int64_t{mixture.experts}});
}

}  // namespace

void AddRouter(BlockWriter& writer, const std::string& input, std::string output) {
  GraphBuilder& graph = writer.graph();
  const Mixture& mixture = *writer.arch().mixture;
  const std::string logits = writer.Linear("router", input);
  const std::string scores =
      mixture.scores == model::Scores::kSigmoid
          ? graph.Add("Sigmoid", "scores", {logits})
          : graph.Add("Softmax", "scores", {logits}, {{"axis", int64_t{-1}}});
  const std::string zero = graph.Scalar("zero", 0);
  std::string choice = scores;
  if (mixture.correction_bias) {
    choice = graph.Add("Add", "scores.corrected", {choice, writer.UseOne("router_correction")});
  }
  if (mixture.route_groups > 1) choice = ExcludeGroups(writer, choice, zero);
  const std::string chosen = graph.TopK("chosen.top", choice, mixture.chosen).indices;
  std::string weights =
      graph.Add("GatherElements", "chosen.scores", {scores, chosen}, {{"axis", int64_t{-1}}});
  if (mixture.normalised) {
    const std::string sum = SumLast(graph, "chosen.sum", weights);
    const std::string tiny = graph.Scalar("chosen.tiny", kTiny);
    const std::string divisor = graph.Add("Add", "chosen.divisor", {sum, tiny});
    weights = graph.Add("Div", "chosen.normalised", {weights, divisor});
  }
  weights = writer.Scale("chosen.scaled", weights, mixture.scale);
  const std::string zeros = graph.Add("Mul", "routes.zeros", {scores, zero});
  graph.Add("ScatterElements", "routes", {zeros, chosen, weights}, {{"axis", int64_t{-1}}},
            std::move(output));
}

// MoE takes the softmax of its scores over the best k experts and divides by nothing more. With
// logarithms of the weights as scores, that softmax is each weight over their sum, by which the
// result is multiplied: any routing comes out exactly. Experts that are not chosen weigh 1e-37.
onnx::Model ExpertGroupGraph(BlockWriter& writer, uint32_t group) {
  GraphBuilder& graph = writer.graph();
  const model::Architecture& arch = writer.arch();
  const Mixture& mixture = *arch.mixture;
  const std::string prefix = StrCat("experts.", group, ".");
  const int64_t count = mixture.experts_per_group();
  const std::string routed = BlockWriter::Name("routed", writer.block());
  const std::string routes = BlockWriter::Name("routes", writer.block());
  writer.RowInput(routed, arch.hidden);
  writer.RowInput(routes, mixture.experts);

  const std::string own =
      graph.SliceLast(prefix + "routes", routes, group * count, (group + 1) * count);
  const std::string floor = graph.Scalar(prefix + "no_weight", kNoWeight);
  const std::string positive = graph.Add("Max", prefix + "positive", {own, floor});
  const std::string logs = graph.Add("Log", prefix + "logs", {positive});
  TensorFormat::ExpertInputs inputs;
  // ONNX Runtime 1.30 may let MoE write over its input, which its CPU kernel does not survive. It
  // does not where it cannot tell that both have the same size: behind a -1.
  inputs.rows = graph.Reshape(prefix + "rows", routed, {0, -1, int64_t{arch.hidden}});
  inputs.scores = graph.Reshape(prefix + "scores", logs, {-1, count});
  inputs.in = &writer.Weight(prefix + "in");
  inputs.out = &writer.Weight(prefix + "out");
  CHECK(inputs.in->format == inputs.out->format);
  if (mixture.bias) {
    inputs.in_bias = writer.UseOne(prefix + "in_bias");
    inputs.out_bias = writer.UseOne(prefix + "out_bias");
  }
  std::vector<onnx::Attribute> attributes = {
      {"k", std::min<int64_t>(mixture.chosen, count)},
      {"activation_type", std::string("swiglu")},
      {"swiglu_fusion", int64_t{1}},
      {"normalize_routing_weights", int64_t{0}},
      {"activation_alpha", static_cast<float>(mixture.alpha)},
      {"activation_beta", static_cast<float>(mixture.offset)}};
  if (mixture.limit != 0) {
    attributes.push_back({"swiglu_limit", static_cast<float>(mixture.limit)});
  }
  const std::string mean =
      inputs.in->format->AddExperts(graph, prefix + "mean", inputs, std::move(attributes));
  const std::string output = StrCat("expert_sum.", writer.block(), ".", group);
  graph.Add("Mul", prefix + "sum", {mean, SumLast(graph, prefix + "weight", own)}, {}, output);
  writer.RowOutput(output, arch.hidden);
  return writer.Take(StrCat("block.", writer.block(), ".experts.", group));
}

}  // namespace shoal::packer
