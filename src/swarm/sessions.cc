// Sessions: admission, the round of tokens, and rebuilding after a loss.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

// Whether a session's own rule, if it has one, lets this token come next.
bool IsAllowed(const Session& session, int32_t token) {
  if (!session.allowed) return true;
  const std::vector<uint8_t> mask = session.allowed(session.generated());
  const auto bit = static_cast<size_t>(token);
  return bit / 8 < mask.size() && (mask[bit / 8] >> bit % 8 & 1) != 0;
}

}  // namespace

// KV room is counted in positions: every stage's spare memory over what one position costs there.
uint64_t Swarm::KvPositionsMax() const {
  uint64_t most = UINT64_MAX;
  for (const planner::Stage& stage : plan_.stages) {
    uint64_t weights = 0;
    uint64_t kv = 0;
    for (uint32_t b = stage.span.first; b < stage.span.last; ++b) {
      weights += config_.blocks[b].weight_bytes;
      kv += config_.blocks[b].kv_bytes_per_position;
    }
    const uint64_t fixed = weights * PlanLimits(1).weight_percent / 100 + config_.overhead_bytes;
    const uint64_t memory = volunteers_.at(stage.node).memory_usable;
    if (kv > 0) most = std::min(most, (memory - std::min(memory, fixed)) / kv);
  }
  return most;
}

uint64_t Swarm::KvPositionsUsed() const {
  uint64_t used = 0;
  for (const auto& [id, session] : sessions_) {
    if (session.running) used += session.capacity();
  }
  return used;
}

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
  session.waiting_since = now;
  waiting_.push_back(event.session);
  if (RouteReady()) StartWaiting(now, out);
}

void Swarm::StartWaiting(Micros now, Effects& out) {
  while (!waiting_.empty()) {
    const SessionId id = waiting_.front();
    const auto at = sessions_.find(id);
    if (at == sessions_.end()) {
      waiting_.pop_front();
      continue;
    }
    const uint64_t used = KvPositionsUsed();
    if (used > 0 && used + at->second.capacity() > KvPositionsMax()) return;
    waiting_.pop_front();
    StartSession(id, at->second, now, out);
  }
}

void Swarm::StartSession(SessionId id, Session& session, Micros now, Effects& out) {
  CHECK(RouteReady());
  session.running = true;
  session.epoch = Epoch{next_epoch_++};
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    const bool is_last = i + 1 == plan_.stages.size();
    const NodeId node = plan_.stages[i].node;
    out.push_back(
        SendBody{node, wire::Open{.session = id,
                                  .epoch = session.epoch,
                                  .generation = volunteers_.at(node).generation,
                                  .next = is_last ? kCoordinator : plan_.stages[i + 1].node,
                                  .hop = config_.hop,
                                  .capacity = session.capacity(),
                                  .keep = 0}});
  }
  SendRows(id, session, 0, now, out);
}

// Sends tokens [from, end) to the first stage in chunks; the last row asks for the next token.
void Swarm::SendRows(SessionId id, Session& session, uint32_t from, Micros now, Effects& out) {
  const auto end = static_cast<uint32_t>(session.tokens.size());
  const bool is_replay = from == 0 && end > session.prompt_size;
  session.step_since = now;
  session.stages_seen = 0;
  while (from < end) {
    const uint32_t rows = std::min(end - from, config_.chunk_rows);
    wire::Step step;
    step.type = wire::PayloadType::kTokens;
    step.width = 1;
    ByteWriter payload(step.payload);
    for (uint32_t position = from; position < from + rows; ++position) {
      wire::Row row{.session = id, .epoch = session.epoch, .position = position};
      if (position + 1 == end) row.flags |= wire::Row::kWantToken;
      if (is_replay) row.flags |= wire::Row::kReplay;
      step.rows.push_back(row);
      payload.Write(session.tokens[position]);
    }
    if (from + rows == end) {
      wire::Sampling sampling = session.sampling;
      sampling.row = rows - 1;
      const bool penalised = sampling.repetition_penalty != 1 || sampling.frequency_penalty != 0 ||
                             sampling.presence_penalty != 0;
      if (penalised) sampling.history = session.tokens;
      if (session.allowed) sampling.mask = session.allowed(session.generated());
      step.sampling.push_back(std::move(sampling));
    }
    out.push_back(SendBody{plan_.stages.front().node, std::move(step)});
    from += rows;
  }
}

