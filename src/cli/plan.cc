// shoal plan PACK --devices devices.json: who would hold what, how fast that would be, and what one
// more device would change. docs/planner.md describes the file and the figures.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/devices.h"
#include "cli/plan_experts.h"
#include "coordinator/hub/block_costs.h"
#include "coordinator/hub/expert_layers.h"
#include "model/file.h"
#include "packer/shapes.h"
#include "planner/explain.h"
#include "planner/what_if.h"
#include "store/pack.h"

namespace shoal::cli {

namespace {

constexpr size_t kDevicesBytesMax = 16u << 20;
constexpr size_t kWhatIfVolunteers = 1000;  // In larger pools one more device changes nothing.
constexpr size_t kWhatIfKinds = 12;

struct PlanArguments {
  std::string pack;
  std::string devices;
  bool f16_hops = false;
  bool shapes_only = false;
  std::string weights = "q4";
  bool divide_experts = false;
};

void PrintNames(const DevicesFile& devices) {
  for (const DeviceKind& kind : devices.kinds) {
    if (kind.count == 1) {
      fmt::print("volunteer {}: {}\n", kind.first + 1, kind.name);
    } else {
      fmt::print("volunteers {} to {}: {}\n", kind.first + 1, kind.first + kind.count, kind.name);
    }
  }
}

void PrintWhatIf(const DevicesFile& devices, bool has_plan) {
  std::vector<size_t> likes;
  for (const DeviceKind& kind : devices.kinds) {
    if (likes.size() < kWhatIfKinds) likes.push_back(kind.first);
  }
  const auto no_help = [&](size_t kind) {
    fmt::print("with up to {} more like {}: still no plan\n", planner::kWhatIfMost,
               devices.kinds[kind].name);
  };
  size_t kind = 0;
  for (const planner::WhatIf& answer : planner::AskWhatIf(devices.problem, likes)) {
    for (; devices.kinds[kind].first != answer.like; ++kind) no_help(kind);
    const planner::Prediction& then = answer.prediction;
    const std::string gain = fmt::format("first token after {}, then {} a token; {:.3g} tokens/s",
                                         planner::FormatSeconds(then.first_token_s),
                                         planner::FormatSeconds(then.token_s), then.tokens_per_s);
    if (!has_plan) {
      fmt::print("with {} more like {}: {}\n", answer.count, devices.kinds[kind].name, gain);
    } else if (answer.used) {
      fmt::print("with one more like {}: {}\n", devices.kinds[kind].name, gain);
    } else {
      fmt::print("with one more like {}: nothing would change\n", devices.kinds[kind].name);
    }
    ++kind;
  }
  for (; kind < likes.size(); ++kind) no_help(kind);
}

struct PlannedModel {
  store::Manifest manifest;
  std::vector<planner::ExpertLayer> layers;  // That can be divided.
};

// The layers of experts of a model of which only the shapes are known.
std::vector<planner::ExpertLayer> ShapesLayers(const model::Architecture& arch,
                                               const packer::Recipe& recipe,
                                               const std::vector<planner::BlockCost>& costs) {
  std::vector<planner::ExpertLayer> layers;
  for (const packer::ShapePiece& piece : packer::ShapePieces(arch, recipe)) {
    if (!piece.experts) continue;
    if (layers.empty() || layers.back().block != piece.block) {
      planner::ExpertLayer& layer = layers.emplace_back();
      layer.block = piece.block;
      layer.own = costs[piece.block];
      layer.chosen = arch.mixture->chosen;
      layer.experts_per_group = arch.mixture->experts_per_group();
      // Three matrices, two operations a weight.
      layer.flops_per_expert = 6.0 * arch.hidden * arch.mixture->intermediate;
      layer.own.flops_per_token -= layer.chosen * layer.flops_per_expert;
      layer.own.read_fraction = 1;
    }
    layers.back().group_bytes.push_back(piece.bytes);
    layers.back().own.weight_bytes -= piece.bytes;
  }
  return layers;
}

// Of a pack, or of what a checkpoint would be packed to.
Result<PlannedModel> ReadModel(const PlanArguments& arguments, uint32_t hop_bytes) {
  if (!arguments.shapes_only) {
    ASSIGN_OR_RETURN(const store::Pack pack, store::Pack::Open(arguments.pack));
    return PlannedModel{pack.manifest(), ExpertLayersOf(pack.manifest(), hop_bytes)};
  }
  ASSIGN_OR_RETURN(const packer::Recipe recipe, packer::Recipe::Named(arguments.weights));
  ASSIGN_OR_RETURN(const model::Architecture arch, packer::ReadShapes(arguments.pack));
  PlannedModel model{packer::ShapesManifest(arch, recipe, arguments.pack), {}};
  model.layers = ShapesLayers(arch, recipe, BlockCostsOf(model.manifest, hop_bytes));
  return model;
}

// The blocks as each of the pack's sets of weights has them, and every device with its own set.
Status AddBlocks(const store::Manifest& manifest, uint32_t hop_bytes, DevicesFile& devices) {
  planner::Problem& problem = devices.problem;
  problem.blocks = BlockCostsOf(manifest, hop_bytes);
  for (size_t set = 1; set < manifest.variants.size(); ++set) {
    problem.other_forms.push_back(BlockCostsOf(manifest, hop_bytes, {.weights = set}));
  }
  for (const DeviceKind& kind : devices.kinds) {
    ASSIGN_OR_RETURN(const size_t set, store::FindWeights(manifest, kind.weights));
    for (uint32_t i = kind.first; i < kind.first + kind.count; ++i) {
      problem.volunteers[i].form = static_cast<uint32_t>(set);
    }
  }
  return {};
}

Status RunPlan(const PlanArguments& arguments) {
  const uint32_t hop_bytes = arguments.f16_hops ? 2 : 4;
  ASSIGN_OR_RETURN(const PlannedModel model, ReadModel(arguments, hop_bytes));
  ASSIGN_OR_RETURN(const std::string text, model::ReadFile(arguments.devices, kDevicesBytesMax));
  ASSIGN_OR_RETURN(DevicesFile devices, ParseDevices(text, arguments.devices));
  RETURN_IF_ERROR(AddBlocks(model.manifest, hop_bytes, devices));
  ASSIGN_OR_RETURN(const planner::PoolPlan plan, planner::PlanPool(devices.problem));
  PrintNames(devices);
  if (!model.layers.empty() && (arguments.divide_experts || !plan.complete())) {
    const uint32_t hidden = model.manifest.model.hidden;
    ASSIGN_OR_RETURN(const DividedPlan divided,
                     PlanDivided(devices.problem, model.layers, hidden, hop_bytes));
    fmt::print("{}", DescribeDivided(divided, model.layers));
    if (divided.complete()) return {};
    return Fail(Code::kUnavailable, "these devices cannot run the model");
  }
  fmt::print("{}", planner::Describe(devices.problem, plan));
  if (devices.problem.volunteers.size() <= kWhatIfVolunteers) {
    PrintWhatIf(devices, plan.complete());
  }
  if (!plan.complete()) return Fail(Code::kUnavailable, "these devices cannot run the model");
  return {};
}

}  // namespace

void AddPlan(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("plan", "say how devices would share a pack, how fast");
  const auto arguments = std::make_shared<PlanArguments>();
  const auto hop = std::make_shared<std::string>("f32");
  command->add_option("pack", arguments->pack, "the pack's folder")->required();
  command->add_option("--devices", arguments->devices, "the devices, a JSON file")->required();
  command->add_flag("--shapes-only", arguments->shapes_only,
                    "PACK is a checkpoint of which only the config.json is read");
  command->add_flag("--divide-experts", arguments->divide_experts,
                    "divide every layer's experts, even if the model fits undivided");
  command->add_option("--weights", arguments->weights, "with --shapes-only: f32, f16, q8 or q4")
      ->capture_default_str();
  command->add_option("--hop", *hop, "precision of hidden states on the network")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->capture_default_str();
  command->callback([arguments, hop, &exit_code] {
    arguments->f16_hops = *hop == "f16";
    const Status status = RunPlan(*arguments);
    exit_code = status ? kDone : ReportFailure(status.error());
  });
}

}  // namespace shoal::cli
