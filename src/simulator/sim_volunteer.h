// A simulated volunteer: it speaks the protocol (docs/protocol.md), loads what it is assigned, runs
// one step at a time, and keeps KV caches and the inputs that it passed on. Its "blocks" are those
// of toy_model.h.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "planner/plan.h"
#include "simulator/observer.h"
#include "simulator/plants.h"
#include "simulator/timeline.h"
#include "wire/frames.h"

namespace shoal::simulator {

// Locations of weights that lie with a volunteer.
using CachedFiles = std::set<std::string>;

struct VolunteerTraits {
  uint64_t memory_bytes = 0;
  uint64_t expert_bytes = 0;           // Of one group of experts.
  uint64_t kv_bytes_per_position = 0;  // Of one block.
  uint32_t blocks = 0;                 // Of the whole model.
  uint32_t chunk_rows = 0;
  Micros block_row = 500;  // One row in one block.
  Micros fixed = 500;      // Of any step.
  double load_bytes_per_second = 1e7;
  double load_failures = 0;
  double step_failures = 0;
  CachedFiles cached;  // It need not load these.
};

class SimVolunteer {
 public:
  using Send = std::function<void(NodeId to, wire::Body body)>;

  SimVolunteer(NodeId node, VolunteerTraits traits, Timeline& timeline, Random random,
               Observer& observer, Plant plant, Send send);
  ~SimVolunteer();
  SimVolunteer(const SimVolunteer&) = delete;
  SimVolunteer& operator=(const SimVolunteer&) = delete;

  NodeId node() const { return node_; }
  const VolunteerTraits& traits() const { return traits_; }
  planner::Span span() const { return span_; }
  size_t session_count() const { return sessions_.size(); }

  // A frame from `from`; the volunteer of a stopped process sees it when it wakes.
  void Receive(NodeId from, wire::Body body);
  void Freeze() { frozen_ = true; }
  void Thaw();
  bool frozen() const { return frozen_; }
  // From now on it takes so many times as long for everything.
  void SetSlowness(int factor) { slowness_ = factor; }

 private:
  struct Session {
    Epoch epoch;
    NodeId next;
    uint32_t capacity = 0;
    bool cancelled = false;
    bool failed = false;  // A step of this epoch did: what follows it cannot fit.
    // By block of the span and position: the toy model's cache.
    std::vector<std::vector<uint64_t>> cache;
    std::vector<uint64_t> outputs;  // What it computed, by position, kept for replays ...
    uint32_t outputs_from = 0;      // ... from here on: KV that was imported came without.
    uint32_t held = 0;              // Positions.
    uint32_t stale = 0;             // Plant::kStaleKv: positions that should have been forgotten.
  };

  void Do(std::function<void()> what);  // Now, or on waking.
  void After(Micros delay, std::function<void()> what);

  void On(NodeId from, wire::Assign& assign);
  void On(NodeId from, wire::Open& open);
  void On(NodeId from, wire::Step& step);
  void On(NodeId from, wire::Cancel& cancel);
  void On(NodeId from, wire::Release& release);
  void On(NodeId from, wire::Rollback& rollback);
  void On(NodeId from, wire::Replay& replay);
  void On(NodeId from, wire::KvExport& request);
  void On(NodeId from, wire::KvImport& import);
  void On(NodeId from, wire::KvCopy& copy);
  void On(NodeId from, wire::Ping& ping);
  void On(NodeId from, wire::ExpertRows& rows);
  void On(NodeId from, wire::ExpertTable& table);
  void On(NodeId from, wire::ExpertSums& sums);
  void On(NodeId from, wire::ExpertRefusal& refusal);
  template <typename T>
  void On(NodeId, T&) {}

  // Rows of one session in a step: [first, first + count).
  struct Group {
    SessionId session;
    Epoch epoch;
    size_t first = 0, count = 0;
    uint32_t position = 0;
    std::vector<uint64_t> outputs;
  };
  // A step whose results wait until experts elsewhere have answered, layer by layer.
  struct Divided {
    wire::Step step;
    std::vector<Group> groups;
    size_t layer = 0;                    // Of the stage's divided ones.
    std::map<uint32_t, uint64_t> asked;  // Groups of that layer by request; 0: of nobody yet.
    // By request: whom, under which assignment of theirs.
    std::map<uint64_t, std::pair<NodeId, uint32_t>> holder_of;
  };

  struct Work {
    std::function<Micros()> start;  // Gives the time that it takes.
    std::function<void()> finish;
  };
  void LoadOn(uint32_t generation, uint64_t done, uint64_t total);
  void Queue(Work work);
  void QueueNow(std::function<void()> what);  // In its turn, taking no time.
  void StartNext();
  std::vector<Group> RunGroups(const wire::Step& step);
  bool Admit(const Group& group);
  uint64_t RunRow(Session& session, uint64_t input);
  void SendResults(const wire::Step& step, const std::vector<Group>& groups);
  void Truncate(SessionId id, Epoch epoch, uint32_t length);
  const Session* SourceOf(const wire::KvCopy& copy) const;
  void Fail(SessionId session, Epoch epoch, Code code, std::string detail);
  void StartDivided(wire::Step step, std::vector<Group> groups);
  void AskLayer(Divided& divided);
  void AskAgain(Divided& divided);
  void Answered(NodeId from, uint64_t request, bool done);
  void SendDivided();
  HeldKv Held(SessionId id, const Session& session) const;
  void DropSessions();
  uint64_t MemoryUsed() const;
  bool IsHead() const { return span_.last == traits_.blocks; }

  NodeId node_;
  VolunteerTraits traits_;
  Timeline& timeline_;
  Random random_;
  Observer& observer_;
  Plant plant_;
  Send send_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  planner::Span span_;
  wire::Assign assign_;
  wire::ExpertTable table_;
  std::deque<std::shared_ptr<Divided>> divided_;  // In the order of their running.
  uint64_t next_request_ = 1;
  uint32_t generation_ = 0;
  bool loaded_ = false;
  std::map<SessionId, Session> sessions_;
  // Released, until what was queued before that has been done. Of one session the oldest is first.
  std::multimap<SessionId, Session> closing_;
  std::deque<Work> work_;
  bool busy_ = false;
  bool frozen_ = false;
  int slowness_ = 1;
  std::deque<std::function<void()>> missed_;  // While frozen.
};

}  // namespace shoal::simulator
