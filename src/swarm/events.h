// What happens to the swarm and what it wants done about it. swarm.h turns one into the other.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "planner/plan.h"
#include "wire/frames.h"

namespace shoal::swarm {

// --- Events ------------------------------------------------------------------------------------

struct VolunteerJoined {
  NodeId node;
  std::string executor;
  uint64_t memory_bytes = 0;
};
struct VolunteerLeft {
  NodeId node;
  std::string reason;
};
// Any frame came from it: it is alive.
struct VolunteerHeard {
  NodeId node;
};
struct StageProgress {
  NodeId node;
  wire::Ready ready;
};
// Its assignment could not be loaded.
struct StageFailed {
  NodeId node;
  uint32_t generation = 0;
  Error error;
};

// One session's work, as a request asked for it.
// Which tokens may come after those that were generated so far: a mask as wire::Sampling has it,
// for the whole vocabulary. A function of its argument alone.
using AllowedTokens = std::function<std::vector<uint8_t>(std::span<const int32_t> generated)>;

struct SessionOpened {
  SessionId session;
  std::vector<int32_t> prompt;  // Not empty; ids within the vocabulary.
  uint32_t max_tokens = 1;      // prompt.size() + max_tokens <= positions.
  std::vector<int32_t> end_ids;
  wire::Sampling sampling;
  AllowedTokens allowed;  // Unset: every token.
};
struct SessionCancelled {
  SessionId session;
};
struct TokenCame {
  NodeId node;
  wire::Token token;
};
// A stage worked on rows of a session: how far a step has come.
struct StepReported {
  NodeId node;
  wire::Report report;
};
// A stage could not do its part for a session.
struct StepFailed {
  NodeId node;
  SessionId session;
  Epoch epoch;
  Error error;
};
// Time passed; send one at least every Config::heartbeat_interval / 2.
struct Tick {};

using Event =
    std::variant<VolunteerJoined, VolunteerLeft, VolunteerHeard, StageProgress, StageFailed,
                 SessionOpened, SessionCancelled, TokenCame, StepReported, StepFailed, Tick>;

// --- Effects -----------------------------------------------------------------------------------

// Tell the volunteer to hold this span under this generation (the graph and its files are the
// caller's business).
struct AssignSpan {
  NodeId node;
  uint32_t generation = 0;
  planner::Span span;
};
struct SendBody {
  NodeId to;
  wire::Body body;
};
// One more token of a session's answer.
struct TokenMade {
  SessionId session;
  wire::Token token;
};
struct SessionFinished {
  SessionId session;
  bool hit_length = false;  // max_tokens were made; otherwise one of end_ids came.
};
struct SessionFailed {
  SessionId session;
  Error error;
};
// Close the connection: it is dead, or does harm.
struct DropVolunteer {
  NodeId node;
  Error reason;
};
// For the log and the trace.
struct Note {
  std::string what;
};

using Effect = std::variant<AssignSpan, SendBody, TokenMade, SessionFinished, SessionFailed,
                            DropVolunteer, Note>;

}  // namespace shoal::swarm
