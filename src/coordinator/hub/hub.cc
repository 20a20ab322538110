#include "coordinator/hub/hub.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal {

namespace {
constexpr auto kTickPeriod = std::chrono::milliseconds(250);
// More waiting for one volunteer than this, and it counts as too slow to be of use.
constexpr size_t kQueuedBytesMax = 256u << 20;
// Of a message from somebody who has not been let in.
constexpr size_t kHelloBytesMax = 64u << 10;
constexpr Micros kHandshakeLimit = 20 * kSecond;
constexpr const char* kRetryAfterSeconds = "5";
}  // namespace

Hub::Hub(net::EventLoop& loop, StageLibrary& library, Trace trace, Options options)
    : loop_(loop),
      library_(library),
      trace_(std::move(trace)),
      options_(std::move(options)),
      swarm_(options_.swarm),
      tick_(loop),
      next_session_(options_.first_session) {
  tick_.Every(kTickPeriod, [this] {
    DropSilentNewcomers();
    Feed(swarm::Tick{});
    Record();
  });
}

Hub::~Hub() = default;

VolunteerLink* Hub::Link(NodeId node) {
  const auto at = links_.find(node);
  return at == links_.end() ? nullptr : at->second.get();
}

const VolunteerLink* Hub::FindLink(NodeId node) const {
  const auto at = links_.find(node);
  return at == links_.end() ? nullptr : at->second.get();
}

// A link may be on the call stack: it is destroyed from the loop.
void Hub::RemoveLink(NodeId node) {
  const auto at = links_.find(node);
  if (at == links_.end()) return;
  std::shared_ptr<VolunteerLink> link = std::move(at->second);
  links_.erase(at);
  loop_.Post([link] {});
}

// --- Volunteers --------------------------------------------------------------------------------

void Hub::AcceptVolunteer(const net::Request& request, net::Responder responder) {
  if (!request.wants_websocket) {
    responder.Send(net::TextResponse(426, "This address is for volunteers' WebSockets.\n"));
    return;
  }
  if (draining_ || links_.size() >= options_.volunteers_max) {
    net::Response response = net::TextResponse(
        503, draining_ ? "The coordinator is stopping.\n" : "There are too many volunteers.\n");
    response.headers.Set("Retry-After", kRetryAfterSeconds);
    return responder.Send(std::move(response));
  }
  const NodeId node{next_node_++};
  auto socket =
      responder.Upgrade({.max_message_bytes = kHelloBytesMax, .max_queued_bytes = kQueuedBytesMax});
  if (!socket) return;
  LinkOwner& owner = *this;
  const LinkRules rules{.join_secret = options_.join_secret ? &*options_.join_secret : nullptr,
                        .frame_bytes_max = options_.frame_bytes_max};
  auto link = std::make_unique<VolunteerLink>(owner, node, std::move(socket), rules, Now());
  VolunteerLink& started = *link;
  links_.emplace(node, std::move(link));
  started.Start();
}

void Hub::DropSilentNewcomers() {
  for (const auto& [node, link] : links_) {
    if (link->is_member() || Now() - link->opened_at() < kHandshakeLimit) continue;
    link->Close({Code::kDeadlineExceeded, StrCat("hello and profile did not come within ",
                                                 kHandshakeLimit / kSecond, " seconds")});
  }
}

void Hub::OnProfile(NodeId node, const wire::Profile& profile) {
  spdlog::info("volunteer {}: {} lends {} with {} threads; {}", node.value, profile.executor,
               FormatSize(profile.memory_bytes), profile.threads, profile.platform);
  trace_.VolunteerJoined(Now(), node, profile.executor, profile.memory_bytes);
  VolunteerLink* link = Link(node);
  if (options_.journal != nullptr && link->block_rows_done == 0) {
    const auto& work = options_.journal->state().work;
    if (const auto at = work.find(link->identity()); at != work.end()) {
      link->block_rows_done = at->second;
    }
  }
  Feed(swarm::VolunteerJoined{node, profile.executor, profile.memory_bytes, profile.measures,
                              link->identity(), CachedBytes(profile.cached)});
}

// By form and block, as the swarm counts them.
std::vector<std::vector<uint64_t>> Hub::CachedBytes(const std::vector<wire::Sha256>& files) const {
  std::vector<std::vector<uint64_t>> bytes;
  for (const store::StageVariant& variant : options_.forms) {
    bytes.push_back(library_.CachedBytes(files, variant.weights));
  }
  return bytes;
}

