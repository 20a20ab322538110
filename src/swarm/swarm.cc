#include "swarm/swarm.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::swarm {

Swarm::Swarm(Config config) : config_(std::move(config)) {
  CHECK(!config_.blocks.empty());
  CHECK(config_.positions > 0 && config_.vocab > 0 && config_.chunk_rows > 0);
  CHECK(config_.batch_rows > 0);
  expecting_ = !config_.expected.empty();
  next_generation_ = config_.first_generation;
  whole_blocks_ = config_.blocks;
  whole_forms_ = config_.other_forms;
  for (const Form& form : whole_forms_) CHECK(form.blocks.size() == whole_blocks_.size());
  if (config_.expert_holders == 0) return;
  std::vector<uint32_t> all;
  for (const planner::ExpertLayer& layer : config_.mixtures) all.push_back(layer.block);
  SetDivided(std::move(all));
}

std::vector<Effect> Swarm::Handle(const Event& event, Micros now) {
  Effects out;
  std::visit([&](const auto& concrete) { On(concrete, now, out); }, event);
  if (experts_changed_) {
    RefreshTables(out);
    Admit(now, out);
  }
  return out;
}

std::vector<planner::Stage> Swarm::MainStages() const {
  std::vector<planner::Stage> stages;
  if (!plan_.complete()) return stages;
  for (const planner::PlacedSpan& placed : plan_.pipelines.front().stages) {
    const auto is_ready = [&](NodeId node) {
      const auto at = volunteers_.find(node);
      return at != volunteers_.end() && at->second.state == VolunteerState::kReady;
    };
    const auto ready = std::ranges::find_if(placed.nodes, is_ready);
    stages.push_back({ready == placed.nodes.end() ? placed.nodes.front() : *ready, placed.span});
  }
  return stages;
}

bool Swarm::InUse(NodeId node) const {
  const auto at = volunteers_.find(node);
  if (at == volunteers_.end()) return false;
  if (!at->second.sessions.empty() || IsExpertHolder(node)) return true;
  for (const planner::Pipeline& pipeline : plan_.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      if (std::ranges::find(placed.nodes, node) != placed.nodes.end()) return true;
    }
  }
  return false;
}

bool Swarm::RouteReady() const {
  std::vector<bool> reached(config_.blocks.size() + 1, false);
  reached[0] = true;
  // Spans that begin earlier come first, so one pass is enough.
  std::vector<planner::Span> spans;
  for (const auto& [node, volunteer] : volunteers_) {
    if (IsUsable(volunteer)) spans.push_back(volunteer.span);
  }
  std::ranges::sort(spans, {}, &planner::Span::first);
  for (const planner::Span& span : spans) {
    if (reached[span.first]) reached[span.last] = true;
  }
  return reached.back();
}

uint64_t Swarm::MissingBytes() const {
  if (expert_missing_bytes_ > 0) return expert_missing_bytes_;
  if (!plan_.complete()) {
    if (plan_.missing_bytes > 0) return plan_.missing_bytes;
    uint64_t all = 0;
    for (const planner::BlockCost& block : config_.blocks) all += block.weight_bytes;
    return all;
  }
  if (RouteReady()) return 0;
  uint64_t missing = 0;
  for (const auto& [node, slots] : expert_plan_) {
    const auto at = volunteers_.find(node);
    if (at == volunteers_.end() || at->second.state != VolunteerState::kLoading) continue;
    missing += at->second.bytes_total - std::min(at->second.bytes_total, at->second.bytes_done);
  }
  for (const planner::PlacedSpan& placed : plan_.pipelines.front().stages) {
    const auto bytes_in = [&](uint32_t form) {
      uint64_t bytes = 0;
      for (uint32_t b = placed.span.first; b < placed.span.last; ++b) {
        bytes += BlocksOf(form)[b].weight_bytes;
      }
      return bytes;
    };
    std::optional<uint64_t> least;
    for (const NodeId node : placed.nodes) {
      const auto at = volunteers_.find(node);
      if (at == volunteers_.end()) continue;
      const Volunteer& volunteer = at->second;
      const uint64_t bytes = bytes_in(volunteer.form);
      const uint64_t done =
          volunteer.state == VolunteerState::kReady ? bytes : volunteer.bytes_done;
      const uint64_t left = bytes - std::min(bytes, done);
      least = least ? std::min(*least, left) : left;
    }
    missing += least ? *least : bytes_in(0);
  }
  return missing;
}

