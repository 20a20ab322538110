#include "swarm/swarm.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::swarm {

Swarm::Swarm(Config config) : config_(std::move(config)) {
  CHECK(!config_.blocks.empty());
  CHECK(config_.positions > 0 && config_.vocab > 0 && config_.chunk_rows > 0);
}

std::vector<Effect> Swarm::Handle(const Event& event, Micros now) {
  Effects out;
  std::visit([&](const auto& concrete) { On(concrete, now, out); }, event);
  return out;
}

bool Swarm::InPlan(NodeId node) const {
  return std::ranges::any_of(plan_.stages,
                             [&](const planner::Stage& stage) { return stage.node == node; });
}

bool Swarm::RouteReady() const {
  return plan_.complete() && std::ranges::all_of(plan_.stages, [&](const planner::Stage& stage) {
           return volunteers_.at(stage.node).state == VolunteerState::kReady;
         });
}

bool Swarm::MayRelay(NodeId from, NodeId to) const {
  for (size_t i = 0; i + 1 < plan_.stages.size(); ++i) {
    if (plan_.stages[i].node == from && plan_.stages[i + 1].node == to) return true;
  }
  return false;
}

uint64_t Swarm::MissingBytes() const {
  if (!plan_.complete()) {
    if (plan_.missing_bytes > 0) return plan_.missing_bytes;
    uint64_t all = 0;
    for (const planner::BlockCost& block : config_.blocks) all += block.weight_bytes;
    return all;
  }
  uint64_t missing = 0;
  for (const planner::Stage& stage : plan_.stages) {
    const Volunteer& volunteer = volunteers_.at(stage.node);
    if (volunteer.state == VolunteerState::kReady) continue;
    uint64_t weights = 0;
    for (uint32_t b = stage.span.first; b < stage.span.last; ++b) {
      weights += config_.blocks[b].weight_bytes;
    }
    missing += weights - std::min(weights, volunteer.bytes_done);
  }
  return missing;
}

Status Swarm::Availability(Micros) const {
  if (!plan_.complete() || plan_.stages.size() < config_.stages_min) {
    if (plan_.missing_devices > 0 || volunteers_.size() < config_.stages_min) {
      const auto here = volunteers_.size();
      return Fail(Code::kUnavailable,
                  StrCat("the model needs at least ", config_.stages_min, " volunteers and has ",
                         here, "; open the lend page in more tabs"));
    }
    if (!plan_.complete()) {
      return Fail(Code::kUnavailable,
                  StrCat("the volunteers' memory falls short of the model by ",
                         FormatSize(plan_.missing_bytes), "; lend more or join from more devices"));
    }
    return Fail(Code::kUnavailable, "the swarm is moving to more volunteers; try again shortly");
  }
  if (!RouteReady()) {
    return Fail(Code::kUnavailable, StrCat("the volunteers are loading the model, ",
                                           FormatSize(MissingBytes()), " to go"));
  }
  if (sessions_.size() >= config_.sessions_max) {
    return Fail(Code::kResourceExhausted,
                StrCat(config_.sessions_max, " answers are being made, which is the limit"));
  }
  return {};
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
  for (const planner::Stage& stage : plan_.stages) {
    add(stage.node.value);
    add(stage.span.first << 16 | stage.span.last);
  }
  for (const auto& [node, volunteer] : volunteers_) {
    add(node.value);
    add(volunteer.generation);
    add(static_cast<uint64_t>(volunteer.state));
    add(volunteer.tokens_done);
    add(static_cast<uint64_t>(volunteer.last_heard));
  }
  for (const auto& [id, session] : sessions_) {
    add(id.value);
    add(session.epoch.value);
    for (const int32_t token : session.tokens) add(static_cast<uint64_t>(token));
  }
  return hash;
}

void Swarm::On(const Tick&, Micros now, Effects& out) {
  CheckHeartbeats(now, out);
  CheckSessions(now, out);
  while (!token_times_.empty() && now - token_times_.front() > 10 * kSecond) {
    token_times_.pop_front();
  }
}

}  // namespace shoal::swarm