// What must outlive this process, for the journal.
void Hub::Record() {
  if (options_.journal == nullptr) return;
  std::vector<store::JournalStage> stages;
  const planner::PoolPlan& plan = swarm_.plan();
  for (uint32_t p = 0; p < plan.pipelines.size(); ++p) {
    for (const planner::PlacedSpan& placed : plan.pipelines[p].stages) {
      store::JournalStage& stage = stages.emplace_back(p, placed.span.first, placed.span.last);
      for (const NodeId node : placed.nodes) {
        const VolunteerLink* link = FindLink(node);
        if (link == nullptr) continue;
        stage.holders.push_back(link->identity());
        stage.weights.push_back(swarm_.WeightsOf(swarm_.volunteers().at(node).form));
      }
    }
  }
  // Without a plan the last one is what volunteers still hold.
  if (!stages.empty()) options_.journal->Planned(std::move(stages));
  options_.journal->Flush();
}

void Hub::OnAlive(NodeId node, Micros round_trip) { Feed(swarm::VolunteerHeard{node, round_trip}); }

void Hub::OnGone(NodeId node, const std::string& why) {
  RemoveLink(node);
  trace_.VolunteerLeft(Now(), node);
  Feed(swarm::VolunteerLeft{node, why});
}

void Hub::OnRelay(NodeId node, NodeId to, wire::Kind kind, std::shared_ptr<ByteVector> frame) {
  Feed(swarm::VolunteerHeard{node});
  if (kind == wire::Kind::kExpertRows || kind == wire::Kind::kExpertSums ||
      kind == wire::Kind::kExpertRefusal) {
    // By the header alone: the receiver checks what it is asked, and what it is given.
    VolunteerLink* link = Link(to);
    if (link == nullptr || !swarm_.MayExchange(node, to)) return;
    wire::StampFrom(*frame, node);
    link->Forward(std::move(frame));
    return;
  }
  // A frame that was under way when the route changed is nobody's fault; nor of use to anybody.
  const bool is_known = kind == wire::Kind::kStep || kind == wire::Kind::kKvImport;
  if (!is_known || Link(to) == nullptr) return;
  Result<wire::Frame> decoded = wire::Decode(*frame);
  if (!decoded) {
    if (VolunteerLink* link = Link(node)) link->Close(decoded.error());
    return;
  }
  wire::StampFrom(*frame, node);
  if (const auto* kv = std::get_if<wire::KvImport>(&decoded->body)) {
    return Feed(swarm::KvPassed{node, to, kv->session, kv->epoch, kv->block, kv->from, kv->to,
                                std::move(frame)});
  }
  auto step = std::make_shared<wire::Step>(std::get<wire::Step>(std::move(decoded->body)));
  Feed(swarm::StepPassed{node, to, std::move(step), std::move(frame)});
}

void Hub::OnFrame(NodeId node, wire::Body body) {
  Feed(swarm::VolunteerHeard{node});
  if (auto* token = std::get_if<wire::Token>(&body)) {
    Feed(swarm::TokenCame{node, std::move(*token)});
  } else if (const auto* report = std::get_if<wire::Report>(&body)) {
    VolunteerLink* link = Link(node);
    if (link == nullptr || link->steps_sent.empty()) return;
    trace_.StepDone(Now(), node, link->steps_sent.front(), *report);
    link->steps_sent.pop_front();
    Feed(swarm::StepReported{node, *report});
  } else if (const auto* ready = std::get_if<wire::Ready>(&body)) {
    if (ready->done) trace_.Loaded(Now(), node, *ready);
    Feed(swarm::StageProgress{node, *ready});
  } else if (const auto* error = std::get_if<wire::ErrorFrame>(&body)) {
    HandleError(node, *error);
  } else if (auto* usage = std::get_if<wire::ExpertUsage>(&body)) {
    Feed(swarm::ExpertsUsed{node, std::move(*usage)});
  } else if (std::holds_alternative<wire::Leave>(body)) {
    Feed(swarm::VolunteerLeaving{node, std::get<wire::Leave>(body).reason});
  } else if (VolunteerLink* link = Link(node)) {
    const auto kind = std::visit([](const auto& concrete) { return concrete.kKind; }, body);
    link->Send(wire::ErrorFrame{
        .code = static_cast<uint8_t>(Code::kUnimplemented),
        .detail = StrCat("the coordinator takes no ", wire::KindName(kind), " frames")});
  }
}

