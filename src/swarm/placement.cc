// Which blocks lie where: the planner's problem as the swarm knows it, and what becomes of its
// answer.
#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/str_cat.h"
#include "planner/conversion.h"
#include "planner/incremental.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
constexpr Micros kPredictEvery = 5 * kSecond;
constexpr Micros kAskAgain = 2 * kSecond;  // When a better plan has to wait.
constexpr size_t kPredictedPool = 64;
constexpr uint32_t kDemandMin = 4;
constexpr uint32_t kDemandMax = 256;
constexpr Micros kDemandLasts = 120 * kSecond;  // After the sessions that made it.
constexpr double kUnknownLatency = 0.01;
constexpr double kHorizon = 600;  // planner::Inertia.
constexpr double kHorizonWhileBroken = 30;
}  // namespace

planner::Limits Swarm::PlanLimits(uint32_t stages_min) const {
  return {.stages_min = stages_min,
          .positions = config_.positions,
          .overhead_bytes = config_.overhead_bytes,
          .weight_percent = planner::kWeightPercent};
}

uint32_t Swarm::StagesMin() const {
  return std::clamp<uint32_t>(config_.stages_min, 1, static_cast<uint32_t>(config_.blocks.size()));
}

planner::Problem Swarm::BuildProblem(uint32_t stages_min, Thrift thrift, Micros now) const {
  planner::Problem problem;
  problem.blocks = config_.blocks;
  for (const Form& form : config_.other_forms) problem.other_forms.push_back(form.blocks);
  problem.limits = PlanLimits(stages_min);
  problem.workload.sessions = demand_;
  problem.workload.chunk_rows = config_.chunk_rows;
  problem.workload.rows_max = config_.batch_rows;
  problem.objective.latency_weight = config_.latency_weight;
  const bool stands = PlanStands();
  // What is broken is mended in the way that takes least time; answers wait for it.
  problem.inertia.horizon_s = stands || sessions_.empty() ? kHorizon : kHorizonWhileBroken;
  const bool settled_only = stands && !PlanIsShort();
  for (const auto& [node, volunteer] : volunteers_) {
    if (!IsCountedOn(volunteer) || IsExpertHolder(node)) continue;
    const bool is_new = volunteer.span.empty() && now - volunteer.joined_at < config_.join_settle;
    if (settled_only && is_new) continue;
    planner::Volunteer& one = problem.volunteers.emplace_back();
    one.node = node;
    one.memory_bytes = volunteer.memory_usable;
    one.form = FormFor(volunteer, thrift);
    one.speed = SpeedIn(volunteer, one.form);
    one.link = volunteer.link;
    one.link.latency_s = volunteer.round_trip == 0
                             ? kUnknownLatency
                             : static_cast<double>(volunteer.round_trip) / (2.0 * kSecond);
    if (volunteer.stay_s > 0) one.stay_s = volunteer.stay_s;
    if (one.form < volunteer.cached_bytes.size()) {
      one.cached_bytes = volunteer.cached_bytes[one.form];
    }
    if (SetOf(one.form) != SetOf(volunteer.form)) continue;
    for (uint32_t b = volunteer.span.first; b < volunteer.span.last; ++b) {
      one.cached_bytes.resize(config_.blocks.size());
      one.cached_bytes[b] = BlocksOf(one.form)[b].weight_bytes;
    }
  }
  return problem;
}

// Every stage of the plan has a holder who is here and was told to hold it.
bool Swarm::PlanStands() const {
  if (!plan_.complete()) return false;
  for (const planner::Pipeline& pipeline : plan_.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      const bool held = std::ranges::any_of(placed.nodes, [&](NodeId node) {
        const auto at = volunteers_.find(node);
        return at != volunteers_.end() && IsCountedOn(at->second) &&
               at->second.span == placed.span && at->second.divided == DividedIn(placed.span);
      });
      if (!held) return false;
    }
  }
  return ExpertsStand();
}

bool Swarm::PlanIsShort() const {
  return std::ranges::any_of(plan_.pipelines, [&](const planner::Pipeline& pipeline) {
    return pipeline.stages.size() < StagesMin();
  });
}

void Swarm::Replan(Micros now, Effects& out) {
  replan_at_ = 0;
  if (IsExpecting()) return;
  // Stages wait for their experts: without them nothing could be answered.
  if (!ChooseRoles(now)) return;
  ReplanStages(now, out);
  if (plan_.complete()) AssignHoldings(now, out);
}

