// What the swarm knows: of itself (Config), of each volunteer and of each session.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "planner/cost_model.h"
#include "planner/experts.h"
#include "planner/problem.h"
#include "swarm/events.h"
#include "swarm/kept_inputs.h"

namespace shoal::swarm {

struct Config {
  std::vector<planner::BlockCost> blocks;      // With all their experts.
  std::vector<planner::ExpertLayer> mixtures;  // Layers that can be divided, by block.
  // Least holders of every layer's experts; 0: layers are divided only where memory demands it.
  uint32_t expert_holders = 0;
  uint32_t vocab = 0;
  uint32_t hidden = 0;        // Width of a hidden state.
  uint32_t positions = 0;     // Longest context served, prompt and answer together.
  uint32_t stages_min = 1;    // Fewest stages on which a new request is accepted.
  uint32_t chunk_rows = 128;  // Most rows of one step frame.
  uint32_t batch_rows = 16;   // Most sessions in one decode step.
  wire::HopType hop = wire::HopType::kF32;
  uint32_t sessions_max = 64;
  uint64_t overhead_bytes = 48u << 20;  // Of an executor, per volunteer.
  uint64_t kept_bytes_max = 1u << 30;   // For inputs of stages; beyond, the largest are given up.
  double latency_weight = 0.5;          // planner::Objective.

  Micros heartbeat_interval = 1 * kSecond;  // A silent volunteer is pinged this often ...
  Micros heartbeat_timeout = 4 * kSecond;   // ... not counted on after this long ...
  Micros ghost_timeout = 20 * kSecond;      // ... and given up after that.
  Micros load_timeout = 90 * kSecond;       // Without any progress of a download.
  Micros step_timeout = 25 * kSecond;       // For a step, beside ten times what is predicted.
  Micros route_wait = 15 * kSecond;         // How long a running session waits for volunteers ...
  Micros load_wait = 40 * kSecond;          // ... and while some that are here load its blocks.
  Micros token_wait = 120 * kSecond;        // Without a route, or on one, until a token.
  Micros join_settle = 2 * kSecond;         // A newcomer to a whole plan waits so long for a part.
  uint32_t restarts_max = 8;                // Of a session on account of failures, without a token.
};

enum class VolunteerState : uint8_t { kSpare, kLoading, kReady };

// Rows of one session in a frame.
struct RowSpan {
  SessionId session;
  Epoch epoch;
  uint32_t position = 0;
  uint32_t count = 0;
  size_t first = 0;  // Index of its first row in the frame.
};

// A step frame that a volunteer works on, or that waits there.
struct FrameAway {
  std::vector<RowSpan> rows;
  Micros sent_at = 0;
  double predicted_s = 0;
};

// A step frame on its way to a volunteer that has enough to do.
struct FrameWaiting {
  std::vector<RowSpan> rows;
  bool is_bulk = false;   // Part of a prompt; otherwise one row each of one or more sessions.
  bool is_whole = false;  // `rows` are all of the frame's.
  std::shared_ptr<const wire::Step> step;
  std::shared_ptr<const ByteVector> frame;
};

struct Volunteer {
  std::string executor;
  uint64_t memory_bytes = 0;
  uint64_t memory_usable = 0;  // Less than it offered after it ran out of memory.
  VolunteerState state = VolunteerState::kSpare;
  planner::Span span;
  std::vector<uint32_t> divided;             // Blocks of its span whose experts are elsewhere.
  std::vector<planner::ExpertSlot> experts;  // Held for others; then `span` is empty.
  std::vector<wire::ExpertHolder> table;     // That it was told last.
  uint32_t generation = 0;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t tokens_done = 0;  // Tokens that went through its blocks.
  planner::SpeedEstimate speed{planner::ExecutorSpeed{}};
  planner::Link link;
  Micros round_trip = 0;  // Least of the last few, so that queues do not count; 0: not known.

  std::deque<FrameAway> away;  // Oldest first.
  std::deque<FrameWaiting> waiting;
  bool bulk_next = false;         // Single rows and prompts take turns.
  std::set<SessionId> sessions;   // That have a KV lease here ...
  uint64_t leased_positions = 0;  // ... of together so many positions.
  Micros no_room_until = 0;       // It said that it had no room for KV.

  Micros joined_at = 0;
  Micros last_heard = 0;
  Micros last_pinged = 0;
  Micros last_progress = 0;
  Micros last_report = 0;
  Micros assigned_at = 0;
  Micros excluded_until = 0;   // Not planned with before this time; 0: counted on.
  bool silent = false;         // For heartbeat_timeout: others do its work, its KV may come back.
  uint32_t failures = 0;       // To load, in a row.
  uint32_t step_failures = 0;  // In a row.
};

// A session's KV on one volunteer, as far as is known here: a lower bound.
struct Lease {
  uint32_t generation = 0;
  uint32_t held = 0;
};

// A stage of a session's route.
struct Hop {
  NodeId node;
  planner::Span span;
  uint32_t passed = 0;  // Positions whose outputs have been sent on.
  uint32_t replay_next =
      0;  // Inputs at [replay_next, replay_to) are still to be given to it again.
  uint32_t replay_to = 0;
};

enum class SessionState : uint8_t {
  kWaiting,    // Has not begun.
  kRunning,    // Has a route.
  kSuspended,  // Lost its route; its KV lies where it lay.
};

struct Session {
  std::vector<int32_t> tokens;  // Prompt, then what was generated.
  uint32_t prompt_size = 0;
  uint32_t max_tokens = 0;
  std::vector<int32_t> end_ids;
  wire::Sampling sampling;
  AllowedTokens allowed;
  std::string client;

  SessionState state = SessionState::kWaiting;
  std::vector<Hop> route;  // Empty unless running.
  Epoch epoch;
  uint32_t fed = 0;                     // Tokens given to the first stage.
  std::map<NodeId, Lease> leases;       // Of the route, and of what is left of earlier ones.
  std::map<uint32_t, KeptInputs> kept;  // By the block behind the cut.

  uint32_t restarts = 0;     // Since the last token.
  Micros stalled_since = 0;  // Since when it has had no route and no token; 0: it goes well.
  Micros progress_at = 0;    // Last sign of life of a step under way.
  Micros last_token_at = 0;  // On the present route; 0: none yet.
  Micros ready_at = 0;       // Since when its next row could be run.

  bool running() const { return state == SessionState::kRunning; }
  uint32_t size() const { return static_cast<uint32_t>(tokens.size()); }
  uint32_t capacity() const { return prompt_size + max_tokens; }
  std::span<const int32_t> generated() const { return std::span(tokens).subspan(prompt_size); }
};

}  // namespace shoal::swarm
