// The coordinator's decisions about volunteers and sessions, as one pure state machine:
// (state, event, now) -> effects. No I/O, no clock, no randomness of its own, so that a simulator
// can run the very code that serves.
//
// There is one pipeline: the plan's stages in order. Volunteers outside the plan are spares. When
// one of the plan is lost, a spare takes over its span (or the blocks are divided anew), and every
// session is rebuilt on the new route from its tokens, under a new epoch: what was answered stays,
// and because sampling depends on (seed, position) alone, so does what follows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "planner/plan.h"
#include "swarm/events.h"

namespace shoal::swarm {

struct Config {
  std::vector<planner::BlockCost> blocks;
  uint32_t vocab = 0;
  uint32_t positions = 0;     // Longest context served, prompt and answer together.
  uint32_t stages_min = 1;    // Fewest stages on which a new request is accepted.
  uint32_t chunk_rows = 128;  // Most rows of one step frame.
  wire::HopType hop = wire::HopType::kF32;
  uint32_t sessions_max = 64;
  uint64_t overhead_bytes = 48u << 20;  // Of an executor, per volunteer.

  Micros heartbeat_interval = 1 * kSecond;  // A silent volunteer is pinged this often ...
  Micros heartbeat_timeout = 4 * kSecond;   // ... and given up after this long.
  Micros load_timeout = 90 * kSecond;       // Without any progress of a download.
  Micros step_timeout = 60 * kSecond;       // Without any report on a step under way.
  Micros route_wait = 15 * kSecond;         // How long a running session waits for a route.
  uint32_t restarts_max = 8;                // Of one session on account of failures.
};

enum class VolunteerState : uint8_t { kSpare, kLoading, kReady };

struct Volunteer {
  std::string executor;
  uint64_t memory_bytes = 0;
  uint64_t memory_usable = 0;  // Less than it offered after it ran out of memory.
  VolunteerState state = VolunteerState::kSpare;
  planner::Span span;
  uint32_t generation = 0;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t tokens_done = 0;  // Tokens that went through its blocks.
  uint32_t failures = 0;
  Micros last_heard = 0;
  Micros last_pinged = 0;
  Micros last_progress = 0;
  Micros excluded_until = 0;  // Not planned with before this time.
};

struct Session {
  std::vector<int32_t> tokens;  // Prompt, then what was generated.
  uint32_t prompt_size = 0;
  uint32_t max_tokens = 0;
  std::vector<int32_t> end_ids;
  wire::Sampling sampling;
  AllowedTokens allowed;
  bool running = false;  // Has a route; otherwise it waits for one, or for KV room.
  Epoch epoch;
  uint32_t restarts = 0;
  Micros waiting_since = 0;
  Micros step_since = 0;   // Last sign of life of the step under way.
  size_t stages_seen = 0;  // Stages that reported on the newest row.

  uint32_t capacity() const { return prompt_size + max_tokens; }
  std::span<const int32_t> generated() const { return std::span(tokens).subspan(prompt_size); }
};

class Swarm {
 public:
  explicit Swarm(Config config);

  std::vector<Effect> Handle(const Event& event, Micros now);

  // kUnavailable unless a new session would be started at once; says what is missing.
  Status Availability(Micros now) const;
  // Whether `from` may send frames to `to` on a route in use.
  bool MayRelay(NodeId from, NodeId to) const;
  // Every stage of the plan has been loaded.
  bool RouteReady() const;

  const Config& config() const { return config_; }
  const planner::Plan& plan() const { return plan_; }
  const std::map<NodeId, Volunteer>& volunteers() const { return volunteers_; }
  const std::map<SessionId, Session>& sessions() const { return sessions_; }
  // Bytes of weights that nobody holds, or that no volunteer's memory has room for.
  uint64_t MissingBytes() const;
  // Over the last ten seconds.
  double TokensPerSecond(Micros now) const;
  // A hash of the state: equal after the same events.
  uint64_t Fingerprint() const;

 private:
  using Effects = std::vector<Effect>;

  void On(const VolunteerJoined& event, Micros now, Effects& out);
  void On(const VolunteerLeft& event, Micros now, Effects& out);
  void On(const VolunteerHeard& event, Micros now, Effects& out);
  void On(const StageProgress& event, Micros now, Effects& out);
  void On(const StageFailed& event, Micros now, Effects& out);
  void On(const SessionOpened& event, Micros now, Effects& out);
  void On(const SessionCancelled& event, Micros now, Effects& out);
  void On(const TokenCame& event, Micros now, Effects& out);
  void On(const StepReported& event, Micros now, Effects& out);
  void On(const StepFailed& event, Micros now, Effects& out);
  void On(const Tick& event, Micros now, Effects& out);

  // membership.cc
  void Replan(NodeId lost, Micros now, Effects& out);
  void AdoptPlan(planner::Plan plan, Micros now, Effects& out);
  void Forget(NodeId node, const std::string& reason, Micros now, Effects& out);
  void CheckHeartbeats(Micros now, Effects& out);
  std::vector<planner::Device> UsableDevices(Micros now) const;
  planner::Limits PlanLimits(uint32_t stages_min) const;
  bool InPlan(NodeId node) const;

  // sessions.cc
  void StartWaiting(Micros now, Effects& out);
  void StartSession(SessionId id, Session& session, Micros now, Effects& out);
  void SuspendSessions(Micros now, Effects& out);
  void SendRows(SessionId id, Session& session, uint32_t from, Micros now, Effects& out);
  void RestartSession(SessionId id, Session& session, const Error& why, Micros now, Effects& out);
  void EndSession(SessionId id, Effects& out);
  void CheckSessions(Micros now, Effects& out);
  uint64_t KvPositionsUsed() const;
  uint64_t KvPositionsMax() const;

  Config config_;
  planner::Plan plan_;
  std::map<NodeId, Volunteer> volunteers_;
  std::map<SessionId, Session> sessions_;
  std::deque<SessionId> waiting_;  // In order of arrival.
  std::deque<Micros> token_times_;
  uint32_t next_generation_ = 1;
  uint32_t next_epoch_ = 1;
  uint64_t next_ping_ = 1;
};

}  // namespace shoal::swarm
