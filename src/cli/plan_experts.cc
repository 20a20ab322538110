#include "cli/plan_experts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "planner/explain.h"

namespace shoal::cli {

namespace {

std::map<uint32_t, NodeId> StagesOf(const planner::PoolPlan& plan,
                                    const std::vector<planner::ExpertLayer>& layers) {
  std::map<uint32_t, NodeId> stage_of;
  for (const planner::PlacedSpan& placed : plan.pipelines.front().stages) {
    for (const planner::ExpertLayer& layer : layers) {
      if (layer.block < placed.span.first || layer.block >= placed.span.last) continue;
      stage_of[layer.block] = placed.nodes.front();
    }
  }
  return stage_of;
}

std::string Kilobytes(uint64_t bytes) {
  return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1000);
}

}  // namespace

Result<DividedPlan> PlanDivided(const planner::Problem& problem,
                                const std::vector<planner::ExpertLayer>& layers, uint32_t hidden,
                                uint32_t hop_bytes) {
  DividedPlan plan;
  plan.problem = problem;
  // Experts that lie elsewhere are in the first set of weights, and so is what asks them.
  plan.problem.other_forms.clear();
  for (planner::Volunteer& one : plan.problem.volunteers) one.form = 0;
  for (const planner::ExpertLayer& layer : layers) plan.problem.blocks[layer.block] = layer.own;
  std::vector<planner::RoleNode> nodes;
  for (const planner::Volunteer& one : problem.volunteers) {
    nodes.push_back({.device = {one.node, one.memory_bytes, {}},
                     .experts = {.node = one.node,
                                 .memory_bytes = one.memory_bytes,
                                 .cluster = one.link.cluster,
                                 .latency_s = one.link.latency_s,
                                 .held = {}}});
  }
  plan.roles = planner::DivideRoles(plan.problem.blocks, layers, nodes, problem.limits, 1);
  if (!plan.roles.complete()) return plan;
  std::erase_if(plan.problem.volunteers, [&](const planner::Volunteer& one) {
    return plan.roles.experts.holders.contains(one.node);
  });
  ASSIGN_OR_RETURN(plan.stages, planner::PlanPool(plan.problem));
  if (!plan.stages.complete()) return plan;
  const std::map<uint32_t, NodeId> stage_of = StagesOf(plan.stages, layers);
  const planner::ExpertHolding& holders = plan.roles.experts.holders;
  plan.cost = planner::CostOfExperts(problem, layers, holders, stage_of, hidden, hop_bytes);
  planner::Problem apart = problem;
  for (planner::Volunteer& one : apart.volunteers) one.link.cluster = planner::kFar;
  plan.apart = planner::CostOfExperts(apart, layers, holders, stage_of, hidden, hop_bytes);
  return plan;
}

std::string DescribeDivided(const DividedPlan& plan,
                            const std::vector<planner::ExpertLayer>& layers) {
  std::string text =
      fmt::format("The experts of {} layers lie on volunteers of their own.\n", layers.size());
  if (!plan.roles.complete()) {
    return text +
           fmt::format("There is no plan: {} of memory are missing for stages and experts.\n",
                       FormatSize(plan.roles.missing_bytes));
  }
  // Whoever is left out of the stages' plan may be one of very many.
  planner::PoolPlan stages = plan.stages;
  stages.left_out.clear();
  text +=
      StrCat("Stages, without what their experts take:\n", planner::Describe(plan.problem, stages));
  if (!plan.stages.complete()) return text;
  size_t groups = 0;
  for (const auto& [node, slots] : plan.roles.experts.holders) groups += slots.size();
  text += fmt::format("{} volunteers hold {} groups of experts\n",
                      plan.roles.experts.holders.size(), groups);
  text += fmt::format("every token: {} to the holders and {} back, over all layers\n",
                      Kilobytes(plan.cost.bytes_up_per_token),
                      Kilobytes(plan.cost.bytes_down_per_token));
  text += fmt::format("waiting for experts: {} of round trips and {} of computing a token\n",
                      planner::FormatSeconds(plan.cost.round_trips_s),
                      planner::FormatSeconds(plan.cost.compute_s));
  if (plan.cost.layers_apart > 0) {
    text += fmt::format(
        "{} of {} layers are not within one local network: each costs a round "
        "trip over the coordinator, {} a token on average\n",
        plan.cost.layers_apart, plan.cost.layers,
        planner::FormatSeconds(plan.cost.round_trips_s / plan.cost.layers));
  } else {
    text +=
        fmt::format("over the coordinator alone it would be {} of round trips, {:.3g} tokens/s\n",
                    planner::FormatSeconds(plan.apart.round_trips_s), 1 / plan.token_s_apart());
  }
  text += fmt::format("a token, experts included: {}, {:.3g} tokens/s of one stream\n",
                      planner::FormatSeconds(plan.token_s()), 1 / plan.token_s());
  return text;
}

}  // namespace shoal::cli
