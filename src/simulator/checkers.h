// What must hold in every world, whatever happened to it. Checkers know the truth (observer.h) and
// the reference model, and nothing of the faults; the first violation of each kind is kept.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "simulator/observer.h"
#include "simulator/toy_model.h"

namespace shoal::simulator {

struct Violation {
  Micros when = 0;
  std::string rule;  // "token", "owner", "memory", ...
  std::string what;
};

class Checkers final : public Observer {
 public:
  // `blocks` of the model; `now` tells the time.
  Checkers(uint32_t blocks, std::function<Micros()> now) : blocks_(blocks), now_(std::move(now)) {}

  void Opened(const HeldKv& kv) override;
  void Closed(NodeId node, SessionId session) override;
  void MemoryUsed(NodeId node, uint64_t bytes, uint64_t budget) override;
  void Computed(const HeldKv& kv, uint32_t position, uint32_t rows) override;
  void ExpertsComputed(NodeId node, uint64_t group_rows) override;
  void Sampled(const HeldKv& kv, uint32_t position) override;
  void OutOfPlace(const HeldKv& kv, uint32_t position, uint32_t held) override;
  void Misdirected(NodeId node, std::string_view what) override;
  void Asked(SessionId session, uint32_t client, const std::vector<int32_t>& prompt,
             uint32_t max_tokens) override;
  void Routed(SessionId session, uint32_t from, std::vector<OpenedStage> stages) override;
  void Released(NodeId node, SessionId session) override;
  void Assigned(NodeId node) override;
  void TokenMade(SessionId session, uint32_t position, int32_t token) override;
  void Ended(SessionId session, const Error* error) override;
  void Cancelled(SessionId session) override;
  void Credited(NodeId node, uint64_t block_rows) override;
  void Accused(NodeId node, const Error& error) override;

  // A request under way for so long without a token, while nobody was lost, has been forgotten.
  void CheckProgress(Micros limit);
  // After every request has ended and the frames have arrived.
  // `is_deaf`: the volunteer cannot have heard what it was told lately.
  void CheckRest(const std::function<bool(NodeId)>& is_deaf);
  void Report(std::string rule, std::string what);

  const std::vector<Violation>& violations() const { return violations_; }
  bool AllEnded() const { return running_ == 0; }

 private:
  struct Request {
    std::unique_ptr<ReferenceModel> model;
    uint32_t max_tokens = 0;
    uint32_t next_position = 0;
    int32_t expected = 0;
    uint32_t made = 0;
    bool ended = false;
    Micros since = 0;
    std::vector<OpenedStage> route;
    std::set<NodeId> holders;    // Stages of the route that still hold its KV.
    bool made_on_route = false;  // A token: every stage had all positions before it.
  };

  uint32_t blocks_;
  std::function<Micros()> now_;
  std::map<SessionId, Request> requests_;
  size_t running_ = 0;
  std::map<std::pair<SessionId, NodeId>, HeldKv> held_;
  std::map<SessionId, std::pair<uint32_t, HeldKv>> sampled_;  // The newest position, and where.
  std::map<NodeId, uint64_t> computed_, credited_;            // Rows times blocks.
  std::vector<Violation> violations_;
  std::set<std::string> rules_;  // Already violated.
};

}  // namespace shoal::simulator
