// Sessions: admission, fair between clients; tokens; the end.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

constexpr double kMeasureRate = 0.1;  // Of the moving average of token times.

// Whether a session's own rule, if it has one, lets this token come next.
bool IsAllowed(const Session& session, int32_t token) {
  if (!session.allowed) return true;
  const std::vector<uint8_t> mask = session.allowed(session.generated());
  const auto bit = static_cast<size_t>(token);
  return bit / 8 < mask.size() && (mask[bit / 8] >> bit % 8 & 1) != 0;
}

}  // namespace

void Swarm::On(const SessionOpened& event, Micros now, Effects& out) {
  CHECK(!event.prompt.empty() && event.max_tokens > 0);
  CHECK(event.prompt.size() + event.max_tokens <= config_.positions);
  auto [at, is_new] = sessions_.try_emplace(event.session);
  CHECK(is_new);
  Session& session = at->second;
  session.tokens = event.prompt;
  session.prompt_size = static_cast<uint32_t>(event.prompt.size());
  session.max_tokens = event.max_tokens;
  session.end_ids = event.end_ids;
  session.sampling = event.sampling;
  session.allowed = event.allowed;
  session.client = event.client;
  session.stalled_since = now;
  waiting_.push_back(event.session);
  // A client that was away starts level with those who are here: absence saves nothing up.
  if (!served_.contains(event.client)) {
    double least = 0;
    for (const auto& [client, rows] : served_) least = least == 0 ? rows : std::min(least, rows);
    served_[event.client] = least;
  }
  Admit(now, out);
}