void Hub::HandleError(NodeId node, const wire::ErrorFrame& error) {
  Error reason{static_cast<Code>(error.code), error.detail};
  spdlog::warn("volunteer {}: {}", node.value, reason.ToString());
  if (error.generation != 0) {
    Feed(swarm::StageFailed{node, error.generation, std::move(reason)});
  } else if (error.session.value != 0) {
    // Its report will not come: the step has ended here.
    if (VolunteerLink* link = Link(node); link != nullptr && !link->steps_sent.empty()) {
      link->steps_sent.pop_front();
    }
    Feed(swarm::StepFailed{node, error.session, error.epoch, std::move(reason)});
  }
}

// --- Generator ---------------------------------------------------------------------------------

Status Hub::Availability() const {
  if (draining_) return Fail(Code::kUnavailable, "the coordinator is stopping");
  return swarm_.Availability();
}

Result<SessionId> Hub::Start(GenerationRequest request,
                             std::function<void(GenerationEvent)> on_event) {
  CHECK(!request.prompt.empty() && request.max_tokens > 0);
  if (draining_) return Fail(Code::kUnavailable, "the coordinator is stopping");
  RETURN_IF_ERROR(swarm_.Admits(Now()));
  const SessionId session{next_session_++};
  trace_.SessionOpened(Now(), session, request.prompt.size(), request.max_tokens);
  listeners_.emplace(session, std::move(on_event));
  if (options_.journal != nullptr) options_.journal->SessionOpened(session.value);
  Feed(swarm::SessionOpened{session, std::move(request.prompt), request.max_tokens,
                            std::move(request.end_ids), std::move(request.sampling),
                            std::move(request.allowed), std::move(request.client)});
  return session;
}

void Hub::Cancel(SessionId session) {
  if (listeners_.erase(session) == 0) return;
  if (options_.journal != nullptr) options_.journal->SessionEnded(session.value);
  trace_.SessionEnded(Now(), session, "cancelled");
  Feed(swarm::SessionCancelled{session});
}

void Hub::Drain(Micros limit, std::function<void()> on_idle) {
  draining_ = true;
  on_idle_ = std::move(on_idle);
  drain_limit_ = std::make_unique<net::Timer>(loop_);
  const auto finish = [this] {
    if (on_idle_) std::exchange(on_idle_, nullptr)();
  };
  drain_limit_->After(std::chrono::microseconds(listeners_.empty() ? 0 : limit), finish);
}

void Hub::Close() {
  for (auto& [node, link] : links_) link->Send(wire::Bye{.reason = "the coordinator is stopping"});
}

// --- The swarm's effects -----------------------------------------------------------------------

void Hub::Feed(swarm::Event event) {
  events_.push_back(std::move(event));
  if (handling_) return;
  handling_ = true;
  while (!events_.empty()) {
    const swarm::Event next = std::move(events_.front());
    events_.pop_front();
    for (swarm::Effect& effect : swarm_.Handle(next, Now())) {
      std::visit([this](auto& concrete) { Apply(concrete); }, effect);
    }
  }
  handling_ = false;
  if (draining_ && listeners_.empty() && on_idle_) {
    loop_.Post([this] {
      if (on_idle_) std::exchange(on_idle_, nullptr)();
    });
  }
}

void Hub::Apply(swarm::AssignSpan& effect) {
  SendAssign(effect.node, effect.generation,
             effect.span.empty()
                 ? wire::Assign()
                 : library_.Prepare(effect.span, effect.divided, options_.forms[effect.form]));
}

void Hub::Apply(swarm::AssignExperts& effect) {
  SendAssign(effect.node, effect.generation,
             library_.PrepareExperts(effect.slots, options_.forms[effect.form]));
}

