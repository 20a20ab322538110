// Routes begin and end; what was lost is computed again, and nothing else.
//
// A session of n tokens goes on with its newest token as soon as every stage of its new route has
// KV for the n - 1 before it. A stage that was on the old route has it, but for what was under way;
// a replacement has none and is given the inputs that were kept for its place, in rows of which
// only the KV is wanted. All stages then meet at one position: the live one. Where inputs are
// missing the live position moves back, down to 0, which is a rebuild from the tokens.
//
// Where the KV comes from, cheapest first: it is there (a stage of the old route, or a replica that
// followed: warm.cc); it is copied from another session at the same volunteer (prefix.cc); somebody
// who is about to leave sends it (handover.cc); it is computed from kept inputs; or from tokens.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

// The farthest position up to which every stage of the path has KV, finds it in another session
// that begins alike, or can be given its inputs.
uint32_t Swarm::LiveFrom(const Session& session, const PrefixMatch& match,
                         const std::vector<NodeId>& path) const {
  const bool is_new = session.epoch.value == 0;
  if (is_new && match.positions == 0) return 0;
  uint32_t live = is_new ? match.positions : session.size() - 1;
  for (const NodeId node : path) {
    const Volunteer& volunteer = volunteers_.at(node);
    const uint32_t cut = volunteer.span.first;
    if (cut == 0) continue;  // Tokens are always there.
    const auto lease = session.leases.find(node);
    uint32_t reach = lease == session.leases.end() ? 0 : lease->second.held;
    const auto kept = session.kept.find(cut);
    if (kept != session.kept.end()) reach = std::max(reach, kept->second.rows());
    live = std::min(live, std::max({reach, match.HeldAt(node), match.KeptAt(cut)}));
  }
  return live;
}

void Swarm::StartRoute(SessionId id, Session& session, const PrefixMatch& match,
                       const std::vector<NodeId>& path, Micros now, Effects& out) {
  const uint32_t live = LiveFrom(session, match, path);
  session.epoch = Epoch{next_epoch_++};
  session.state = SessionState::kRunning;
  session.fed = live;
  session.progress_at = now;
  session.ready_at = now;
  session.last_token_at = 0;
  session.sets = SetsOf(path);
  const auto is_on_path = [&](NodeId node) { return std::ranges::find(path, node) != path.end(); };
  std::vector<NodeId> left;
  std::vector<NodeId> givers;  // May still have KV to give.
  for (const auto& [node, lease] : session.leases) {
    if (is_on_path(node) || session.warm.contains(node)) continue;
    (volunteers_.at(node).leaving_since != 0 ? givers : left).push_back(node);
  }
  for (const NodeId node : left) Release(id, session, node, out);

  SessionRouted routed{.session = id, .epoch = session.epoch, .from = live};
  session.route.clear();
  for (size_t i = 0; i < path.size(); ++i) {
    const NodeId next = i + 1 < path.size() ? path[i + 1] : kCoordinator;
    StartHop(id, session, match, path[i], next, live, out, routed.stages.emplace_back());
  }
  for (const NodeId node : givers) {
    const bool gives = std::ranges::any_of(session.route, [&](const Hop& hop) {
      return hop.imports_left > 0 && hop.import_from == node;
    });
    if (!gives) Release(id, session, node, out);
  }
  if (const auto source = retained_.find(match.source); source != retained_.end()) {
    source->second.used_at = now;
  }
  KeepInputs(session, match, live);
  KeepWarm(id, session, live, out);
  out.push_back(std::move(routed));
  for (const NodeId node : path) Dispatch(node, now, out);
}

