// What the swarm knows: of itself (Config), of each volunteer and of each session.
#pragma once

#include <algorithm>
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
#include "swarm/forms.h"
#include "swarm/kept_inputs.h"

namespace shoal::swarm {

// Who held a stage before a restart, by identity.
struct ExpectedStage {
  uint32_t pipeline = 0;
  planner::Span span;
  std::vector<std::string> holders;
  std::vector<std::string> weights;  // The set that each of them had; past the end: not known.
};

struct Config {
  // The first form: costs of the blocks, with all their experts, and the name of the set of
  // weights, computed in float32.
  std::vector<planner::BlockCost> blocks;
  std::string weights;
  // Others that there are, one or more sets in float32 or float16; of the same blocks.
  std::vector<Form> other_forms;
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
  uint64_t overhead_bytes = planner::kExecutorOverheadBytes;  // Per volunteer.
  uint64_t kept_bytes_max = 1u << 30;   // For inputs of stages; beyond, the largest are given up.
  bool warm_replicas = true;            // Idle replicas keep the KV of running sessions.
  uint32_t retained_max = 32;           // Ended sessions whose KV is kept for others; 0: none.
  Micros retained_for = 600 * kSecond;  // Without use.
  double latency_weight = 0.5;          // planner::Objective.

  // The plan that ran before a restart, in order: it is taken up again with those who come back
  // within so long.
  std::vector<ExpectedStage> expected;
  Micros expected_wait = 15 * kSecond;
  // More than any that the volunteers may know from before a restart.
  uint32_t first_generation = 1;

  Micros heartbeat_interval = 1 * kSecond;  // A silent volunteer is pinged this often ...
  Micros heartbeat_timeout = 4 * kSecond;   // ... not counted on after this long ...
  Micros ghost_timeout = 20 * kSecond;      // ... and given up after that.
  Micros load_timeout = 90 * kSecond;       // Without any progress of a download.
  Micros build_timeout = 300 * kSecond;     // For a stage whose files are there.
  Micros step_timeout = 25 * kSecond;       // For a step, beside ten times what is predicted.
  Micros route_wait = 15 * kSecond;         // How long a running session waits for volunteers ...
  Micros load_wait = 40 * kSecond;          // ... and while some that are here load its blocks.
  Micros token_wait = 120 * kSecond;        // Without a route, or on one, until a token.
  Micros join_settle = 2 * kSecond;         // A newcomer to a whole plan waits so long for a part.
  Micros forms_return = 60 * kSecond;       // Forms kept for answers' sake are, so long after them.
  Micros leave_wait = 6 * kSecond;          // Who says goodbye waits so long for a successor.
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
  uint64_t bytes_up = 0;  // Of the frames that came because of it, for the next stage.
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
  std::string identity;  // The same when it comes back; empty: not known.
  uint64_t memory_bytes = 0;
  uint64_t memory_usable = 0;  // Less than it offered after it ran out of memory.
  VolunteerState state = VolunteerState::kSpare;
  planner::Span span;
  uint32_t form = 0;              // In which it has its blocks or experts; BlocksOf().
  bool is_form_lent = false;      // Another form suits it better: this one is for answers' sake.
  bool returns_form = false;      // With the next plan it gets the one that suits it.
  std::vector<Choice> choices;    // Forms that it runs, the best first.
  std::vector<uint32_t> divided;  // Blocks of its span whose experts are elsewhere.
  std::vector<planner::ExpertSlot> experts;  // Held for others; then `span` is empty.
  std::vector<wire::ExpertHolder> table;     // That it was told last.
  uint32_t generation = 0;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t tokens_done = 0;  // Tokens that went through its blocks.
  planner::SpeedEstimate speed{planner::ExecutorSpeed{}};
  planner::Link link;
  bool knows_uplink = false;  // Measured, by itself or on its steps' way.
  Micros round_trip = 0;      // Least of the last few, so that queues do not count; 0: not known.

  std::vector<std::vector<uint64_t>> cached_bytes;  // As it said when it came.
  double stay_s = 0;                                // Mean time until it leaves, as its past tells.

  std::deque<FrameAway> away;  // Oldest first.
  std::deque<FrameWaiting> waiting;
  bool bulk_next = false;         // Single rows and prompts take turns.
  std::set<SessionId> sessions;   // That have a KV lease here; of these ...
  std::set<SessionId> warm;       // ... are here as on a replica that may be needed.
  std::set<SessionId> retained;   // Ended ones whose KV is kept here.
  uint64_t leased_positions = 0;  // Of all of these together.
  uint64_t spare_positions = 0;   // Of the last two, which make room for others.
  Micros no_room_until = 0;       // It said that it had no room for KV.

  Micros joined_at = 0;
  Micros last_heard = 0;
  Micros last_pinged = 0;
  Micros last_progress = 0;
  Micros last_report = 0;
  Micros assigned_at = 0;
  Micros excluded_until = 0;   // Not planned with before this time; 0: counted on.
  Micros leaving_since = 0;    // It said that it is about to go; 0: it did not.
  bool silent = false;         // For heartbeat_timeout: others do its work, its KV may come back.
  uint32_t failures = 0;       // To load, in a row.
  uint32_t step_failures = 0;  // In a row.
};

// What is remembered of somebody who has left.
struct Past {
  uint32_t stays = 0;
  double stayed_s = 0;       // Together.
  uint32_t short_stays = 0;  // The last so many in a row.
  Micros left_at = 0;
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
  // Inputs at [replay_next, replay_to) are still to be given to it again.
  uint32_t replay_next = 0;
  uint32_t replay_to = 0;
  // KV comes from this volunteer, up to replay_next, in so many frames more; 0: from nobody.
  NodeId import_from;
  uint32_t imports_left = 0;

  // Rows may not run there yet.
  bool is_behind() const { return imports_left > 0 || replay_next < replay_to; }
};

// A replica that follows a session: it is given the inputs of a stage that another one runs.
struct WarmReplica {
  planner::Span span;
  uint32_t sent = 0;  // Positions whose inputs have been sent to it.
};

// The KV of a session that has ended, for those that begin alike. All stages of its last route
// hold it.
struct Retained {
  std::vector<int32_t> tokens;
  uint32_t capacity = 0;
  std::map<NodeId, Lease> leases;
  std::map<uint32_t, KeptInputs> kept;  // By the block behind the cut.
  std::vector<uint32_t> sets;           // As Session::sets.
  Micros used_at = 0;
};

// Another session, running or retained, that begins with the same tokens.
struct PrefixMatch {
  SessionId source;
  uint32_t positions = 0;  // In common, whose KV all holders have; 0: there is no such session.
  std::vector<NodeId> holders;  // The stages of its route.
  const std::map<uint32_t, KeptInputs>* kept = nullptr;
  std::vector<uint32_t> sets;  // As Session::sets.

  uint32_t HeldAt(NodeId node) const {
    return std::ranges::find(holders, node) != holders.end() ? positions : 0;
  }
  uint32_t KeptAt(uint32_t cut) const {
    if (positions == 0) return 0;
    const auto at = kept->find(cut);
    return at == kept->end() ? 0 : std::min(positions, at->second.rows());
  }
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
  // Of each block the set of weights (Swarm::SetOf) that its last route had: routes keep to it
  // where one can. Empty before the first route, and where there is one set only.
  std::vector<uint32_t> sets;
  Epoch epoch;
  uint32_t fed = 0;  // Tokens given to the first stage.
  // Of the route, of what is left of earlier ones, of warm replicas, and of those that give KV
  // away.
  std::map<NodeId, Lease> leases;
  std::map<NodeId, WarmReplica> warm;
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
