// The sessions that have KV on this volunteer, and the rules of epochs: the epoch grows with every
// re-route, and whatever belongs to an older one is refused.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "volunteer/kv_moves.h"
#include "wire/frames.h"

namespace shoal::volunteer {

struct Session {
  SessionId id;
  SessionId kv;  // The engine's name of its KV cache; never used again.
  Epoch epoch;
  NodeId next;
  wire::HopType hop = wire::HopType::kF32;
  uint32_t capacity = 0;
  uint32_t length = 0;     // Positions in the KV cache, as far as queued work has been done.
  bool cancelled = false;  // Rows of this epoch are dropped.
  // KV that others send, as far as it has come for this epoch.
  std::optional<KvAssembly> incoming;
  bool gone = false;  // Released, or lost with its stage: whatever still refers to it is over.
};
using SessionPtr = std::shared_ptr<Session>;

// What the table needs to know of the stage.
struct SessionLimits {
  uint32_t generation = 0;
  bool has_head = false;
  uint32_t positions = 0;
  uint64_t kv_bytes_per_position = 0;
  uint64_t kv_bytes_max = 0;  // Room for all KV caches together.
};

class SessionTable {
 public:
  static constexpr size_t kSessionsMax = 4096;

  // A new stage, or none (generation 0): every session is lost with the old one's KV. Gives the
  // lost ones.
  std::vector<SessionPtr> Reset(const SessionLimits& limits);

  // `is_new`: an empty KV cache is to be made; else the known one is cut down to `frame.keep`.
  struct Opened {
    SessionPtr session;
    bool is_new = false;
  };
  // kFailedPrecondition for another assignment, kInvalidArgument for a route that this stage cannot
  // be part of, kStaleEpoch, kOutOfRange for positions kept of an unknown session,
  // kResourceExhausted when its KV does not fit.
  Result<Opened> Open(const wire::Open& frame);
  // Cancelling something unknown or older is no error: it is over already.
  void Cancel(const wire::Cancel& frame);
  // The session that was released; null when it was not known.
  SessionPtr Release(SessionId id);
  // Null when it is not open.
  SessionPtr Find(SessionId id) const;
  // The session that a frame of (id, epoch) means. kNotFound, kStaleEpoch, kFailedPrecondition for
  // an epoch that has not been opened.
  Result<SessionPtr> Require(SessionId id, Epoch epoch) const;

  size_t count() const { return sessions_.size(); }
  uint64_t reserved_bytes() const { return reserved_bytes_; }

 private:
  std::unordered_map<SessionId, SessionPtr> sessions_;
  SessionLimits limits_;
  uint64_t next_kv_ = 1;
  uint64_t reserved_bytes_ = 0;  // For the sessions' capacities.
};

}  // namespace shoal::volunteer
