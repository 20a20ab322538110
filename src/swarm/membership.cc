// Who is here, what they hold, and what happens to the plan when they come and go.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "planner/divide.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
constexpr Micros kExclusionFirst = 15 * kSecond;  // Doubles with every failure to load.
constexpr uint32_t kExclusionDoublings = 6;
}  // namespace

planner::Limits Swarm::PlanLimits(uint32_t stages_min) const {
  return {.stages_min = stages_min,
          .positions = config_.positions,
          .overhead_bytes = config_.overhead_bytes,
          .weight_percent = 110};
}

std::vector<planner::Device> Swarm::UsableDevices(Micros now) const {
  std::vector<planner::Device> devices;
  for (const auto& [node, volunteer] : volunteers_) {
    if (volunteer.excluded_until > now) continue;
    devices.push_back({node, volunteer.memory_usable, volunteer.span});
  }
  return devices;
}

void Swarm::On(const VolunteerJoined& event, Micros now, Effects& out) {
  auto [at, is_new] = volunteers_.try_emplace(event.node);
  Volunteer& volunteer = at->second;
  volunteer.executor = event.executor;
  volunteer.memory_bytes = event.memory_bytes;
  volunteer.memory_usable = event.memory_bytes;
  volunteer.last_heard = now;
  volunteer.last_pinged = now;
  if (is_new) {
    out.push_back(Note{StrCat("volunteer ", event.node.value, " joined (", event.executor, ", ",
                              FormatSize(event.memory_bytes), ")")});
  }
  if (!plan_.complete() || plan_.stages.size() < config_.stages_min) Replan(NodeId{}, now, out);
}

void Swarm::On(const VolunteerLeft& event, Micros now, Effects& out) {
  Forget(event.node, event.reason, now, out);
}

void Swarm::Forget(NodeId node, const std::string& reason, Micros now, Effects& out) {
  if (volunteers_.erase(node) == 0) return;
  out.push_back(Note{StrCat("volunteer ", node.value, " left: ", reason)});
  if (InPlan(node)) Replan(node, now, out);
}

void Swarm::On(const VolunteerHeard& event, Micros now, Effects&) {
  const auto at = volunteers_.find(event.node);
  if (at != volunteers_.end()) at->second.last_heard = now;
}

void Swarm::On(const StageProgress& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.generation != event.ready.generation) return;
  Volunteer& volunteer = at->second;
  if (volunteer.state != VolunteerState::kLoading) return;
  if (event.ready.bytes_done != volunteer.bytes_done) volunteer.last_progress = now;
  volunteer.bytes_done = event.ready.bytes_done;
  volunteer.bytes_total = event.ready.bytes_total;
  if (!event.ready.done) return;
  volunteer.state = VolunteerState::kReady;
  volunteer.failures = 0;
  out.push_back(Note{StrCat("volunteer ", event.node.value, " is ready with blocks [",
                            volunteer.span.first, ", ", volunteer.span.last, ")")});
  if (RouteReady()) StartWaiting(now, out);
}

void Swarm::On(const StageFailed& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.generation != event.generation) return;
  Volunteer& volunteer = at->second;
  out.push_back(
      Note{StrCat("volunteer ", event.node.value, " could not load blocks [", volunteer.span.first,
                  ", ", volunteer.span.last, "): ", event.error.ToString())});
  if (event.error.code == Code::kResourceExhausted) volunteer.memory_usable /= 2;
  const Micros pause = kExclusionFirst << std::min(volunteer.failures, kExclusionDoublings);
  ++volunteer.failures;
  volunteer.excluded_until = now + pause;
  volunteer.state = VolunteerState::kSpare;
  volunteer.span = {};
  volunteer.generation = 0;
  if (InPlan(event.node)) Replan(event.node, now, out);
}

// Makes the best plan of what is there. `lost` (0: nobody) is a stage of the present plan whose
// place must be filled; the others stay where they are if a spare can take it.
void Swarm::Replan(NodeId lost, Micros now, Effects& out) {
  const std::vector<planner::Device> devices = UsableDevices(now);
  planner::Plan plan;
  if (lost.value != 0) {
    plan = planner::Replace(config_.blocks, plan_, lost, devices, PlanLimits(1));
  }
  if (!plan.complete()) {
    plan = planner::Divide(config_.blocks, devices, PlanLimits(config_.stages_min));
  }
  // Too few for a new request, but running answers go on with those who are left.
  const bool has_sessions = !sessions_.empty();
  if (!plan.complete() && has_sessions && devices.size() < config_.stages_min) {
    planner::Plan fewer = planner::Divide(config_.blocks, devices, PlanLimits(1));
    if (fewer.complete()) {
      fewer.missing_devices = plan.missing_devices;
      plan = std::move(fewer);
    }
  }
  if (plan.stages == plan_.stages) {
    plan_ = std::move(plan);
    return;
  }
  // More volunteers came while answers run on a short plan: wait until those have ended.
  const bool serving = has_sessions && lost.value == 0 && plan_.complete();
  if (serving) return;
  AdoptPlan(std::move(plan), now, out);
}

void Swarm::AdoptPlan(planner::Plan plan, Micros now, Effects& out) {
  SuspendSessions(now, out);
  plan_ = std::move(plan);
  // Without a plan everybody keeps what they hold: the next plan will want it again.
  if (!plan_.complete()) return;
  for (auto& [node, volunteer] : volunteers_) {
    planner::Span span;
    for (const planner::Stage& stage : plan_.stages) {
      if (stage.node == node) span = stage.span;
    }
    if (span == volunteer.span) continue;
    volunteer.span = span;
    volunteer.generation = next_generation_++;
    volunteer.state = span.empty() ? VolunteerState::kSpare : VolunteerState::kLoading;
    volunteer.bytes_done = 0;
    volunteer.bytes_total = 0;
    volunteer.last_progress = now;
    out.push_back(AssignSpan{node, volunteer.generation, span});
  }
  if (RouteReady()) StartWaiting(now, out);
}

void Swarm::CheckHeartbeats(Micros now, Effects& out) {
  std::vector<std::pair<NodeId, std::string>> dead;
  bool back = false;
  for (auto& [node, volunteer] : volunteers_) {
    if (now - volunteer.last_heard > config_.heartbeat_timeout) {
      dead.emplace_back(node,
                        StrCat("silent for ", (now - volunteer.last_heard) / kMillisecond, " ms"));
      continue;
    }
    if (volunteer.state == VolunteerState::kLoading &&
        now - volunteer.last_progress > config_.load_timeout) {
      dead.emplace_back(node, "its download made no progress");
      continue;
    }
    if (volunteer.excluded_until != 0 && volunteer.excluded_until <= now) {
      volunteer.excluded_until = 0;
      back = true;
    }
    if (now - volunteer.last_pinged >= config_.heartbeat_interval) {
      volunteer.last_pinged = now;
      out.push_back(SendBody{node, wire::Ping{.nonce = next_ping_++, .reply = false}});
    }
  }
  for (const auto& [node, why] : dead) {
    out.push_back(DropVolunteer{node, Error{Code::kDeadlineExceeded, why}});
    Forget(node, why, now, out);
  }
  const bool short_plan = !plan_.complete() || plan_.stages.size() < config_.stages_min;
  if (short_plan && (back || sessions_.empty()) && !volunteers_.empty()) Replan(NodeId{}, now, out);
}

}  // namespace shoal::swarm