// Whether all blocks have their places, says what is missing where they do not.
Status Swarm::CheckPlanned() const {
  const uint32_t stages_min = StagesMin();
  if (expert_missing_bytes_ > 0 || expert_missing_devices_ > 0) {
    if (expert_missing_bytes_ == 0) {
      return Fail(Code::kUnavailable, StrCat("the model's experts need ", expert_missing_devices_,
                                             " more volunteers; open the lend page in more tabs"));
    }
    return Fail(Code::kUnavailable,
                StrCat("the volunteers' memory falls short of the model and its experts by ",
                       FormatSize(expert_missing_bytes_), "; lend more or join from more devices"));
  }
  if (!plan_.complete() || PlanIsShort()) {
    if (plan_.missing_devices > 0 && volunteers_.size() >= stages_min) {
      return Fail(
          Code::kUnavailable,
          StrCat("the model needs at least ", stages_min, " volunteers that hold a part of ",
                 "it, and ", stages_min - plan_.missing_devices,
                 " have lent enough for one; lend more or join from more devices"));
    }
    if (plan_.missing_devices > 0 || volunteers_.size() < stages_min) {
      return Fail(Code::kUnavailable,
                  StrCat("the model needs at least ", stages_min, " volunteers and has ",
                         volunteers_.size(), "; open the lend page in more tabs"));
    }
    if (!plan_.complete()) {
      return Fail(Code::kUnavailable,
                  StrCat("the volunteers' memory falls short of the model by ",
                         FormatSize(plan_.missing_bytes), "; lend more or join from more devices"));
    }
    return Fail(Code::kUnavailable, "the swarm is moving to more volunteers; try again shortly");
  }
  return {};
}

Status Swarm::CheckSessionsOpen() const {
  if (sessions_.size() < config_.sessions_max) return {};
  return Fail(Code::kResourceExhausted,
              StrCat(config_.sessions_max, " answers are being made, which is the limit"));
}

bool Swarm::IsLoading() const {
  return std::ranges::any_of(volunteers_, [](const auto& entry) {
    return entry.second.state == VolunteerState::kLoading;
  });
}

Status Swarm::Availability() const {
  RETURN_IF_ERROR(CheckPlanned());
  if (!RouteReady()) {
    return Fail(Code::kUnavailable, StrCat("the volunteers are loading the model, ",
                                           FormatSize(MissingBytes()), " to go"));
  }
  return CheckSessionsOpen();
}

Status Swarm::Admits(Micros now) const {
  const Micros pathless = pathless_since_ == 0 ? 0 : now - pathless_since_;
  if (!had_route_ || !IsLoading() || pathless >= config_.load_wait) return Availability();
  RETURN_IF_ERROR(CheckPlanned());
  return CheckSessionsOpen();
}

double Swarm::TokensPerSecond(Micros now) const {
  const Micros window = 10 * kSecond;
  const auto recent =
      std::ranges::count_if(token_times_, [&](Micros time) { return now - time < window; });
  if (recent == 0) return 0;
  // From the first of them on, so that a short answer is not averaged with silence.
  const auto first =
      std::ranges::find_if(token_times_, [&](Micros time) { return now - time < window; });
  const Micros span = std::max<Micros>(token_times_.back() - *first, kSecond);
  return static_cast<double>(recent) * kSecond / static_cast<double>(span);
}

uint64_t Swarm::Fingerprint() const {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
  for (const planner::Stage& stage : MainStages()) {
    add(stage.node.value);
    add(stage.span.first << 16 | stage.span.last);
  }
  for (const auto& [node, volunteer] : volunteers_) {
    add(node.value);
    add(volunteer.generation);
    add(volunteer.form);
    add(static_cast<uint64_t>(volunteer.state));
    for (const planner::ExpertSlot& slot : volunteer.experts) add(slot.block << 16 | slot.group);
    add(volunteer.tokens_done);
    add(volunteer.leased_positions);
    add(volunteer.away.size() << 16 | volunteer.waiting.size());
    add(static_cast<uint64_t>(volunteer.last_heard));
  }
  for (const auto& [id, session] : sessions_) {
    add(id.value);
    add(session.epoch.value);
    add(session.fed);
    for (const int32_t token : session.tokens) add(static_cast<uint64_t>(token));
    for (const auto& [node, lease] : session.leases) add(node.value << 8 ^ lease.held);
    for (const auto& [node, warm] : session.warm) add(node.value << 8 ^ warm.sent);
  }
  for (const auto& [id, retained] : retained_) {
    add(id.value);
    add(static_cast<uint64_t>(retained.used_at));
  }
  for (const auto& [slot, rows] : expert_rows_) {
    add(uint64_t{slot.block} << 32 | slot.group);
    add(static_cast<uint64_t>(rows));
  }
  add(kept_bytes_);
  return hash;
}

void Swarm::On(const Tick&, Micros now, Effects& out) {
  CheckHeartbeats(now, out);
  CheckSteps(now, out);
  MeasureDemand(now);
  if (IsExpecting()) TakeUpPlan(now, out);
  ReturnForms(now);
  if (replan_at_ != 0 && now >= replan_at_) Replan(now, out);
  ReplicateHot(now, out);
  CheckSessions(now, out);
  HandOver(now, out);
  CheckRetained(now, out);
  Admit(now, out);
  ChooseWarm(now, out);
  for (const auto& [node, volunteer] : volunteers_) {
    if (!volunteer.warm.empty()) Dispatch(node, now, out);
  }
  Predict(now);
  while (!token_times_.empty() && now - token_times_.front() > 10 * kSecond) {
    token_times_.pop_front();
  }
}

}  // namespace shoal::swarm
