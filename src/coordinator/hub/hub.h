// The hub runs the swarm: it turns sockets' frames and the clock into the swarm's events, and the
// swarm's effects into frames, assignments and answers. It decides nothing itself.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/ids.h"
#include "coordinator/gate/secret.h"
#include "coordinator/generator.h"
#include "coordinator/hub/stage_library.h"
#include "coordinator/hub/trace.h"
#include "coordinator/hub/volunteer_link.h"
#include "net/event_loop.h"
#include "net/http.h"
#include "store/journal.h"
#include "swarm/swarm.h"

namespace shoal {

class Hub final : public Generator, private LinkOwner {
 public:
  struct Options {
    swarm::Config swarm;
    std::vector<store::StageVariant> forms = {{}};  // By the numbers that the swarm gives them.
    size_t volunteers_max = 1024;
    size_t frame_bytes_max = wire::kLimits.frame_bytes;  // Of one frame from a volunteer.
    std::optional<Secret> join_secret;                   // What a hello must carry.
    store::Journal* journal = nullptr;  // What outlives this process; null: nothing does.
    uint64_t first_session = 1;  // Session ids count from here; random, so that none is guessed.
  };

  // `loop` and `library` must outlive the hub.
  Hub(net::EventLoop& loop, StageLibrary& library, Trace trace, Options options);
  ~Hub() override;
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // Answers a WebSocket handshake of a volunteer, whose origin the caller has judged.
  void AcceptVolunteer(const net::Request& request, net::Responder responder);

  // Generator.
  Result<SessionId> Start(GenerationRequest request,
                          std::function<void(GenerationEvent)> on_event) override;
  void Cancel(SessionId session) override;
  Status Availability() const override;

  // Accepts no more generations or volunteers; calls `on_idle` once when no session is left, or
  // after `limit`.
  void Drain(Micros limit, std::function<void()> on_idle);
  // Says goodbye to every volunteer.
  void Close();

  const swarm::Swarm& swarm() const { return swarm_; }
  const VolunteerLink* FindLink(NodeId node) const;
  Micros Now() const { return loop_.NowUs(); }

 private:
  // LinkOwner.
  void OnProfile(NodeId node, const wire::Profile& profile) override;
  void OnFrame(NodeId node, wire::Body body) override;
  void OnRelay(NodeId node, NodeId to, wire::Kind kind, std::shared_ptr<ByteVector> frame) override;
  void OnAlive(NodeId node, Micros round_trip) override;
  void OnGone(NodeId node, const std::string& why) override;

  // Queues an event; events are handled one after the other, never nested.
  void Feed(swarm::Event event);
  void Apply(swarm::AssignSpan& effect);
  void Apply(swarm::AssignExperts& effect);
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
  void Finish(SessionId session, GenerationEvent event);
  void HandleError(NodeId node, const wire::ErrorFrame& error);
  void SendAssign(NodeId node, uint32_t generation, Result<wire::Assign> prepared);
  VolunteerLink* Link(NodeId node);
  void RemoveLink(NodeId node);
  void Record();
  std::vector<std::vector<uint64_t>> CachedBytes(const std::vector<wire::Sha256>& files) const;
  // Sockets that open and say nothing hold no place for long.
  void DropSilentNewcomers();

  net::EventLoop& loop_;
  StageLibrary& library_;
  Trace trace_;
  const Options options_;
  swarm::Swarm swarm_;
  net::Timer tick_;
  std::map<NodeId, std::unique_ptr<VolunteerLink>> links_;
  std::unordered_map<SessionId, std::function<void(GenerationEvent)>> listeners_;
  std::deque<swarm::Event> events_;
  bool handling_ = false;
  uint32_t next_node_ = 1;
  uint64_t next_session_;
  std::function<void()> on_idle_;
  std::unique_ptr<net::Timer> drain_limit_;
  bool draining_ = false;
};

}  // namespace shoal
