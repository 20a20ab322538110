// A clean leave: whoever says that it is about to go is planned without, works on until somebody
// else can do its part, gives the KV away where that is quicker than computing it again, and is let
// go. After Config::leave_wait it is let go in any case.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
constexpr uint64_t kImportBytes = 4u << 20;  // Of one block in one frame, at most about.
}  // namespace

void Swarm::On(const VolunteerLeaving& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.leaving_since != 0) return;
  Volunteer& volunteer = at->second;
  volunteer.leaving_since = std::max<Micros>(now, 1);
  experts_changed_ = experts_changed_ || !volunteer.experts.empty();
  out.push_back(Note{StrCat("volunteer ", event.node.value, " is about to leave: ", event.reason)});
  const std::set<SessionId> retained = volunteer.retained;
  for (const SessionId id : retained) DropRetained(id, out);
  const std::set<SessionId> warm = volunteer.warm;
  for (const SessionId id : warm) Release(id, sessions_.at(id), event.node, out);
  HandOver(now, out);
  if (!PlanStands()) {
    Replan(now, out);
    Admit(now, out);
  }
}

// Moves sessions away from those who are about to leave, and lets them go.
void Swarm::HandOver(Micros now, Effects& out) {
  std::vector<NodeId> leaving;
  for (const auto& [node, volunteer] : volunteers_) {
    if (volunteer.leaving_since != 0) leaving.push_back(node);
  }
  std::vector<NodeId> path;
  for (const NodeId node : leaving) {
    const std::set<SessionId> sessions = volunteers_.at(node).sessions;
    bool gives = false;
    for (const SessionId id : sessions) {
      Session& session = sessions_.at(id);
      gives = gives || std::ranges::any_of(session.route, [&](const Hop& hop) {
                return hop.imports_left > 0 && hop.import_from == node;
              });
      const bool on_route =
          std::ranges::find(session.route, node, &Hop::node) != session.route.end();
      const bool is_behind = std::ranges::any_of(session.route, &Hop::is_behind);
      if (!on_route || is_behind) continue;
      if (FindRoute(id, session, {}, now, path) != RouteResult::kFound) continue;
      Suspend(id, session, now);
      StartRoute(id, session, {}, path, now, out);
      gives = true;
    }
    const Volunteer& volunteer = volunteers_.at(node);
    const Micros waited = now - volunteer.leaving_since;
    const Micros patience = gives ? 2 * config_.leave_wait : config_.leave_wait;
    const bool is_needed = !volunteer.sessions.empty() || IsAsked(node);
    if (is_needed && waited < patience) continue;
    out.push_back(LetGo{node});
    Forget(node, "it said goodbye", now, out);
  }
}

double Swarm::ImportSeconds(const Volunteer& source, const Volunteer& target,
                            uint64_t bytes) const {
  const double rate = std::min(source.link.up_bytes_per_s, target.link.down_bytes_per_s);
  const auto way = static_cast<double>(source.round_trip + target.round_trip) / kSecond;
  return static_cast<double>(bytes) / rate + way;
}

// Has the KV that `hop` lacks sent by somebody who is about to leave, if that is quicker than to
// compute it again. The session's new epoch has been opened at the hop.
bool Swarm::StartImport(SessionId id, Session& session, Hop& hop, Effects& out) {
  const uint32_t from = hop.replay_next;
  const auto is_source = [&](const auto& entry) {
    const Volunteer& volunteer = volunteers_.at(entry.first);
    return volunteer.leaving_since != 0 && !volunteer.silent && entry.first != hop.node &&
           volunteer.span.first <= hop.span.first && hop.span.last <= volunteer.span.last &&
           SetOf(volunteer.form) == SetOf(volunteers_.at(hop.node).form) &&
           entry.second.held > from;
  };
  const auto lease = std::ranges::find_if(session.leases, is_source);
  if (lease == session.leases.end()) return false;
  const auto& [node, held] = *lease;
  const Volunteer& source = volunteers_.at(node);
  uint64_t position_bytes = 0;
  uint64_t block_bytes = 1;
  uint32_t blocks = 0;
  for (uint32_t b = hop.span.first; b < hop.span.last; ++b) {
    const uint64_t bytes = BlocksOf(source.form)[b].kv_bytes_per_position;
    position_bytes += bytes;
    block_bytes = std::max(block_bytes, bytes);
    blocks += bytes > 0 ? 1 : 0;
  }
  const uint32_t to = std::min(held.held, hop.replay_to);
  if (blocks == 0 || to <= from) return false;
  const Volunteer& target = volunteers_.at(hop.node);
  const double seconds = ImportSeconds(source, target, position_bytes * (to - from));
  if (seconds >= ReplaySeconds(session, {}, hop.node, target)) return false;
  const bool is_head = source.span.last == config_.blocks.size();
  const bool is_open = std::ranges::any_of(session.route, [&](const Hop& other) {
    return other.imports_left > 0 && other.import_from == node;
  });
  if (!is_open) {
    out.push_back(SendBody{node, wire::Open{.session = id,
                                            .epoch = session.epoch,
                                            .generation = source.generation,
                                            .next = is_head ? kCoordinator : node,
                                            .hop = config_.hop,
                                            .capacity = session.capacity(),
                                            .keep = to}});
  }
  const auto part =
      static_cast<uint32_t>(std::clamp<uint64_t>(kImportBytes / block_bytes, 1, config_.positions));
  for (uint32_t at = from; at < to; at += std::min(part, to - at)) {
    out.push_back(SendBody{node, wire::KvExport{.session = id,
                                                .epoch = session.epoch,
                                                .first = hop.span.first,
                                                .last = hop.span.last,
                                                .from = at,
                                                .to = at + std::min(part, to - at),
                                                .target = hop.node}});
    hop.imports_left += blocks;
  }
  hop.import_from = node;
  hop.replay_next = to;
  return true;
}

// Frames to one volunteer keep their order: what is sent after the last part finds all KV there.
void Swarm::On(const KvPassed& event, Micros now, Effects& out) {
  const auto at = sessions_.find(event.session);
  if (at == sessions_.end() || !at->second.running() || at->second.epoch != event.epoch) return;
  Session& session = at->second;
  const auto hop = std::ranges::find(session.route, event.to, &Hop::node);
  const bool is_awaited = hop != session.route.end() && hop->imports_left > 0 &&
                          hop->import_from == event.from && event.block >= hop->span.first &&
                          event.block < hop->span.last && event.end <= hop->replay_next;
  if (!is_awaited) return;
  session.progress_at = now;
  out.push_back(PassOn{event.to, event.frame});
  // Its lease grows only with the first step behind it: until then a newer route may have kept the
  // KV from being taken in.
  if (--hop->imports_left > 0) return;
  const bool gives_more = std::ranges::any_of(session.route, [&](const Hop& other) {
    return other.imports_left > 0 && other.import_from == event.from;
  });
  if (!gives_more) Release(event.session, session, event.from, out);
  Dispatch(event.to, now, out);
  HandOver(now, out);
}

}  // namespace shoal::swarm
