// Who is here, whether they are alive, and who is not to be counted on for a while.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/speeds.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
constexpr Micros kExclusionFirst = 15 * kSecond;  // Doubles with every failure in a row.
constexpr uint32_t kExclusionDoublings = 6;
constexpr uint32_t kStepFailuresMax = 3;  // In a row, until a volunteer is left out for a while.
constexpr uint64_t kMeasurableBytes = 1u << 20;
constexpr double kStepPatience = 10;  // Times the predicted duration, beside Config::step_timeout.
// Part of the way by which a round trip that is longer than the shortest draws the estimate up.
constexpr Micros kRoundTripDivisor = 16;
constexpr uint64_t kMeasurableUp = 16u << 10;  // Less is lost in a round trip's jitter.
constexpr double kUplinkRate = 0.1;            // Of the moving average towards a slower uplink.
constexpr Micros kUplinkTimeMin = 1000;        // Shorter ways tell nothing of the link.
}  // namespace

void Swarm::On(const VolunteerJoined& event, Micros now, Effects& out) {
  auto [at, is_new] = volunteers_.try_emplace(event.node);
  Volunteer& volunteer = at->second;
  volunteer.executor = event.executor;
  volunteer.memory_bytes = event.memory_bytes;
  volunteer.memory_usable = event.memory_bytes;
  KnowForms(volunteer, event);
  volunteer.last_heard = now;
  volunteer.last_pinged = now;
  if (!is_new) {
    replan_at_ = now;
    return;
  }
  volunteer.joined_at = now;
  volunteer.identity = event.identity;
  volunteer.form = volunteer.choices.front().form;
  volunteer.speed = planner::SpeedEstimate(volunteer.choices.front().speed);
  volunteer.link = ClaimedLink(event.measures);
  volunteer.knows_uplink = volunteer.link.up_bytes_per_s != planner::Link{}.up_bytes_per_s;
  out.push_back(SendBody{event.node, wire::Ping{.nonce = next_ping_++, .reply = false}});
  out.push_back(Note{StrCat("volunteer ", event.node.value, " joined (", event.executor, ", ",
                            FormatSize(event.memory_bytes), ")")});
  Recognise(event.node, volunteer, now, out);
  if (IsExpecting()) {
    TakeUpPlan(now, out);
  } else if (!PlanStands() || PlanIsShort()) {
    Replan(now, out);
    Admit(now, out);
  } else if (replan_at_ == 0) {
    replan_at_ = now + config_.join_settle;
  }
}

void Swarm::On(const VolunteerLeft& event, Micros now, Effects& out) {
  Forget(event.node, event.reason, now, out);
}

void Swarm::Forget(NodeId node, const std::string& reason, Micros now, Effects& out) {
  if (!volunteers_.contains(node)) return;
  LoseLeases(node, now, out);
  RememberStay(volunteers_.at(node), now);
  volunteers_.erase(node);
  expert_plan_.erase(node);
  experts_changed_ = !divided_.empty();
  out.push_back(Note{StrCat("volunteer ", node.value, " left: ", reason)});
  // Replicas take over before anything is moved.
  Admit(now, out);
  if (!PlanStands()) {
    Replan(now, out);
    Admit(now, out);
  } else if (replan_at_ == 0) {
    replan_at_ = now + config_.join_settle;
  }
}

void Swarm::Drop(NodeId node, Error reason, Micros now, Effects& out) {
  const std::string why = reason.detail;
  out.push_back(DropVolunteer{node, std::move(reason)});
  Forget(node, why, now, out);
}

void Swarm::On(const VolunteerHeard& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end()) return;
  Volunteer& volunteer = at->second;
  volunteer.last_heard = now;
  if (volunteer.silent) {
    volunteer.silent = false;
    experts_changed_ = !divided_.empty();
    out.push_back(Note{StrCat("volunteer ", event.node.value, " is heard again")});
    replan_at_ = now;
    Admit(now, out);
  }
  ObserveRoundTrip(volunteer, event.round_trip);
}

// Queues only lengthen a round trip: the shortest is the link's own, forgotten slowly.
void Swarm::ObserveRoundTrip(Volunteer& volunteer, Micros round_trip) {
  if (round_trip <= 0) return;
  const Micros before = volunteer.round_trip;
  volunteer.round_trip = before == 0 || round_trip < before
                             ? round_trip
                             : before + (round_trip - before) / kRoundTripDivisor;
}