// `thrift` as asked; where memory falls short, as much of it as makes a plan possible.
Result<planner::PoolPlan> Swarm::MakePlan(Thrift& thrift, Micros now) const {
  planner::Problem problem = BuildProblem(StagesMin(), thrift, now);
  // KV lies with those who hold the other blocks: they keep them while answers are under way.
  const bool in_use = !PlanStands() && !sessions_.empty();
  const auto scope = in_use ? planner::Scope::kBroken : planner::Scope::kAll;
  // Of a stage's holders one whom tokens go through comes first: it is not lent.
  planner::PoolPlan running = plan_;
  for (planner::Pipeline& pipeline : running.pipelines) {
    for (planner::PlacedSpan& placed : pipeline.stages) {
      const auto used = std::ranges::find_if(placed.nodes, [&](NodeId node) {
        const auto at = volunteers_.find(node);
        return at != volunteers_.end() && HasRoutes(at->second);
      });
      if (used != placed.nodes.end()) std::rotate(placed.nodes.begin(), used, used + 1);
    }
  }
  Result<planner::PoolPlan> made =
      PlanIsShort() ? planner::PlanPool(problem, planner::Care::kQuick)
                    : planner::Replan(problem, running, planner::Care::kQuick, scope);
  // Too few for a new request, but running answers go on with those who are left.
  if (made && !made->complete() && !sessions_.empty() && problem.volunteers.size() < StagesMin()) {
    const uint32_t missing_devices = made->missing_devices;
    problem.limits.stages_min = 1;
    made = planner::Replan(std::move(problem), running, planner::Care::kQuick, scope);
    if (made) made->missing_devices = missing_devices;
  }
  const bool falls_short = made && !made->complete() && made->missing_bytes > 0;
  if (!falls_short || thrift == Thrift::kEverybody || !HasSets()) return made;
  thrift = thrift == Thrift::kNobody ? Thrift::kSpares : Thrift::kEverybody;
  return MakePlan(thrift, now);
}

void Swarm::ReplanStages(Micros now, Effects& out) {
  const bool stands = PlanStands();
  const bool is_short = PlanIsShort();
  const bool in_use = !stands && !sessions_.empty();
  Thrift thrift = Thrift::kNobody;
  Result<planner::PoolPlan> made = MakePlan(thrift, now);
  if (!made) {
    out.push_back(Note{StrCat("no plan: ", made.error().ToString())});
    return;
  }
  const Forms forms = FormsOf(*made, thrift);
  for (auto& [node, volunteer] : volunteers_) volunteer.returns_form = false;
  const bool all_stay =
      made->pipelines == plan_.pipelines && std::ranges::all_of(forms, [&](const auto& entry) {
        return volunteers_.at(entry.first).form == entry.second;
      });
  if (!made->complete() || all_stay) {
    // Without a plan everybody keeps what they hold: the next one will want it again.
    if (!stands || made->complete()) plan_ = *std::move(made);
    return;
  }
  // What works is left for something better only where nobody notices.
  if (stands && ((is_short && !sessions_.empty()) || !MayAdopt(*made, forms))) {
    replan_at_ = now + kAskAgain;
    return;
  }
  Adopt(*std::move(made), forms, now, out);
  if (in_use) replan_at_ = now + kAskAgain;
}

// Somebody's tokens go through it.
bool Swarm::HasRoutes(const Volunteer& volunteer) const {
  return volunteer.sessions.size() > volunteer.warm.size();
}

// It holds the span as it is to hold it.
bool Swarm::Stays(NodeId node, planner::Span span, uint32_t form) const {
  const Volunteer& volunteer = volunteers_.at(node);
  return volunteer.span == span && volunteer.divided == DividedIn(span) && volunteer.form == form;
}

bool Swarm::MayAdopt(const planner::PoolPlan& plan, const Forms& forms) const {
  for (const planner::Pipeline& pipeline : plan.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      for (const NodeId node : placed.nodes) {
        const bool stays = Stays(node, placed.span, forms.at(node));
        if (!stays && HasRoutes(volunteers_.at(node))) return false;
      }
    }
  }
  return true;
}

void Swarm::Adopt(planner::PoolPlan plan, const Forms& forms, Micros now, Effects& out) {
  plan_ = std::move(plan);
  for (const planner::Pipeline& pipeline : plan_.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      for (const NodeId node : placed.nodes) Assign(node, placed.span, forms.at(node), now, out);
    }
  }
}

void Swarm::Assign(NodeId node, planner::Span span, uint32_t form, Micros now, Effects& out) {
  if (Stays(node, span, form)) return;
  Volunteer& volunteer = volunteers_.at(node);
  std::vector<uint32_t> divided = DividedIn(span);
  BeginLoading(node, now, out);
  GiveForm(node, form);
  volunteer.is_form_lent =
      !sessions_.empty() && SetOf(form) != SetOf(FormFor(volunteer, Thrift::kNobody));
  volunteer.span = span;
  volunteer.divided = divided;
  out.push_back(AssignSpan{node, volunteer.generation, span, std::move(divided), form});
}

// How many sessions at once are planned for: a power of two, so that it seldom changes; more at
// once, fewer when there have been fewer for a while.
void Swarm::MeasureDemand(Micros now) {
  const auto sessions = static_cast<uint32_t>(sessions_.size());
  const uint32_t wanted = std::clamp(std::bit_ceil(sessions), kDemandMin, kDemandMax);
  if (wanted >= demand_) demand_seen_at_ = now;
  if (wanted <= demand_ && now - demand_seen_at_ < kDemandLasts) return;
  demand_ = wanted > demand_ ? wanted : std::max(demand_ / 2, kDemandMin);
  demand_seen_at_ = now;
  // Those that were not needed may be needed now.
  plan_.left_out.clear();
  if (replan_at_ == 0) replan_at_ = now;
}

void Swarm::Predict(Micros now) {
  if (now - predicted_at_ < kPredictEvery || volunteers_.size() > kPredictedPool) return;
  predicted_at_ = now;
  predicted_token_s_ = 0;
  if (!PlanStands()) return;
  const planner::Problem problem = BuildProblem(1, Thrift::kNobody, now);
  if (!planner::ValidateProblem(problem)) return;
  predicted_token_s_ =
      planner::Reassess(problem, plan_).prediction.token_s + ExpertSeconds(problem);
}

}  // namespace shoal::swarm