// Opens the session at one volunteer of its route. KV that is not there already comes from another
// session that begins alike, from somebody who is about to leave, or from inputs given again.
void Swarm::StartHop(SessionId id, Session& session, const PrefixMatch& match, NodeId node,
                     NodeId next, uint32_t live, Effects& out, RouteStage& stage) {
  Volunteer& volunteer = volunteers_.at(node);
  if (!session.leases.contains(node)) {
    MakeRoom(node, session.capacity(), match.source, out);
    volunteer.leased_positions += session.capacity();
    volunteer.sessions.insert(id);
    session.leases[node] = Lease{volunteer.generation};
  } else if (volunteer.warm.erase(id) > 0) {
    // The replica takes over.
    volunteer.spare_positions -= session.capacity();
    session.warm.erase(node);
  }
  Lease& lease = session.leases.at(node);
  CHECK(lease.generation == volunteer.generation);
  const uint32_t copied = std::min(match.HeldAt(node), live);
  const bool copies = copied > std::min(lease.held, live);
  const uint32_t keep = copies ? 0 : std::min(lease.held, live);
  // A copy is made in its turn, and not at all once another route has been opened: it counts when
  // something computed on it has come back.
  const uint32_t there = copies ? copied : keep;
  lease.held = keep;
  out.push_back(SendBody{node, wire::Open{.session = id,
                                          .epoch = session.epoch,
                                          .generation = volunteer.generation,
                                          .next = next,
                                          .hop = config_.hop,
                                          .capacity = session.capacity(),
                                          .keep = keep}});
  if (copies) {
    positions_reused_ += uint64_t{copied} * volunteer.span.size();
    out.push_back(SendBody{
        node,
        wire::KvCopy{
            .session = id, .epoch = session.epoch, .source = match.source, .positions = copied}});
  }
  session.route.push_back({.node = node,
                           .span = volunteer.span,
                           .passed = live,
                           .replay_next = there,
                           .replay_to = live});
  Hop& hop = session.route.back();
  if (hop.is_behind()) StartImport(id, session, hop, out);
  stage = {.node = node, .span = volunteer.span, .kept = keep, .copied = hop.replay_next - keep};
}

// Inputs from the live position on come again; those of cuts that are no more are of no use.
void Swarm::KeepInputs(Session& session, const PrefixMatch& match, uint32_t live) {
  std::map<uint32_t, KeptInputs> kept;
  for (const Hop& hop : session.route) {
    const uint32_t cut = hop.span.first;
    if (cut == 0) continue;
    KeptInputs& inputs = kept[cut];
    if (auto before = session.kept.extract(cut)) inputs = std::move(before.mapped());
    kept_bytes_ -= inputs.bytes();
    if (inputs.rows() < live && match.KeptAt(cut) > inputs.rows()) inputs = match.kept->at(cut);
    inputs.Truncate(live);
    kept_bytes_ += inputs.bytes();
  }
  ForgetKept(session);
  session.kept = std::move(kept);
  LimitKept();
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

// Its route goes through the volunteer, or waits for KV from there.
bool Swarm::Needs(const Session& session, NodeId node) {
  return std::ranges::any_of(session.route, [&](const Hop& hop) {
    return hop.node == node || (hop.imports_left > 0 && hop.import_from == node);
  });
}

void Swarm::LoseLeases(NodeId node, Micros now, Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  const std::set<SessionId> retained = volunteer.retained;
  for (const SessionId id : retained) DropRetained(id, out);
  for (const SessionId id : volunteer.sessions) {
    Session& session = sessions_.at(id);
    if (Needs(session, node)) Suspend(id, session, now);
    session.leases.erase(node);
    session.warm.erase(node);
  }
  volunteer.sessions.clear();
  volunteer.warm.clear();
  volunteer.leased_positions = 0;
  volunteer.spare_positions = 0;
}

void Swarm::Release(SessionId id, Session& session, NodeId node, Effects& out) {
  if (session.leases.erase(node) == 0) return;
  Volunteer& volunteer = volunteers_.at(node);
  volunteer.leased_positions -= session.capacity();
  volunteer.sessions.erase(id);
  session.warm.erase(node);
  if (volunteer.warm.erase(id) > 0) volunteer.spare_positions -= session.capacity();
  out.push_back(SendBody{node, wire::Release{.session = id}});
}

// Over the cap, ended sessions lose what was kept for them first, then those with most: they would
// be rebuilt from their tokens.
void Swarm::LimitKept() {
  while (kept_bytes_ > config_.kept_bytes_max) {
    KeptInputs* largest = nullptr;
    const auto consider = [&](auto& kept) {
      for (auto& [cut, inputs] : kept) {
        if (largest == nullptr || inputs.bytes() > largest->bytes()) largest = &inputs;
      }
    };
    for (auto& [id, retained] : retained_) consider(retained.kept);
    if (largest == nullptr || largest->bytes() == 0) {
      for (auto& [id, session] : sessions_) consider(session.kept);
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