// `bytes` came in answer to a frame that, with its answer, was on its way for `travel`. What the
// link takes for any message, the frame's own way here, and whatever else was on the way only make
// it look slower than it is: the fastest counts, and is forgotten slowly.
void Swarm::ObserveUplink(Volunteer& volunteer, uint64_t bytes, Micros travel) {
  if (bytes < kMeasurableUp || travel <= 0) return;
  const Micros took = std::max(travel - volunteer.round_trip, kUplinkTimeMin);
  const double rate = static_cast<double>(bytes) * kSecond / static_cast<double>(took);
  double& known = volunteer.link.up_bytes_per_s;
  known = !volunteer.knows_uplink || rate > known ? rate : known + kUplinkRate * (rate - known);
  volunteer.knows_uplink = true;
}

void Swarm::On(const StageProgress& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.generation != event.ready.generation) return;
  Volunteer& volunteer = at->second;
  if (volunteer.state != VolunteerState::kLoading) return;
  if (event.ready.bytes_done != volunteer.bytes_done) volunteer.last_progress = now;
  volunteer.bytes_done = event.ready.bytes_done;
  volunteer.bytes_total = event.ready.bytes_total;
  if (event.ready.bytes_fetched > kMeasurableBytes && now > volunteer.assigned_at) {
    volunteer.link.down_bytes_per_s = static_cast<double>(event.ready.bytes_fetched) * kSecond /
                                      static_cast<double>(now - volunteer.assigned_at);
  }
  if (!event.ready.done) return;
  volunteer.state = VolunteerState::kReady;
  volunteer.failures = 0;
  experts_changed_ = !divided_.empty();
  out.push_back(Note{volunteer.experts.empty()
                         ? StrCat("volunteer ", event.node.value, " is ready with blocks [",
                                  volunteer.span.first, ", ", volunteer.span.last, ")")
                         : StrCat("volunteer ", event.node.value, " is ready with ",
                                  volunteer.experts.size(), " groups of experts")});
  Admit(now, out);
  HandOver(now, out);
}

void Swarm::On(const StageFailed& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.generation != event.generation) return;
  Volunteer& volunteer = at->second;
  out.push_back(
      Note{StrCat("volunteer ", event.node.value, " could not load blocks [", volunteer.span.first,
                  ", ", volunteer.span.last, "): ", event.error.ToString())});
  if (event.error.code == Code::kResourceExhausted) volunteer.memory_usable /= 2;
  LoseLeases(event.node, now, out);
  volunteer.state = VolunteerState::kSpare;
  volunteer.span = {};
  volunteer.divided.clear();
  volunteer.experts.clear();
  expert_plan_.erase(event.node);
  experts_changed_ = !divided_.empty();
  volunteer.generation = 0;
  volunteer.away.clear();
  volunteer.waiting.clear();
  Exclude(event.node, now, out);
}

// Nobody is sent there for a while; sessions go elsewhere.
void Swarm::Exclude(NodeId node, Micros now, Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  const Micros pause = kExclusionFirst << std::min(volunteer.failures, kExclusionDoublings);
  ++volunteer.failures;
  volunteer.step_failures = 0;
  volunteer.excluded_until = now + pause;
  experts_changed_ = !divided_.empty();
  const std::set<SessionId> sessions = volunteer.sessions;
  for (const SessionId id : sessions) {
    Session& session = sessions_.at(id);
    if (Needs(session, node)) Suspend(id, session, now);
    Release(id, session, node, out);
  }
  const std::set<SessionId> retained = volunteer.retained;
  for (const SessionId id : retained) DropRetained(id, out);
  Admit(now, out);
  if (!PlanStands()) {
    Replan(now, out);
    Admit(now, out);
  }
}

