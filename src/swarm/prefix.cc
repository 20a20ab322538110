// Prefix reuse: what begins like something whose KV still lies on a route starts from there.
//
// The KV of an answer that ends stays where it is, until somebody else needs the room, it was of no
// use for a while, or there is too much of it. Sources are compared token by token: there are few,
// and most differ in the first.
#include <algorithm>

#include "base/check.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

constexpr uint32_t kWorthCopying = 16;  // Positions.

uint32_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b, uint32_t most) {
  const size_t end = std::min({a.size(), b.size(), size_t{most}});
  size_t n = 0;
  while (n < end && a[n] == b[n]) ++n;
  return static_cast<uint32_t>(n);
}

// Positions that all stages hold.
uint32_t HeldByAll(const std::map<NodeId, Lease>& leases) {
  uint32_t held = UINT32_MAX;
  for (const auto& [node, lease] : leases) held = std::min(held, lease.held);
  return leases.empty() ? 0 : held;
}

// Those of the stages of its present route.
std::map<NodeId, Lease> RouteLeases(const Session& session) {
  std::map<NodeId, Lease> leases;
  for (const Hop& hop : session.route) leases.insert(*session.leases.find(hop.node));
  return leases;
}

}  // namespace

// The session, running or retained, with most in common whose holders can all be counted on.
PrefixMatch Swarm::FindPrefix(const Session& session) const {
  PrefixMatch best;
  // The newest token's row is run in any case: it makes the next one.
  const uint32_t most = session.size() - 1;
  const auto consider =
      [&](SessionId id, const std::vector<int32_t>& tokens, const std::map<NodeId, Lease>& leases,
          const std::map<uint32_t, KeptInputs>& kept, const std::vector<uint32_t>& sets) {
        const uint32_t end = std::min(HeldByAll(leases), most);
        if (end < std::max(kWorthCopying, best.positions + 1)) return;
        const uint32_t common = CommonPrefix(session.tokens, tokens, end);
        if (common < std::max(kWorthCopying, best.positions + 1)) return;
        PrefixMatch match{
            .source = id, .positions = common, .holders = {}, .kept = &kept, .sets = sets};
        for (const auto& [node, lease] : leases) {
          if (!IsUsable(volunteers_.at(node))) return;
          match.holders.push_back(node);
        }
        best = std::move(match);
      };
  for (const auto& [id, retained] : retained_) {
    consider(id, retained.tokens, retained.leases, retained.kept, retained.sets);
  }
  for (const auto& [id, other] : sessions_) {
    if (&other == &session || !other.running()) continue;
    if (std::ranges::any_of(other.route, &Hop::is_behind)) continue;
    consider(id, other.tokens, RouteLeases(other), other.kept, other.sets);
  }
  return best;
}

// A session that has ended well leaves its KV to others.
void Swarm::Retain(SessionId id, Session& session, Micros now, Effects& out) {
  CHECK(session.running());
  std::map<NodeId, Lease> leases = RouteLeases(session);
  const bool holds_enough = HeldByAll(leases) >= kWorthCopying;
  const bool stays = std::ranges::all_of(
      leases, [&](const auto& lease) { return IsUsable(volunteers_.at(lease.first)); });
  if (config_.retained_max == 0 || !holds_enough || !stays) return;
  // What this one covers is of no more use: the last turn of the same conversation, most often.
  std::vector<SessionId> covered;
  for (const auto& [other, retained] : retained_) {
    const uint32_t held = HeldByAll(retained.leases);
    if (CommonPrefix(retained.tokens, session.tokens, held) == held) covered.push_back(other);
  }
  for (const SessionId other : covered) DropRetained(other, out);
  while (retained_.size() >= config_.retained_max) {
    DropRetained(
        std::ranges::min_element(retained_, {}, [](const auto& one) { return one.second.used_at; })
            ->first,
        out);
  }
  for (const auto& [node, lease] : leases) {
    Volunteer& volunteer = volunteers_.at(node);
    session.leases.erase(node);
    volunteer.sessions.erase(id);
    volunteer.retained.insert(id);
    volunteer.spare_positions += session.capacity();
  }
  retained_[id] = {.tokens = session.tokens,
                   .capacity = session.capacity(),
                   .leases = std::move(leases),
                   .kept = std::move(session.kept),
                   .sets = session.sets,
                   .used_at = now};
  session.kept.clear();
}

void Swarm::DropRetained(SessionId id, Effects& out) {
  const auto at = retained_.find(id);
  if (at == retained_.end()) return;
  const Retained retained = std::move(at->second);
  retained_.erase(at);
  for (const auto& [cut, inputs] : retained.kept) kept_bytes_ -= inputs.bytes();
  for (const auto& [node, lease] : retained.leases) {
    Volunteer& volunteer = volunteers_.at(node);
    volunteer.retained.erase(id);
    volunteer.leased_positions -= retained.capacity;
    volunteer.spare_positions -= retained.capacity;
    out.push_back(SendBody{node, wire::Release{.session = id}});
  }
}

void Swarm::CheckRetained(Micros now, Effects& out) {
  std::vector<SessionId> old;
  for (const auto& [id, retained] : retained_) {
    if (now - retained.used_at > config_.retained_for) old.push_back(id);
  }
  for (const SessionId id : old) DropRetained(id, out);
}

// Lets go of spare KV, the longest unused first, until so many more positions fit. The KV of
// `except` is about to be copied.
void Swarm::MakeRoom(NodeId node, uint64_t positions, SessionId except, Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  const uint64_t max = LeasesMax(volunteer);
  while (volunteer.leased_positions + positions > max) {
    if (!volunteer.warm.empty()) {
      const SessionId id = *volunteer.warm.begin();
      Release(id, sessions_.at(id), node, out);
      continue;
    }
    std::optional<SessionId> oldest;
    for (const SessionId id : volunteer.retained) {
      if (id == except) continue;
      if (!oldest || retained_.at(id).used_at < retained_.at(*oldest).used_at) oldest = id;
    }
    if (!oldest) return;
    DropRetained(*oldest, out);
  }
}

}  // namespace shoal::swarm
