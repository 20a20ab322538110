// Coordinator, volunteers and the connections between them. What the hub does is done here: frames
// and the clock become the swarm's events, its effects become frames, assignments and answers.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "simulator/checkers.h"
#include "simulator/link.h"
#include "simulator/plants.h"
#include "simulator/scenario.h"
#include "simulator/sim_volunteer.h"
#include "simulator/timeline.h"
#include "swarm/swarm.h"

namespace shoal::simulator {

// What a run counts.
struct Counters {
  uint64_t sessions = 0;
  uint64_t finished = 0;
  uint64_t failed = 0;
  uint64_t tokens = 0;
  uint64_t losses = 0;              // Of volunteers that were in use.
  uint64_t rebuilds = 0;            // Routes of sessions that were replaced.
  uint64_t positions_replayed = 0;  // Times the blocks that computed them again.
  uint64_t bytes_loaded = 0;
  uint64_t bytes_relayed = 0;
  uint64_t bytes_handed_over = 0;  // KV of those who left cleanly.
  uint64_t positions_reused = 0;   // Copied from sessions that began alike, times blocks.
  uint64_t frames = 0;

  void Add(const Counters& other);
};

// A volunteer and its connection.
struct Seat {
  std::unique_ptr<SimVolunteer> volunteer;  // None once it has crashed.
  Link up;
  Link down;
  bool connected = true;             // As the coordinator sees it.
  uint64_t identity = 0;             // Of the person: the same when it comes back.
  std::map<uint64_t, Micros> pings;  // Under way, by nonce.
};

using TraceSink = std::function<void(const std::string& line)>;

class World {
 public:
  World(const Scenario& scenario, uint64_t seed, Plant plant, TraceSink trace);

  const Scenario& scenario() const { return scenario_; }
  Timeline& timeline() { return timeline_; }
  Micros now() const { return timeline_.now(); }
  Random& random() { return random_; }
  Checkers& checkers() { return checkers_; }
  const swarm::Swarm& swarm() const { return swarm_; }
  Counters& counters() { return counters_; }
  std::map<NodeId, Seat>& seats() { return seats_; }
  void Trace(const std::string& line);

  // --- Volunteers ---
  // Somebody comes: a person of this identity (0: a new one), with these blocks cached.
  NodeId Join(uint64_t identity, CachedFiles cached);
  // It is gone; the coordinator notices after `notice`.
  void Lose(NodeId node, Micros notice, const std::string& why);
  // It says that it is closing. Gone when let go, or after `patience`.
  void Leave(NodeId node, Micros patience);
  // Has part in a route.
  bool InUse(NodeId node) const;

  // --- Clients ---
  Status Admits() const { return swarm_.Admits(timeline_.now()); }
  void Ask(SessionId session, uint32_t client, std::vector<int32_t> prompt, uint32_t max_tokens);
  void Cancel(SessionId session);

  void Tick();
  // Feeds the log of events to a swarm made anew and compares.
  void CheckReplay();

 private:
  void SendUp(NodeId from, NodeId to, wire::Body body);
  void SendDown(NodeId to, std::shared_ptr<const ByteVector> frame);
  void Arrived(NodeId from, std::shared_ptr<ByteVector> frame);
  void ForgetEpochs(wire::Body& body) const;
  void OnFrame(NodeId from, wire::Body body);
  void Disconnect(NodeId node, const std::string& why);

  void Feed(swarm::Event event);
  template <typename T>
  void ApplyAny(T& effect);
  void Apply(swarm::AssignSpan& effect);
  void Apply(swarm::AssignExperts& effect);
  uint64_t BlockBytes(uint32_t form) const;
  wire::Assign Outline(uint32_t generation) const;
  void Apply(swarm::SendBody& effect);
  void Apply(swarm::PassOn& effect);
  void Apply(swarm::LetGo& effect);
  void Apply(swarm::SessionRouted& effect);
  void Apply(swarm::StepCredited& effect);
  void Apply(swarm::TokenMade& effect);
  void Apply(swarm::SessionFinished& effect);
  void Apply(swarm::SessionFailed& effect);
  void Apply(swarm::DropVolunteer& effect);
  void Apply(swarm::Note& effect);
  // What a planted bug makes of a frame: 0, 1 or 2 of it.
  int Copies(const wire::Body& body);

  const Scenario scenario_;
  const Plant plant_;
  TraceSink trace_;
  Random random_;
  Random plant_random_;
  Timeline timeline_;
  Checkers checkers_;
  Counters counters_;
  swarm::Swarm swarm_;
  std::map<NodeId, Seat> seats_;
  std::set<SessionId> routed_;
  std::vector<std::pair<swarm::Event, Micros>> log_;
  std::deque<swarm::Event> events_;
  bool handling_ = false;
  uint32_t next_node_ = 1;
  uint64_t next_identity_ = 1;
};

}  // namespace shoal::simulator
