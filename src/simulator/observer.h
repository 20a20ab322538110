// What happens in a world, as its checkers and its trace see it: the plain truth, said by those to
// whom it happens. Nothing that the swarm believes passes through here, except what it asks for.
#pragma once

#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "planner/plan.h"
#include "wire/frames.h"

namespace shoal::simulator {

// KV of one session on one volunteer.
struct HeldKv {
  NodeId node;
  SessionId session;
  Epoch epoch;
  planner::Span span;
  bool passes_on = false;  // On a route: what it computes goes on, or makes tokens.
};

// A stage of a session's route, as the coordinator opens it.
struct OpenedStage {
  NodeId node;
  planner::Span span;
  uint32_t kept = 0;  // Positions that it is told to keep.
};

class Observer {
 public:
  virtual ~Observer() = default;

  // At volunteers.
  virtual void Opened(const HeldKv& kv) = 0;
  virtual void Closed(NodeId node, SessionId session) = 0;  // Released, or lost with its volunteer.
  virtual void MemoryUsed(NodeId node, uint64_t bytes, uint64_t budget) = 0;
  // Rows of the current epoch were run.
  virtual void Computed(const HeldKv& kv, uint32_t position, uint32_t rows) = 0;
  // Rows were run through experts that it holds for others, each in so many groups.
  virtual void ExpertsComputed(NodeId node, uint64_t group_rows) = 0;
  // It chose the token at this position.
  virtual void Sampled(const HeldKv& kv, uint32_t position) = 0;
  // A row of the current epoch came that does not continue the KV.
  virtual void OutOfPlace(const HeldKv& kv, uint32_t position, uint32_t held) = 0;
  // A frame came for blocks, an assignment or a session that the volunteer does not have although
  // nothing that happened to it explains that.
  virtual void Misdirected(NodeId node, std::string_view what) = 0;

  // At the coordinator.
  virtual void Asked(SessionId session, uint32_t client, const std::vector<int32_t>& prompt,
                     uint32_t max_tokens) = 0;
  // The session goes this way from now on, from this position; what is before it and not kept is
  // run again.
  virtual void Routed(SessionId session, uint32_t from, std::vector<OpenedStage> stages) = 0;
  // KV that it holds for the session is not wanted any more ...
  virtual void Released(NodeId node, SessionId session) = 0;
  // ... nor any that it holds: it is given other blocks.
  virtual void Assigned(NodeId node) = 0;
  virtual void TokenMade(SessionId session, uint32_t position, int32_t token) = 0;
  virtual void Ended(SessionId session, const Error* error) = 0;
  virtual void Cancelled(SessionId session) = 0;
  virtual void Credited(NodeId node, uint64_t block_rows) = 0;
  virtual void Accused(NodeId node, const Error& error) = 0;  // Dropped by the coordinator.
};

}  // namespace shoal::simulator