void Swarm::On(const TokenCame& event, Micros now, Effects& out) {
  const wire::Token& token = event.token;
  const auto at = sessions_.find(token.session);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  if (!session.running || token.epoch != session.epoch) return;
  if (event.node != plan_.stages.back().node || token.position != session.tokens.size() ||
      token.token < 0 || static_cast<uint32_t>(token.token) >= config_.vocab ||
      !IsAllowed(session, token.token)) {
    out.push_back(DropVolunteer{
        event.node, Error{Code::kInvalidArgument, "it sent a token that nobody asked it for"}});
    Forget(event.node, "sent a token that nobody asked for", now, out);
    return;
  }
  session.tokens.push_back(token.token);
  token_times_.push_back(now);
  for (const planner::Stage& stage : plan_.stages) ++volunteers_.at(stage.node).tokens_done;
  out.push_back(TokenMade{token.session, token});
  const bool is_end = std::ranges::find(session.end_ids, token.token) != session.end_ids.end();
  const bool is_full = session.tokens.size() >= session.capacity();
  if (is_end || is_full) {
    out.push_back(SessionFinished{token.session, !is_end});
    EndSession(token.session, out);
    StartWaiting(now, out);
    return;
  }
  SendRows(token.session, session, static_cast<uint32_t>(session.tokens.size()) - 1, now, out);
}

void Swarm::On(const StepReported& event, Micros now, Effects&) {
  const auto at = sessions_.find(event.report.session);
  if (at == sessions_.end() || at->second.epoch != event.report.epoch) return;
  Session& session = at->second;
  session.step_since = now;
  if (event.report.position + event.report.rows != session.tokens.size()) return;
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    if (plan_.stages[i].node == event.node)
      session.stages_seen = std::max(session.stages_seen, i + 1);
  }
}

void Swarm::On(const StepFailed& event, Micros now, Effects& out) {
  const auto at = sessions_.find(event.session);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  if (!session.running || session.epoch != event.epoch) return;
  RestartSession(
      event.session, session,
      Error{event.error.code, StrCat("volunteer ", event.node.value, ": ", event.error.detail)},
      now, out);
}

void Swarm::RestartSession(SessionId id, Session& session, const Error& why, Micros now,
                           Effects& out) {
  out.push_back(Note{StrCat("session ", id.value, " restarts: ", why.ToString())});
  if (++session.restarts > config_.restarts_max) {
    out.push_back(SessionFailed{id, Error{why.code, StrCat("the answer failed ", session.restarts,
                                                           " times, last: ", why.detail)}});
    EndSession(id, out);
    return;
  }
  if (RouteReady()) {
    StartSession(id, session, now, out);
  } else {
    session.running = false;
    session.waiting_since = now;
    waiting_.push_back(id);
  }
}

// The route is about to change: every running session waits for the new one, oldest first.
void Swarm::SuspendSessions(Micros now, Effects& out) {
  std::deque<SessionId> suspended;
  for (auto& [id, session] : sessions_) {
    if (!session.running) continue;
    session.running = false;
    session.waiting_since = now;
    suspended.push_back(id);
    for (const planner::Stage& stage : plan_.stages) {
      if (volunteers_.contains(stage.node)) {
        out.push_back(SendBody{stage.node, wire::Cancel{.session = id, .epoch = session.epoch}});
      }
    }
  }
  waiting_.insert(waiting_.begin(), suspended.begin(), suspended.end());
}

void Swarm::On(const SessionCancelled& event, Micros now, Effects& out) {
  if (!sessions_.contains(event.session)) return;
  EndSession(event.session, out);
  if (RouteReady()) StartWaiting(now, out);
}

// Forgets a session here and wherever its KV may lie.
void Swarm::EndSession(SessionId id, Effects& out) {
  sessions_.erase(id);
  for (const auto& [node, volunteer] : volunteers_) {
    if (!volunteer.span.empty()) out.push_back(SendBody{node, wire::Release{.session = id}});
  }
}

void Swarm::CheckSessions(Micros now, Effects& out) {
  std::vector<SessionId> orphans;
  NodeId stuck;
  for (const auto& [id, session] : sessions_) {
    if (!session.running && !RouteReady() && now - session.waiting_since > config_.route_wait) {
      orphans.push_back(id);
    }
    if (session.running && now - session.step_since > config_.step_timeout) {
      stuck = plan_.stages[std::min(session.stages_seen, plan_.stages.size() - 1)].node;
    }
  }
  for (const SessionId id : orphans) {
    out.push_back(SessionFailed{
        id, Error{Code::kUnavailable, StrCat("volunteers left and none took their place within ",
                                             config_.route_wait / kSecond, " s")}});
    EndSession(id, out);
  }
  if (stuck.value != 0) {
    const std::string why = "it did not finish a step in time";
    out.push_back(DropVolunteer{stuck, Error{Code::kDeadlineExceeded, why}});
    Forget(stuck, why, now, out);
  }
}

}  // namespace shoal::swarm