void Swarm::CheckHeartbeats(Micros now, Effects& out) {
  std::vector<std::pair<NodeId, std::string>> dead;
  std::vector<NodeId> silent;
  for (auto& [node, volunteer] : volunteers_) {
    const Micros silence = now - volunteer.last_heard;
    if (silence > config_.ghost_timeout) {
      dead.emplace_back(node, StrCat("silent for ", silence / kMillisecond, " ms"));
      continue;
    }
    if (silence > config_.heartbeat_timeout && !volunteer.silent) silent.push_back(node);
    const bool is_building =
        volunteer.bytes_total > 0 && volunteer.bytes_done == volunteer.bytes_total;
    if (volunteer.state == VolunteerState::kLoading &&
        now - volunteer.last_progress >
            (is_building ? config_.build_timeout : config_.load_timeout)) {
      dead.emplace_back(
          node, is_building ? "building its stage took too long" : "its download made no progress");
      continue;
    }
    if (volunteer.excluded_until != 0 && volunteer.excluded_until <= now) {
      volunteer.excluded_until = 0;
      replan_at_ = now;
    }
    if (now - volunteer.last_pinged >= config_.heartbeat_interval) {
      volunteer.last_pinged = now;
      out.push_back(SendBody{node, wire::Ping{.nonce = next_ping_++, .reply = false}});
    }
  }
  for (const auto& [node, why] : dead) Drop(node, {Code::kDeadlineExceeded, why}, now, out);
  for (const NodeId node : silent) PassOver(node, now, out);
  if (PlanIsShort() && sessions_.empty() && !volunteers_.empty()) replan_at_ = now;
}

// Its sessions go another way, if there is one; what it holds may be of use when it is back.
void Swarm::PassOver(NodeId node, Micros now, Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  volunteer.silent = true;
  experts_changed_ = !divided_.empty();
  out.push_back(Note{StrCat("volunteer ", node.value, " is silent")});
  for (const SessionId id : volunteer.sessions) {
    Session& session = sessions_.at(id);
    if (Needs(session, node)) Suspend(id, session, now);
  }
  Admit(now, out);
  if (!PlanStands()) {
    Replan(now, out);
    Admit(now, out);
  }
}

// A volunteer that answers pings and yet does not finish a step.
void Swarm::CheckSteps(Micros now, Effects& out) {
  std::vector<NodeId> stuck;
  for (const auto& [node, volunteer] : volunteers_) {
    if (volunteer.away.empty() || volunteer.silent) continue;
    const FrameAway& oldest = volunteer.away.front();
    const Micros since = std::max(oldest.sent_at, volunteer.last_report);
    const auto patience = static_cast<Micros>(kStepPatience * oldest.predicted_s * kSecond);
    if (now - since > config_.step_timeout + patience) stuck.push_back(node);
  }
  for (const NodeId node : stuck) {
    Drop(node, {Code::kDeadlineExceeded, "it did not finish a step in time"}, now, out);
  }
}

void Swarm::On(const StepFailed& event, Micros now, Effects& out) {
  const auto volunteer = volunteers_.find(event.node);
  if (volunteer == volunteers_.end()) return;
  for (FrameAway& frame : volunteer->second.away) {
    std::erase_if(frame.rows, [&](const RowSpan& rows) {
      return rows.session == event.session && rows.epoch == event.epoch;
    });
  }
  std::erase_if(volunteer->second.away, [](const FrameAway& frame) { return frame.rows.empty(); });
  const auto at = sessions_.find(event.session);
  if (at == sessions_.end() || at->second.epoch != event.epoch || !at->second.running()) {
    Dispatch(event.node, now, out);
    return;
  }
  if (event.error.code == Code::kResourceExhausted) {
    volunteer->second.no_room_until = now + kExclusionFirst;
    MakeRoom(event.node, UINT32_MAX, {}, out);
  }
  Release(event.session, at->second, event.node, out);
  const Error why{event.error.code,
                  StrCat("volunteer ", event.node.value, ": ", event.error.detail)};
  Restart(event.session, why, now, out);
  // Where a step waited for experts in vain, its stage is not at fault.
  const bool lacks_experts =
      event.error.code == Code::kUnavailable && !volunteer->second.divided.empty();
  if (!lacks_experts && ++volunteer->second.step_failures >= kStepFailuresMax) {
    Exclude(event.node, now, out);
  }
  Admit(now, out);
  if (volunteers_.contains(event.node)) Dispatch(event.node, now, out);
}

}  // namespace shoal::swarm
