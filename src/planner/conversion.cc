#include "planner/conversion.h"

#include <algorithm>

#include "planner/divide.h"
#include "planner/explain.h"

namespace shoal::planner {

namespace {

Prediction Predict(const Draft& draft) {
  const Costs& costs = draft.costs();
  const Background::Figures& figures = draft.figures();
  Prediction prediction;
  prediction.stream_s = figures.latency_s;
  prediction.tokens_per_s = figures.throughput;
  prediction.rows = costs.Rows(figures.shape);
  prediction.bytes_to_move = static_cast<uint64_t>(figures.load_bytes);
  prediction.move_s = figures.load_s;
  prediction.score = figures.score;
  prediction.effective = figures.effective;
  const Chain fastest = FastestRoute(costs, draft.pipelines().front());
  prediction.token_s = TokenSeconds(costs, fastest);
  prediction.first_token_s = FirstTokenSeconds(costs, fastest);
  return prediction;
}

}  // namespace

PoolPlan Finish(const Draft& draft) {
  const Costs& costs = draft.costs();
  // Fastest first, so that the figures of a lone stream are the first one's.
  std::vector<std::pair<double, size_t>> order;
  for (size_t p = 0; p < draft.pipelines().size(); ++p) {
    const RouteSet routes = RoutesOf(costs, draft.pipelines()[p]);
    order.emplace_back(routes.Of(0).front().latency_s, p);
  }
  std::ranges::sort(order);
  Draft sorted(costs);
  Edit edit;
  for (const auto& [latency_s, p] : order) edit.push_back({Draft::kNew, draft.pipelines()[p]});
  sorted.Apply(std::move(edit));

  PoolPlan plan;
  plan.prediction = Predict(sorted);
  const std::vector<Volunteer>& volunteers = costs.problem().volunteers;
  for (const DraftPipeline& stages : sorted.pipelines()) {
    Pipeline& pipeline = plan.pipelines.emplace_back();
    for (const DraftStage& stage : stages) {
      PlacedSpan& placed = pipeline.stages.emplace_back(PlacedSpan{stage.span, {}});
      for (const Index v : stage.holders) placed.nodes.push_back(volunteers[v].node);
    }
  }
  const Reasons reasons(sorted);
  for (const Index v : sorted.Spares()) plan.left_out.push_back(reasons.Of(v));
  std::ranges::sort(plan.left_out, {}, &LeftOut::node);
  return plan;
}

PoolPlan NoPlan(const Problem& problem) {
  std::vector<Device> devices;
  for (const Volunteer& volunteer : problem.volunteers) {
    devices.push_back(
        {volunteer.node, volunteer.memory_bytes, {}, &BlocksOf(problem, volunteer.form)});
  }
  const Plan divided = Divide(problem.blocks, std::move(devices), problem.limits);
  PoolPlan plan;
  plan.missing_bytes = divided.missing_bytes;
  plan.missing_devices = divided.missing_devices;
  for (const Volunteer& volunteer : problem.volunteers) {
    plan.left_out.push_back(
        {volunteer.node, LeftOutReason::kNoPlan, "the volunteers together cannot hold the model"});
  }
  std::ranges::sort(plan.left_out, {}, &LeftOut::node);
  return plan;
}

Standing StandingOf(const Costs& costs, const PoolPlan& plan) {
  std::unordered_map<NodeId, Index> index;
  const std::vector<Volunteer>& volunteers = costs.problem().volunteers;
  for (Index v = 0; v < volunteers.size(); ++v) index.emplace(volunteers[v].node, v);
  std::vector<bool> used(volunteers.size(), false);
  Standing standing;
  for (const Pipeline& pipeline : plan.pipelines) {
    DraftPipeline stages;
    uint32_t next = 0;
    bool broken = false;
    for (const PlacedSpan& placed : pipeline.stages) {
      // A plan for another model, or none that this room made, cannot be kept.
      broken = broken || placed.span.first != next || placed.span.last <= next ||
               placed.span.last > costs.block_count();
      if (broken) break;
      next = placed.span.last;
      DraftStage& stage = stages.emplace_back(DraftStage{placed.span, {}});
      for (const NodeId node : placed.nodes) {
        const auto at = index.find(node);
        if (at == index.end() || used[at->second]) continue;
        if (!costs.Fits(at->second, placed.span.first, placed.span.last)) continue;
        used[at->second] = true;
        stage.holders.push_back(at->second);
      }
    }
    if (broken || next != costs.block_count()) {
      for (const DraftStage& stage : stages) {
        for (const Index v : stage.holders) used[v] = false;
      }
      continue;
    }
    const bool whole =
        std::ranges::none_of(stages, [](const DraftStage& s) { return s.holders.empty(); });
    (whole ? standing.whole : standing.broken).push_back(std::move(stages));
  }
  return standing;
}

PoolPlan Reassess(const Problem& problem, const PoolPlan& plan) {
  const Costs costs(problem);
  Draft draft(costs);
  Edit edit;
  for (DraftPipeline& stages : StandingOf(costs, plan).whole) {
    edit.push_back({Draft::kNew, std::move(stages)});
  }
  if (edit.empty()) return NoPlan(problem);
  draft.Apply(std::move(edit));
  return Finish(draft);
}

}  // namespace shoal::planner