void Hub::SendAssign(NodeId node, uint32_t generation, Result<wire::Assign> prepared) {
  VolunteerLink* link = Link(node);
  if (link == nullptr) return;
  if (!prepared) {
    // The pack itself is at fault: no volunteer can help.
    spdlog::error("cannot join what volunteer {} is to hold: {}", node.value,
                  prepared.error().ToString());
    Feed(swarm::StageFailed{node, generation, prepared.error()});
    return;
  }
  wire::Assign assign = *std::move(prepared);
  assign.generation = generation;
  assign.max_rows = swarm_.config().chunk_rows;
  uint64_t bytes = assign.graph.bytes;
  size_t groups = 0;
  for (const wire::StagePart& part : assign.parts) bytes += part.graph.bytes;
  for (const wire::ExpertPart& part : assign.experts) {
    bytes += part.graph.bytes;
    groups += part.groups.size();
  }
  for (const wire::StageFile& file : assign.weights) bytes += file.bytes;
  const planner::Span span{assign.first, assign.last};
  if (groups == 0) {
    const std::string divided =
        assign.parts.empty() ? "" : StrCat(assign.parts.size(), " of them without their experts, ");
    spdlog::info("volunteer {}: blocks [{}, {}), {}{}", node.value, span.first, span.last, divided,
                 FormatSize(bytes));
  } else {
    spdlog::info("volunteer {}: {} groups of experts of {} layers, {}", node.value, groups,
                 assign.experts.size(), FormatSize(bytes));
  }
  trace_.Assigned(Now(), node, generation, span, bytes);
  link->steps_sent.clear();
  link->Send(std::move(assign));
}

void Hub::Apply(swarm::SendBody& effect) {
  VolunteerLink* link = Link(effect.to);
  if (link == nullptr) return;
  if (std::holds_alternative<wire::Step>(effect.body)) link->steps_sent.push_back(Now());
  link->Send(std::move(effect.body));
}

void Hub::Apply(swarm::PassOn& effect) {
  VolunteerLink* link = Link(effect.to);
  if (link == nullptr) return;
  const auto header = wire::DecodeHeader(*effect.frame);
  if (header && header->kind == wire::Kind::kStep) link->steps_sent.push_back(Now());
  link->Forward(std::move(effect.frame));
}

void Hub::Apply(swarm::LetGo& effect) {
  if (VolunteerLink* link = Link(effect.node)) link->Send(wire::Bye{.reason = "thank you"});
}

void Hub::Apply(swarm::SessionRouted& effect) { trace_.SessionRouted(Now(), effect); }

void Hub::Apply(swarm::StepCredited& effect) {
  VolunteerLink* link = Link(effect.node);
  if (link == nullptr) return;
  link->block_rows_done += effect.block_rows;
  if (options_.journal != nullptr) options_.journal->Worked(link->identity(), effect.block_rows);
}

void Hub::Apply(swarm::TokenMade& effect) {
  trace_.TokenMade(Now(), effect.token);
  const auto at = listeners_.find(effect.session);
  if (at == listeners_.end()) return;
  // A copy: the listener may cancel, and so destroy, itself.
  const auto listener = at->second;
  listener(GeneratedToken{effect.token.token, effect.token.logprob, std::move(effect.token.top)});
}

void Hub::Finish(SessionId session, GenerationEvent event) {
  const auto at = listeners_.find(session);
  if (at == listeners_.end()) return;
  const auto listener = std::move(at->second);
  listeners_.erase(at);
  if (options_.journal != nullptr) options_.journal->SessionEnded(session.value);
  listener(std::move(event));
}

void Hub::Apply(swarm::SessionFinished& effect) {
  trace_.SessionEnded(Now(), effect.session, effect.hit_length ? "length" : "stop");
  Finish(effect.session,
         GenerationDone{effect.hit_length ? FinishReason::kLength : FinishReason::kStop});
}

void Hub::Apply(swarm::SessionFailed& effect) {
  spdlog::error("session {} failed: {}", effect.session.value, effect.error.ToString());
  trace_.SessionEnded(Now(), effect.session, effect.error.ToString());
  Finish(effect.session, std::move(effect.error));
}

void Hub::Apply(swarm::DropVolunteer& effect) {
  spdlog::warn("volunteer {}: dropped: {}", effect.node.value, effect.reason.ToString());
  if (VolunteerLink* link = Link(effect.node)) link->Close(effect.reason);
  trace_.VolunteerLeft(Now(), effect.node);
  RemoveLink(effect.node);
}

void Hub::Apply(swarm::Note& effect) { spdlog::info("{}", effect.what); }

}  // namespace shoal
