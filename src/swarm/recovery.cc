// Routes begin and end; what was lost is computed again, and nothing else.
//
// A session of n tokens goes on with its newest token as soon as every stage of its new route has
// KV for the n - 1 before it. A stage that was on the old route has it, but for what was under way;
// a replacement has none and is given the inputs that were kept for its place, in rows of which
// only the KV is wanted. All stages then meet at one position: the live one. Where inputs are
// missing the live position moves back, down to 0, which is a rebuild from the tokens.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

// The farthest position up to which every stage of the path has KV or can be given its inputs.
uint32_t Swarm::LiveFrom(const Session& session, const std::vector<NodeId>& path) const {
  if (session.epoch.value == 0) return 0;
  uint32_t live = session.size() - 1;
  for (const NodeId node : path) {
    const Volunteer& volunteer = volunteers_.at(node);
    const auto lease = session.leases.find(node);
    uint32_t reach = lease == session.leases.end() ? 0 : lease->second.held;
    if (volunteer.span.first == 0) continue;  // Tokens are always there.
    const auto kept = session.kept.find(volunteer.span.first);
    if (kept != session.kept.end()) reach = std::max(reach, kept->second.rows());
    live = std::min(live, reach);
  }
  return live;
}

void Swarm::StartRoute(SessionId id, Session& session, const std::vector<NodeId>& path, Micros now,
                       Effects& out) {
  const uint32_t live = LiveFrom(session, path);
  session.epoch = Epoch{next_epoch_++};
  session.state = SessionState::kRunning;
  session.fed = live;
  session.progress_at = now;
  session.ready_at = now;
  session.last_token_at = 0;
  std::vector<NodeId> left;
  for (const auto& [node, lease] : session.leases) {
    if (std::ranges::find(path, node) == path.end()) left.push_back(node);
  }
  for (const NodeId node : left) Release(id, session, node, out);

  SessionRouted routed{.session = id, .epoch = session.epoch, .from = live};
  session.route.clear();
  for (size_t i = 0; i < path.size(); ++i) {
    const NodeId node = path[i];
    Volunteer& volunteer = volunteers_.at(node);
    const auto [lease, is_new] = session.leases.try_emplace(node, Lease{volunteer.generation});
    CHECK(lease->second.generation == volunteer.generation);
    if (is_new) {
      volunteer.leased_positions += session.capacity();
      volunteer.sessions.insert(id);
    }
    const uint32_t keep = std::min(lease->second.held, live);
    lease->second.held = keep;
    session.route.push_back({.node = node,
                             .span = volunteer.span,
                             .passed = live,
                             .replay_next = keep,
                             .replay_to = live});
    routed.stages.push_back({node, volunteer.span, keep});
    out.push_back(
        SendBody{node, wire::Open{.session = id,
                                  .epoch = session.epoch,
                                  .generation = volunteer.generation,
                                  .next = i + 1 < path.size() ? path[i + 1] : kCoordinator,
                                  .hop = config_.hop,
                                  .capacity = session.capacity(),
                                  .keep = keep}});
  }
  out.push_back(std::move(routed));
  // Inputs from the live position on come again; those of cuts that are no more are of no use.
  std::map<uint32_t, KeptInputs> kept;
  for (const Hop& hop : session.route) {
    if (hop.span.first == 0) continue;
    KeptInputs& inputs = kept[hop.span.first];
    if (auto before = session.kept.extract(hop.span.first)) inputs = std::move(before.mapped());
    kept_bytes_ -= inputs.bytes();
    inputs.Truncate(live);
    kept_bytes_ += inputs.bytes();
  }
  ForgetKept(session);
  session.kept = std::move(kept);
  for (const NodeId node : path) Dispatch(node, now, out);
}

// Takes the session off its route. Its KV stays where it lies, for the next one.
void Swarm::Suspend(SessionId id, Session& session, Micros now) {
  CHECK(session.running());
  for (const Hop& hop : session.route) ForgetRows(hop.node, id);
  session.route.clear();
  session.state = SessionState::kSuspended;
  if (session.stalled_since == 0) session.stalled_since = now;
}

void Swarm::Restart(SessionId id, const Error& why, Micros now, Effects& out) {
  Session& session = sessions_.at(id);
  out.push_back(Note{StrCat("session ", id.value, " restarts: ", why.ToString())});
  Suspend(id, session, now);
  if (++session.restarts <= config_.restarts_max) return;
  FailSession(
      id, {why.code, StrCat("the answer failed ", session.restarts, " times, last: ", why.detail)},
      now, out);
}

void Swarm::LoseLeases(NodeId node, Micros now) {
  Volunteer& volunteer = volunteers_.at(node);
  for (const SessionId id : volunteer.sessions) {
    Session& session = sessions_.at(id);
    const bool on_route = std::ranges::find(session.route, node, &Hop::node) != session.route.end();
    if (on_route) Suspend(id, session, now);
    session.leases.erase(node);
  }
  volunteer.sessions.clear();
  volunteer.leased_positions = 0;
}

void Swarm::Release(SessionId id, Session& session, NodeId node, Effects& out) {
  if (session.leases.erase(node) == 0) return;
  Volunteer& volunteer = volunteers_.at(node);
  volunteer.leased_positions -= session.capacity();
  volunteer.sessions.erase(id);
  out.push_back(SendBody{node, wire::Release{.session = id}});
}

// Over the cap, the sessions with the most kept lose it: they would be rebuilt from their tokens.
void Swarm::LimitKept() {
  while (kept_bytes_ > config_.kept_bytes_max) {
    KeptInputs* largest = nullptr;
    for (auto& [id, session] : sessions_) {
      for (auto& [cut, inputs] : session.kept) {
        if (largest == nullptr || inputs.bytes() > largest->bytes()) largest = &inputs;
      }
    }
    if (largest == nullptr || largest->bytes() == 0) return;
    kept_bytes_ -= largest->bytes();
    largest->GiveUp();
  }
}

void Swarm::ForgetKept(Session& session) {
  for (const auto& [cut, inputs] : session.kept) kept_bytes_ -= inputs.bytes();
  session.kept.clear();
}

}  // namespace shoal::swarm
