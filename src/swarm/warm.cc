// Warm replicas. A volunteer that holds the same blocks as a stage of somebody's route and has
// nothing to do is given that stage's inputs as well, a few rows behind, and keeps the KV: when the
// stage is lost, it takes over after a step or so. It makes room for anybody who needs it.
#include <algorithm>

#include "base/check.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
// So many rows are sent at once: they cost a stage little more than one row does.
constexpr uint32_t kLagRows = 8;
constexpr size_t kOpenedAtOnce = 8;
}  // namespace

// Finds followers for stages that have none.
void Swarm::ChooseWarm(Micros, Effects& out) {
  if (!config_.warm_replicas) return;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<NodeId>> idle;
  for (const auto& [node, volunteer] : volunteers_) {
    const bool is_idle = volunteer.away.empty() && volunteer.waiting.empty();
    if (IsUsable(volunteer) && is_idle) {
      idle[{volunteer.span.first, volunteer.span.last}].push_back(node);
    }
  }
  size_t opened = 0;
  for (auto& [id, session] : sessions_) {
    // Not before the prompt is through.
    if (!session.running() || session.last_token_at == 0) continue;
    for (size_t i = 0; i < session.route.size(); ++i) {
      const Hop& hop = session.route[i];
      const auto candidates = idle.find({hop.span.first, hop.span.last});
      if (candidates == idle.end() || hop.is_behind()) continue;
      const auto kept = session.kept.find(hop.span.first);
      if (hop.span.first > 0 && (kept == session.kept.end() || kept->second.given_up())) continue;
      const bool has_one = std::ranges::any_of(
          session.warm, [&](const auto& warm) { return warm.second.span == hop.span; });
      if (has_one) continue;
      const auto best = std::ranges::find_if(candidates->second, [&](NodeId node) {
        const Volunteer& volunteer = volunteers_.at(node);
        return !session.leases.contains(node) &&
               SetOf(volunteer.form) == SetOf(volunteers_.at(hop.node).form) &&
               volunteer.leased_positions + session.capacity() <= LeasesMax(volunteer);
      });
      if (best == candidates->second.end()) continue;
      OpenWarm(id, session, i, *best, out);
      if (++opened == kOpenedAtOnce) return;
    }
  }
}

void Swarm::OpenWarm(SessionId id, Session& session, size_t hop, NodeId node, Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  const bool is_last = hop + 1 == session.route.size();
  session.leases[node] = Lease{volunteer.generation};
  session.warm[node] = {.span = volunteer.span};
  volunteer.sessions.insert(id);
  volunteer.warm.insert(id);
  volunteer.leased_positions += session.capacity();
  volunteer.spare_positions += session.capacity();
  out.push_back(SendBody{node, wire::Open{.session = id,
                                          .epoch = session.epoch,
                                          .generation = volunteer.generation,
                                          .next = is_last ? kCoordinator : node,
                                          .hop = config_.hop,
                                          .capacity = session.capacity()}});
}

// A new route has begun, whose stages have KV up to `live`: replicas that can go on following do.
void Swarm::KeepWarm(SessionId id, Session& session, uint32_t live, Effects& out) {
  std::vector<NodeId> useless;
  for (auto& [node, warm] : session.warm) {
    const Volunteer& volunteer = volunteers_.at(node);
    const auto hop = std::ranges::find(session.route, warm.span, &Hop::span);
    if (hop == session.route.end() || !IsUsable(volunteer)) {
      useless.push_back(node);
      continue;
    }
    Lease& lease = session.leases.at(node);
    lease.held = std::min(lease.held, live);
    warm.sent = lease.held;
    const bool is_last = hop + 1 == session.route.end();
    out.push_back(SendBody{node, wire::Open{.session = id,
                                            .epoch = session.epoch,
                                            .generation = volunteer.generation,
                                            .next = is_last ? kCoordinator : node,
                                            .hop = config_.hop,
                                            .capacity = session.capacity(),
                                            .keep = lease.held}});
  }
  for (const NodeId node : useless) Release(id, session, node, out);
}

// The next inputs of a session that is followed here, when nothing else is to be done.
bool Swarm::SendWarm(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  for (const SessionId id : volunteer.warm) {
    Session& session = sessions_.at(id);
    if (!session.running()) continue;
    WarmReplica& warm = session.warm.at(node);
    uint32_t end = session.fed == 0 ? 0 : std::min(session.fed, session.size() - 1);
    if (warm.span.first > 0) {
      const auto kept = session.kept.find(warm.span.first);
      end = kept == session.kept.end() ? 0 : kept->second.rows();
    }
    if (end < warm.sent + kLagRows) continue;
    const uint32_t from = warm.sent;
    const uint32_t to = std::min(end, from + config_.chunk_rows);
    SendAgain(id, session, warm.span, from, to, node, now, out);
    warm.sent = to;
    return true;
  }
  return false;
}

}  // namespace shoal::swarm
