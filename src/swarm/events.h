// What happens to the swarm and what it wants done about it. swarm.h turns one into the other.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "planner/experts.h"
#include "planner/plan.h"
#include "wire/frames.h"

namespace shoal::swarm {

// --- Events ------------------------------------------------------------------------------------

// Its profile came: the first one, or a changed one.
struct VolunteerJoined {
  NodeId node;
  std::string executor;
  uint64_t memory_bytes = 0;
  std::vector<wire::Measure> measures;  // speeds.h says which are used.
  std::string identity;                 // The same when it comes back; empty: not known.
  // By form (Config::blocks, then Config::other_forms) and block; what is past the end: none.
  std::vector<std::vector<uint64_t>> cached_bytes;
};
// It is about to go, and waits to be let go.
struct VolunteerLeaving {
  NodeId node;
  std::string reason;
};
struct VolunteerLeft {
  NodeId node;
  std::string reason;
};
// Any frame came from it: it is alive.
struct VolunteerHeard {
  NodeId node;
  Micros round_trip = 0;  // Where the frame answers a ping; 0 otherwise.
};
struct StageProgress {
  NodeId node;
  wire::Ready ready;
};
// Its assignment could not be loaded, or is lost.
struct StageFailed {
  NodeId node;
  uint32_t generation = 0;
  Error error;
};

// Which tokens may come after those that were generated so far: a mask as wire::Sampling has it,
// for the whole vocabulary. A function of its argument alone.
using AllowedTokens = std::function<std::vector<uint8_t>(std::span<const int32_t> generated)>;

// One session's work, as a request asked for it.
struct SessionOpened {
  SessionId session;
  std::vector<int32_t> prompt;  // Not empty; ids within the vocabulary.
  uint32_t max_tokens = 1;      // prompt.size() + max_tokens <= positions.
  std::vector<int32_t> end_ids;
  wire::Sampling sampling;
  AllowedTokens allowed;  // Unset: every token.
  std::string client;     // Who asks; clients share the swarm evenly.
};
struct SessionCancelled {
  SessionId session;
};
struct TokenCame {
  NodeId node;
  wire::Token token;
};
// A stage sends what it computed to the next one, by way of the coordinator.
struct StepPassed {
  NodeId from;
  NodeId to;
  std::shared_ptr<const wire::Step> step;
  std::shared_ptr<const ByteVector> frame;  // The same as bytes, to be passed on as they are.
};
// KV of one block is on its way from one volunteer to another, by way of the coordinator.
struct KvPassed {
  NodeId from;
  NodeId to;
  SessionId session;
  Epoch epoch;
  uint32_t block = 0;
  uint32_t position = 0;  // Of the first; up to `end`.
  uint32_t end = 0;
  std::shared_ptr<const ByteVector> frame;
};
// A stage worked on rows: what the step cost.
struct StepReported {
  NodeId node;
  wire::Report report;
};
// A holder of experts says what it did.
struct ExpertsUsed {
  NodeId node;
  wire::ExpertUsage usage;
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

using Event = std::variant<VolunteerJoined, VolunteerLeft, VolunteerHeard, StageProgress,
                           StageFailed, SessionOpened, SessionCancelled, TokenCame, StepPassed,
                           StepReported, StepFailed, ExpertsUsed, Tick, VolunteerLeaving, KvPassed>;

// --- Effects -----------------------------------------------------------------------------------

// Tell the volunteer to hold this span under this generation (the graph and its files are the
// caller's business).
struct AssignSpan {
  NodeId node;
  uint32_t generation = 0;
  planner::Span span;
  std::vector<uint32_t> divided;  // Blocks of the span whose experts are elsewhere.
  uint32_t form = 0;              // 0: that of Config::blocks, i: of Config::other_forms[i - 1].
};
// Tell the volunteer to hold these experts for others.
struct AssignExperts {
  NodeId node;
  uint32_t generation = 0;
  std::vector<planner::ExpertSlot> slots;
  uint32_t form = 0;
};
struct SendBody {
  NodeId to;
  wire::Body body;
};
// Send the frame of a StepPassed on, unchanged.
struct PassOn {
  NodeId to;
  std::shared_ptr<const ByteVector> frame;
};
// A stage of a session's route.
struct RouteStage {
  NodeId node;
  planner::Span span;
  uint32_t kept = 0;  // Positions whose KV is there already.
  // After these, positions whose KV comes from another session there, or from who is about to
  // leave.
  uint32_t copied = 0;
};
// For the trace: the session goes this way from now on. Stages that keep and copy less than `from`
// positions are given the inputs of the others again; from `from` on every stage works.
struct SessionRouted {
  SessionId session;
  Epoch epoch;
  uint32_t from = 0;
  std::vector<RouteStage> stages;
};
// Nothing at this volunteer is needed any more: it may go, and is forgotten here.
struct LetGo {
  NodeId node;
};
// A volunteer did this much: rows times the blocks that each went through.
struct StepCredited {
  NodeId node;
  uint64_t block_rows = 0;
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

using Effect =
    std::variant<AssignSpan, AssignExperts, SendBody, PassOn, SessionRouted, StepCredited,
                 TokenMade, SessionFinished, SessionFailed, DropVolunteer, Note, LetGo>;

}  // namespace shoal::swarm
