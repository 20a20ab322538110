// Which way a session goes: the path of spans that meet which is expected to finish it first, with
// what its stages have to compute again counted.
#include <algorithm>
#include <array>
#include <limits>

#include "swarm/speeds.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

// Every session that shares a volunteer lengthens a step there by this part, as a rule.
constexpr double kLoadPerSession = 0.25;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Reached {
  double cost = kInfinite;
  NodeId via;
  uint32_t from = 0;
};

}  // namespace

bool Swarm::IsCountedOn(const Volunteer& volunteer) {
  return volunteer.excluded_until == 0 && !volunteer.silent && volunteer.leaving_since == 0;
}

bool Swarm::IsUsable(const Volunteer& volunteer) const {
  return volunteer.state == VolunteerState::kReady && !volunteer.span.empty() &&
         IsCountedOn(volunteer) && ExpertsAnswer(volunteer);
}

// Room for KV, in positions: the memory beside the weights over what one position costs there.
uint64_t Swarm::LeasesMax(const Volunteer& volunteer) const {
  uint64_t weights = 0;
  uint64_t kv = 0;
  for (uint32_t b = volunteer.span.first; b < volunteer.span.last; ++b) {
    weights += BlocksOf(volunteer.form)[b].weight_bytes;
    kv += BlocksOf(volunteer.form)[b].kv_bytes_per_position;
  }
  if (kv == 0) return UINT64_MAX;
  const uint64_t fixed = weights * PlanLimits(1).weight_percent / 100 + config_.overhead_bytes;
  return (volunteer.memory_usable - std::min(volunteer.memory_usable, fixed)) / kv;
}

double Swarm::StepSeconds(const Volunteer& volunteer, uint32_t position, uint32_t rows) const {
  const std::array<RowCount, 1> counts = {{{position, rows}}};
  return volunteer.speed.speed().Seconds(WorkOf(BlocksOf(volunteer.form), volunteer.span, counts));
}

// How long it takes until the stage's KV has all positions but the newest: the inputs on their way,
// then the runs.
double Swarm::ReplaySeconds(const Session& session, const PrefixMatch& match, NodeId node,
                            const Volunteer& volunteer) const {
  const auto lease = session.leases.find(node);
  const uint32_t held =
      std::max(match.HeldAt(node), lease == session.leases.end() ? 0 : lease->second.held);
  const uint32_t end = session.size() - 1;
  if (held >= end) return 0;
  const uint32_t rows = end - held;
  const uint32_t chunk = std::min(rows, config_.chunk_rows);
  const uint32_t chunks = (rows + chunk - 1) / chunk;
  double seconds = chunks * StepSeconds(volunteer, held + rows / 2, chunk);
  uint64_t row_bytes = sizeof(int32_t);
  if (volunteer.span.first > 0) {
    row_bytes = config_.blocks[volunteer.span.first - 1].hidden_bytes;
    const auto kept = session.kept.find(volunteer.span.first);
    const bool is_kept = kept != session.kept.end() && kept->second.rows() >= end;
    // Without its inputs the whole route starts from the tokens.
    if (!is_kept) seconds *= static_cast<double>(config_.blocks.size()) / volunteer.span.size();
  }
  return seconds + static_cast<double>(rows) * static_cast<double>(row_bytes) /
                       volunteer.link.down_bytes_per_s;
}

// Through the sets that the session's blocks had, or those of the KV that it finds, if there is
// such a way; else through any.
Swarm::RouteResult Swarm::FindRoute(SessionId id, const Session& session, const PrefixMatch& match,
                                    Micros now, std::vector<NodeId>& path) const {
  const std::vector<uint32_t>& sets = session.sets.empty() ? match.sets : session.sets;
  if (!sets.empty()) {
    const RouteResult result = FindRouteIn(sets, id, session, match, now, path);
    if (result == RouteResult::kFound) return result;
  }
  return FindRouteIn({}, id, session, match, now, path);
}

// `sets`: which each block must have; empty: any.
Swarm::RouteResult Swarm::FindRouteIn(const std::vector<uint32_t>& sets, SessionId id,
                                      const Session& session, const PrefixMatch& match, Micros now,
                                      std::vector<NodeId>& path) const {
  const auto source = retained_.find(match.source);
  const auto block_count = static_cast<uint32_t>(config_.blocks.size());
  std::vector<std::vector<const std::pair<const NodeId, Volunteer>*>> from(block_count);
  const auto has_sets = [&](const Volunteer& volunteer) {
    if (sets.empty()) return true;
    const auto begin = sets.begin() + volunteer.span.first;
    const uint32_t set = SetOf(volunteer.form);
    return std::all_of(begin, begin + volunteer.span.size(),
                       [&](uint32_t wanted) { return wanted == set; });
  };
  for (const auto& entry : volunteers_) {
    const Volunteer& volunteer = entry.second;
    if (IsUsable(volunteer) && has_sets(volunteer)) from[volunteer.span.first].push_back(&entry);
  }
  std::vector<Reached> with_room(block_count + 1);
  std::vector<bool> reached(block_count + 1, false);
  with_room[0].cost = 0;
  reached[0] = true;
  const double left = static_cast<double>(session.capacity() - session.size());
  for (uint32_t b = 0; b < block_count; ++b) {
    if (!reached[b]) continue;
    for (const auto* entry : from[b]) {
      const auto& [node, volunteer] = *entry;
      const uint32_t end = volunteer.span.last;
      reached[end] = true;
      const bool has_lease = session.leases.contains(node);
      // Spare KV makes room, but for what is about to be copied.
      uint64_t leased = volunteer.leased_positions - volunteer.spare_positions;
      if (source != retained_.end() && source->second.leases.contains(node)) {
        leased += source->second.capacity;
      }
      const bool has_room = has_lease || (volunteer.no_room_until <= now &&
                                          leased + session.capacity() <= LeasesMax(volunteer));
      if (!has_room || with_room[b].cost == kInfinite) continue;
      const bool is_known = has_lease && !volunteer.warm.contains(id);
      const size_t others = volunteer.sessions.size() - volunteer.warm.size() - (is_known ? 1 : 0);
      const double step = StepSeconds(volunteer, session.size(), 1) *
                              (1 + kLoadPerSession * static_cast<double>(others)) +
                          static_cast<double>(volunteer.round_trip) / kSecond;
      const double cost =
          with_room[b].cost + left * step + ReplaySeconds(session, match, node, volunteer);
      if (cost < with_room[end].cost) with_room[end] = {cost, node, b};
    }
  }
  path.clear();
  if (!reached[block_count]) return RouteResult::kNoPath;
  if (with_room[block_count].cost == kInfinite) return RouteResult::kNoRoom;
  for (uint32_t b = block_count; b > 0; b = with_room[b].from) path.push_back(with_room[b].via);
  std::ranges::reverse(path);
  return RouteResult::kFound;
}

}  // namespace shoal::swarm