// The new session to start next: of the client with the fewest running, then the least served.
std::optional<SessionId> Swarm::NextWaiting() const {
  std::map<std::string_view, size_t> running;
  for (const auto& [id, session] : sessions_) {
    if (session.state != SessionState::kWaiting) ++running[session.client];
  }
  std::optional<SessionId> best;
  std::pair<size_t, double> best_rank;
  for (const SessionId id : waiting_) {
    const std::string& client = sessions_.at(id).client;
    const std::pair rank(running[client], served_.at(client));
    if (best && rank >= best_rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

// Starts what can be started: those that lost their route first, then new ones.
void Swarm::Admit(Micros now, Effects& out) {
  std::vector<NodeId> path;
  bool wants_room = false;
  for (auto& [id, session] : sessions_) {
    if (session.state != SessionState::kSuspended) continue;
    RouteResult result = FindRoute(id, session, {}, now, path);
    if (result == RouteResult::kNoRoom && !session.leases.empty()) {
      // Nobody holds room while waiting for room: that could be a circle.
      while (!session.leases.empty()) Release(id, session, session.leases.begin()->first, out);
      result = FindRoute(id, session, {}, now, path);
    }
    if (result == RouteResult::kFound) StartRoute(id, session, {}, path, now, out);
    wants_room = wants_room || result == RouteResult::kNoRoom;
  }
  while (!wants_room) {
    const std::optional<SessionId> next = NextWaiting();
    if (!next) return;
    Session& session = sessions_.at(*next);
    PrefixMatch match = FindPrefix(session);
    RouteResult result = FindRoute(*next, session, match, now, path);
    if (result != RouteResult::kFound && match.positions > 0) {
      // Without the room that the source takes there may be enough.
      match = {};
      result = FindRoute(*next, session, match, now, path);
    }
    if (result != RouteResult::kFound) return;
    // KV and inputs of other sets are of no use.
    if (match.sets != SetsOf(path)) match = {};
    std::erase(waiting_, *next);
    StartRoute(*next, session, match, path, now, out);
  }
}

void Swarm::On(const TokenCame& event, Micros now, Effects& out) {
  const wire::Token& token = event.token;
  const auto at = sessions_.find(token.session);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  if (!session.running() || token.epoch != session.epoch) return;
  if (event.node != session.route.back().node || token.position != session.size() ||
      session.fed != session.size() || token.token < 0 ||
      static_cast<uint32_t>(token.token) >= config_.vocab || !IsAllowed(session, token.token)) {
    Drop(event.node, {Code::kInvalidArgument, "it sent a token that nobody asked it for"}, now,
         out);
    return;
  }
  AddToken(token.session, session, token, now, out);
}

void Swarm::AddToken(SessionId id, Session& session, const wire::Token& token, Micros now,
                     Effects& out) {
  Lease& head = session.leases.at(session.route.back().node);
  head.held = std::max(head.held, token.position);
  const bool is_alone = std::ranges::count_if(sessions_, [](const auto& entry) {
                          return entry.second.running();
                        }) == 1;
  if (is_alone && session.last_token_at != 0) {
    const double took = static_cast<double>(now - session.last_token_at) / kSecond;
    measured_token_s_ = measured_token_s_ == 0
                            ? took
                            : measured_token_s_ + kMeasureRate * (took - measured_token_s_);
  }
  session.tokens.push_back(token.token);
  session.last_token_at = now;
  session.progress_at = now;
  session.ready_at = now;
  session.stalled_since = 0;
  session.restarts = 0;
  served_[session.client] += 1;
  token_times_.push_back(now);
  for (const Hop& hop : session.route) ++volunteers_.at(hop.node).tokens_done;
  out.push_back(TokenMade{id, token});
  const bool is_end = std::ranges::find(session.end_ids, token.token) != session.end_ids.end();
  const bool is_full = session.size() >= session.capacity();
  if (!is_end && !is_full) return Dispatch(session.route.front().node, now, out);
  out.push_back(SessionFinished{id, !is_end});
  Retain(id, session, now, out);
  EndSession(id, now, out);
}

void Swarm::On(const SessionCancelled& event, Micros now, Effects& out) {
  if (sessions_.contains(event.session)) EndSession(event.session, now, out);
}

void Swarm::FailSession(SessionId id, Error error, Micros now, Effects& out) {
  out.push_back(SessionFailed{id, std::move(error)});
  EndSession(id, now, out);
}

// Forgets a session here and wherever its KV may lie.
void Swarm::EndSession(SessionId id, Micros now, Effects& out) {
  Session& session = sessions_.at(id);
  const std::vector<Hop> route = std::move(session.route);
  for (const Hop& hop : route) ForgetRows(hop.node, id);
  while (!session.leases.empty()) Release(id, session, session.leases.begin()->first, out);
  ForgetKept(session);
  std::erase(waiting_, id);
  const std::string client = std::move(session.client);
  sessions_.erase(id);
  if (std::ranges::none_of(sessions_,
                           [&](const auto& entry) { return entry.second.client == client; })) {
    served_.erase(client);
  }
  for (const Hop& hop : route) Dispatch(hop.node, now, out);
  Admit(now, out);
}

void Swarm::CheckSessions(Micros now, Effects& out) {
  const bool is_loading = IsLoading();
  if (RouteReady()) {
    had_route_ = true;
    pathless_since_ = 0;
  } else if (pathless_since_ == 0) {
    pathless_since_ = std::max<Micros>(now, 1);
  }
  const Micros pathless = pathless_since_ == 0 ? 0 : now - pathless_since_;
  std::vector<std::pair<SessionId, Error>> failed;
  std::vector<SessionId> silent;
  for (const auto& [id, session] : sessions_) {
    const Micros stalled = session.stalled_since == 0 ? 0 : now - session.stalled_since;
    if (stalled > config_.token_wait) {
      failed.emplace_back(
          id, Error{Code::kDeadlineExceeded, StrCat("there was no way to go on within ",
                                                    stalled / kSecond, " s; try again later")});
      continue;
    }
    if (session.running()) {
      if (now - session.progress_at > 2 * config_.step_timeout) silent.push_back(id);
      continue;
    }
    // What it waited for before, room or its turn, is nobody's absence.
    const Micros waited = std::min(stalled, pathless);
    if (waited > (is_loading ? config_.load_wait : config_.route_wait)) {
      failed.emplace_back(
          id, Error{Code::kUnavailable, StrCat("volunteers left and none took their place within ",
                                               waited / kSecond, " s")});
    }
  }
  for (auto& [id, why] : failed) FailSession(id, std::move(why), now, out);
  for (const SessionId id : silent) {
    Restart(id, {Code::kDeadlineExceeded, "a step got lost"}, now, out);
  }
}

}  // namespace shoal::swarm
