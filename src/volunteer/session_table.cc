#include "volunteer/session_table.h"

#include <utility>

#include "base/str_cat.h"

namespace shoal::volunteer {

namespace {

Status CheckRoute(const wire::Open& frame, const SessionLimits& limits) {
  if (frame.session == SessionId{}) {
    return Fail(Code::kInvalidArgument, "session 0 is no session");
  }
  if (limits.has_head != (frame.next == kCoordinator)) {
    return Fail(Code::kInvalidArgument,
                limits.has_head
                    ? StrCat("the head is here, yet the session's next node is ", frame.next.value)
                    : "the session has no next node, yet the head is not here");
  }
  if (frame.capacity < 1 || frame.capacity > limits.positions) {
    return Fail(Code::kInvalidArgument, StrCat("a session of ", frame.capacity, " positions; 1 to ",
                                               limits.positions, " are served"));
  }
  return {};
}

std::unexpected<Error> StaleEpoch(Epoch epoch, Epoch current) {
  return Fail(Code::kStaleEpoch,
              StrCat("epoch ", epoch.value, " came, the session is at ", current.value));
}

}  // namespace

std::vector<SessionPtr> SessionTable::Reset(const SessionLimits& limits) {
  std::vector<SessionPtr> lost;
  for (const auto& [id, session] : sessions_) {
    session->gone = true;
    lost.push_back(session);
  }
  sessions_.clear();
  limits_ = limits;
  reserved_bytes_ = 0;
  return lost;
}

Result<SessionTable::Opened> SessionTable::Open(const wire::Open& frame) {
  if (limits_.generation == 0 || frame.generation != limits_.generation) {
    return Fail(Code::kFailedPrecondition,
                StrCat("the route counts on assignment ", frame.generation, ", held is ",
                       limits_.generation == 0 ? "none" : std::to_string(limits_.generation)));
  }
  RETURN_IF_ERROR(CheckRoute(frame, limits_));
  const SessionPtr known = Find(frame.session);
  if (known && frame.epoch <= known->epoch) return StaleEpoch(frame.epoch, known->epoch);
  if (!known && sessions_.size() >= kSessionsMax) {
    return Fail(Code::kResourceExhausted, StrCat(kSessionsMax, " sessions are open here"));
  }
  if (known) {
    // Its room was made for the capacity that it was opened with.
    if (frame.capacity > known->capacity) {
      return Fail(Code::kInvalidArgument, StrCat("capacity ", frame.capacity,
                                                 " of a session opened with ", known->capacity));
    }
    known->epoch = frame.epoch;
    known->next = frame.next;
    known->hop = frame.hop;
    known->cancelled = false;
    known->incoming.reset();
    return Opened{known, false};
  }
  if (frame.keep != 0) {
    return Fail(Code::kOutOfRange, StrCat("asked to keep ", frame.keep,
                                          " positions of a session that is not known here"));
  }
  const uint64_t reserved = reserved_bytes_ + frame.capacity * limits_.kv_bytes_per_position;
  if (reserved > limits_.kv_bytes_max) {
    return Fail(Code::kResourceExhausted,
                StrCat("KV for ", frame.capacity, " positions does not fit: all sessions together ",
                       "would need ", reserved, " of ", limits_.kv_bytes_max, " bytes"));
  }
  const auto session = std::make_shared<Session>(Session{.id = frame.session,
                                                         .kv = SessionId{next_kv_++},
                                                         .epoch = frame.epoch,
                                                         .next = frame.next,
                                                         .hop = frame.hop,
                                                         .capacity = frame.capacity});
  sessions_.emplace(session->id, session);
  reserved_bytes_ = reserved;
  return Opened{session, true};
}

void SessionTable::Cancel(const wire::Cancel& frame) {
  const SessionPtr session = Find(frame.session);
  if (session && session->epoch == frame.epoch) session->cancelled = true;
}

SessionPtr SessionTable::Release(SessionId id) {
  SessionPtr session = Find(id);
  if (!session) return nullptr;
  session->gone = true;
  sessions_.erase(id);
  reserved_bytes_ -= session->capacity * limits_.kv_bytes_per_position;
  return session;
}

SessionPtr SessionTable::Find(SessionId id) const {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : at->second;
}

Result<SessionPtr> SessionTable::Require(SessionId id, Epoch epoch) const {
  SessionPtr session = Find(id);
  if (!session) return Fail(Code::kNotFound, StrCat("session ", id.value, " is not open here"));
  if (epoch < session->epoch) return StaleEpoch(epoch, session->epoch);
  if (epoch > session->epoch) {
    return Fail(Code::kFailedPrecondition,
                StrCat("epoch ", epoch.value, " has not been opened here, the session is at ",
                       session->epoch.value));
  }
  return session;
}

}  // namespace shoal::volunteer
