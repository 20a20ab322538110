#include "simulator/world.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "simulator/toy_model.h"
#include "wire/codec.h"

namespace shoal::simulator {

namespace {

constexpr double kBytesPerMbit = 125'000;
constexpr uint64_t kMb = 1'000'000;
// Less than a run waits at its end: what is kept then has been forgotten.
constexpr Micros kRetainedFor = 12 * kSecond;

// The sets of weights, and executors as the swarm knows them: the first is as fast with either set,
// byte for byte; the second faster with the wide one.
constexpr const char* kNarrow = "q4";
constexpr const char* kWide = "f32";
constexpr const char* kExecutor = "toy";
constexpr const char* kWideExecutor = "ort-wasm";

uint64_t WideBytes(const Scenario& scenario) {
  return static_cast<uint64_t>(scenario.wide_block_mb * kMb);
}

// A person's device is the same whenever it comes.
const char* ExecutorOf(const Scenario& scenario, uint64_t identity) {
  Random device(identity);
  return device.NextDouble() < scenario.wide_volunteers ? kWideExecutor : kExecutor;
}

// A block's weights in a form, as a file.
std::string FileOf(uint32_t form, uint32_t block) {
  return StrCat("form ", form, " block ", block);
}

swarm::Config ConfigOf(const Scenario& scenario) {
  swarm::Config config;
  planner::BlockCost block{.weight_bytes = static_cast<uint64_t>(scenario.block_mb * kMb),
                           .kv_bytes_per_position = scenario.kv_bytes_per_position,
                           .flops_per_token = 1,
                           .hidden_bytes = 4 * kHiddenWidth};
  config.blocks.assign(scenario.blocks, block);
  for (uint32_t b = 1; b + 1 < scenario.blocks && scenario.expert_groups > 0; ++b) {
    const auto group_bytes = static_cast<uint64_t>(scenario.expert_mb * kMb);
    config.mixtures.push_back({.block = b,
                               .own = block,
                               .group_bytes = std::vector(scenario.expert_groups, group_bytes),
                               .chosen = 1,
                               .flops_per_expert = 1,
                               .experts_per_group = 1});
    config.blocks[b].weight_bytes += group_bytes * scenario.expert_groups;
  }
  config.weights = kNarrow;
  if (scenario.wide_block_mb > 0) {
    swarm::Form wide{.weights = kWide, .blocks = config.blocks};
    for (planner::BlockCost& cost : wide.blocks) cost.weight_bytes = WideBytes(scenario);
    config.other_forms.push_back(std::move(wide));
  }
  config.expert_holders = scenario.expert_holders;
  config.vocab = kVocab;
  config.hidden = kHiddenWidth;
  config.positions = scenario.positions;
  config.stages_min = scenario.stages_min;
  config.chunk_rows = scenario.chunk_rows;
  config.overhead_bytes = 0;
  config.retained_for = kRetainedFor;
  return config;
}

Micros Ms(double ms) { return static_cast<Micros>(ms * kMillisecond); }

}  // namespace

void Counters::Add(const Counters& other) {
  sessions += other.sessions;
  finished += other.finished;
  failed += other.failed;
  tokens += other.tokens;
  losses += other.losses;
  rebuilds += other.rebuilds;
  positions_replayed += other.positions_replayed;
  bytes_loaded += other.bytes_loaded;
  bytes_relayed += other.bytes_relayed;
  bytes_handed_over += other.bytes_handed_over;
  positions_reused += other.positions_reused;
  frames += other.frames;
}

World::World(const Scenario& scenario, uint64_t seed, Plant plant, TraceSink trace)
    : scenario_(scenario),
      plant_(plant),
      trace_(std::move(trace)),
      random_(seed),
      plant_random_(seed ^ 0x9a7),
      checkers_(scenario.blocks, [this] { return timeline_.now(); }),
      swarm_(ConfigOf(scenario)) {}

void World::Trace(const std::string& line) {
  if (!trace_) return;
  trace_(StrCat(timeline_.now() / kMillisecond, " ms  ", line));
}

// --- Volunteers --------------------------------------------------------------------------------

NodeId World::Join(uint64_t identity, CachedFiles cached) {
  const NodeId node{next_node_++};
  const Scenario& s = scenario_;
  const auto block_bytes = static_cast<uint64_t>(s.block_mb * kMb);
  VolunteerTraits traits;
  const double blocks = s.memory_blocks.Draw(random_);
  const double weights = blocks * static_cast<double>(block_bytes) * 1.1;
  const double kv = s.kv_positions.Draw(random_) * blocks * s.kv_bytes_per_position;
  traits.memory_bytes = static_cast<uint64_t>(weights + kv);
  traits.expert_bytes = static_cast<uint64_t>(s.expert_mb * kMb);
  traits.kv_bytes_per_position = s.kv_bytes_per_position;
  traits.blocks = s.blocks;
  traits.chunk_rows = s.chunk_rows;
  traits.block_row = std::max<Micros>(1, Ms(s.block_ms.Draw(random_)));
  traits.fixed = Ms(s.fixed_ms.Draw(random_));
  const double down = s.down_mbit.Draw(random_) * kBytesPerMbit;
  traits.load_bytes_per_second = down;
  traits.load_failures = s.load_failures;
  traits.step_failures = s.step_failures;
  traits.cached = std::move(cached);
  const Micros latency = Ms(s.latency_ms.Draw(random_));
  const Micros jitter = Ms(s.jitter_ms.Draw(random_));
  const double loss = s.loss.Draw(random_);
  Seat seat{nullptr, Link({latency, jitter, s.up_mbit.Draw(random_) * kBytesPerMbit, loss}),
            Link({latency, jitter, down, loss})};
  seat.identity = identity != 0 ? identity : next_identity_++;
  const uint64_t memory = traits.memory_bytes;
  seat.volunteer = std::make_unique<SimVolunteer>(
      node, std::move(traits), timeline_, Random(random_.NextU64()), checkers_, plant_,
      [this, node](NodeId to, wire::Body body) { SendUp(node, to, std::move(body)); });
  seats_.insert_or_assign(node, std::move(seat));
  Trace(StrCat("volunteer ", node.value, " joins with ", memory / kMb, " MB"));
  timeline_.After(latency, [this, node, memory] {
    const auto at = seats_.find(node);
    if (at == seats_.end() || !at->second.connected || !at->second.volunteer) return;
    swarm::VolunteerJoined joined{node,
                                  ExecutorOf(scenario_, at->second.identity),
                                  memory,
                                  {},
                                  StrCat("person ", at->second.identity)};
    const CachedFiles& files = at->second.volunteer->traits().cached;
    for (uint32_t form = 0; form <= swarm_.config().other_forms.size(); ++form) {
      std::vector<uint64_t>& bytes = joined.cached_bytes.emplace_back(scenario_.blocks, 0);
      for (uint32_t b = 0; b < scenario_.blocks; ++b) {
        if (files.contains(FileOf(form, b))) bytes[b] = BlockBytes(form);
      }
    }
    Feed(std::move(joined));
  });
  return node;
}

void World::Lose(NodeId node, Micros notice, const std::string& why) {
  const auto at = seats_.find(node);
  if (at == seats_.end() || !at->second.volunteer) return;
  Trace(StrCat("volunteer ", node.value, " is lost: ", why, InUse(node) ? " (in use)" : ""));
  if (InUse(node)) ++counters_.losses;
  at->second.volunteer.reset();
  timeline_.After(notice, [this, node, why] { Disconnect(node, why); });
}

void World::Leave(NodeId node, Micros patience) {
  const auto at = seats_.find(node);
  if (at == seats_.end() || !at->second.volunteer) return;
  Trace(StrCat("volunteer ", node.value, " says that it leaves"));
  SendUp(node, kCoordinator, wire::Leave{.reason = "closing"});
  timeline_.After(patience, [this, node] { Lose(node, 0, "it left"); });
}

void World::Disconnect(NodeId node, const std::string& why) {
  const auto at = seats_.find(node);
  if (at == seats_.end() || !at->second.connected) return;
  at->second.connected = false;
  Feed(swarm::VolunteerLeft{node, why});
  seats_.erase(node);
}

bool World::InUse(NodeId node) const { return swarm_.InUse(node); }

// --- Frames ------------------------------------------------------------------------------------

void World::SendUp(NodeId from, NodeId to, wire::Body body) {
  const auto at = seats_.find(from);
  if (at == seats_.end()) return;
  if (const auto* ready = std::get_if<wire::Ready>(&body); ready != nullptr && ready->done) {
    counters_.bytes_loaded += ready->bytes_fetched;
  }
  auto frame = std::make_shared<ByteVector>(
      wire::Encode(wire::Frame{.to = to, .from = from, .body = std::move(body)}));
  const Micros arrives = at->second.up.Arrival(now(), frame->size(), random_);
  timeline_.At(arrives, [this, from, frame] { Arrived(from, frame); });
}

void World::SendDown(NodeId to, std::shared_ptr<const ByteVector> frame) {
  const auto at = seats_.find(to);
  if (at == seats_.end() || !at->second.connected) return;
  ++counters_.frames;
  const Micros arrives = at->second.down.Arrival(now(), frame->size(), random_);
  timeline_.At(arrives, [this, to, frame] {
    const auto seat = seats_.find(to);
    if (seat == seats_.end() || !seat->second.volunteer) return;
    Result<wire::Frame> decoded = wire::Decode(*frame);
    CHECK(decoded.has_value());
    seat->second.volunteer->Receive(decoded->from, std::move(decoded->body));
  });
}

void World::Arrived(NodeId from, std::shared_ptr<ByteVector> frame) {
  const auto at = seats_.find(from);
  if (at == seats_.end() || !at->second.connected) return;
  const Result<wire::Header> header = wire::DecodeHeader(*frame);
  CHECK(header.has_value());
  wire::StampFrom(*frame, from);
  Result<wire::Frame> decoded = wire::Decode(*frame);
  CHECK(decoded.has_value());
  if (plant_ == Plant::kAcceptOldEpoch) ForgetEpochs(decoded->body);
  Micros round_trip = 0;
  if (const auto* ping = std::get_if<wire::Ping>(&decoded->body)) {
    if (const auto sent = at->second.pings.extract(ping->nonce)) round_trip = now() - sent.mapped();
  }
  Feed(swarm::VolunteerHeard{from, round_trip});
  if (header->kind == wire::Kind::kExpertRows || header->kind == wire::Kind::kExpertSums ||
      header->kind == wire::Kind::kExpertRefusal) {
    if (swarm_.MayExchange(from, header->to)) SendDown(header->to, frame);
    return;
  }
  if (header->to != kCoordinator) {
    if (const auto* kv = std::get_if<wire::KvImport>(&decoded->body)) {
      Feed(swarm::KvPassed{from, header->to, kv->session, kv->epoch, kv->block, kv->from, kv->to,
                           frame});
      return;
    }
    auto step = std::make_shared<wire::Step>(std::get<wire::Step>(std::move(decoded->body)));
    Feed(swarm::StepPassed{from, header->to, std::move(step), frame});
    return;
  }
  OnFrame(from, std::move(decoded->body));
}

// Plant::kAcceptOldEpoch: whatever comes counts as of the present epoch.
void World::ForgetEpochs(wire::Body& body) const {
  const auto renew = [&](SessionId id, Epoch& epoch) {
    const auto at = swarm_.sessions().find(id);
    if (at != swarm_.sessions().end()) epoch = at->second.epoch;
  };
  if (auto* token = std::get_if<wire::Token>(&body)) renew(token->session, token->epoch);
  if (auto* step = std::get_if<wire::Step>(&body)) {
    for (wire::Row& row : step->rows) renew(row.session, row.epoch);
  }
}

void World::OnFrame(NodeId from, wire::Body body) {
  if (auto* token = std::get_if<wire::Token>(&body)) {
    Feed(swarm::TokenCame{from, std::move(*token)});
  } else if (const auto* report = std::get_if<wire::Report>(&body)) {
    Feed(swarm::StepReported{from, *report});
  } else if (const auto* ready = std::get_if<wire::Ready>(&body)) {
    Feed(swarm::StageProgress{from, *ready});
  } else if (auto* usage = std::get_if<wire::ExpertUsage>(&body)) {
    Feed(swarm::ExpertsUsed{from, std::move(*usage)});
  } else if (auto* error = std::get_if<wire::ErrorFrame>(&body)) {
    Error reason{static_cast<Code>(error->code), std::move(error->detail)};
    Trace(StrCat("volunteer ", from.value, ", session ", error->session.value, ": ",
                 reason.ToString()));
    if (error->generation != 0) {
      Feed(swarm::StageFailed{from, error->generation, std::move(reason)});
    } else if (error->session.value != 0) {
      Feed(swarm::StepFailed{from, error->session, error->epoch, std::move(reason)});
    }
  } else if (std::holds_alternative<wire::Leave>(body)) {
    if (InUse(from)) ++counters_.losses;
    Feed(swarm::VolunteerLeaving{from, "closing"});
  }
}

// --- Clients -----------------------------------------------------------------------------------

void World::Ask(SessionId session, uint32_t client, std::vector<int32_t> prompt,
                uint32_t max_tokens) {
  ++counters_.sessions;
  checkers_.Asked(session, client, prompt, max_tokens);
  Trace(StrCat("session ", session.value, " asks: ", prompt.size(), " + ", max_tokens));
  Feed(swarm::SessionOpened{
      session, std::move(prompt), max_tokens, {}, {}, {}, StrCat("client ", client)});
}

void World::Cancel(SessionId session) {
  if (!swarm_.sessions().contains(session)) return;
  Trace(StrCat("session ", session.value, " is cancelled"));
  checkers_.Cancelled(session);
  Feed(swarm::SessionCancelled{session});
}

void World::Tick() { Feed(swarm::Tick{}); }

// --- The swarm ---------------------------------------------------------------------------------

void World::Feed(swarm::Event event) {
  events_.push_back(std::move(event));
  if (handling_) return;
  handling_ = true;
  while (!events_.empty()) {
    swarm::Event next = std::move(events_.front());
    events_.pop_front();
    std::vector<swarm::Effect> effects = swarm_.Handle(next, now());
    log_.emplace_back(std::move(next), now());
    for (swarm::Effect& effect : effects) {
      std::visit([this](auto& concrete) { Apply(concrete); }, effect);
    }
  }
  handling_ = false;
}

void World::CheckReplay() {
  swarm::Swarm again(swarm_.config());
  for (const auto& [event, when] : log_) again.Handle(event, when);
  if (again.Fingerprint() != swarm_.Fingerprint()) {
    checkers_.Report("replay", "the log of events makes another state than the live one");
  }
}

void World::Apply(swarm::AssignSpan& effect) {
  Trace(StrCat("assign ", effect.node.value, " [", effect.span.first, ", ", effect.span.last,
               ") generation ", effect.generation));
  checkers_.Assigned(effect.node);
  wire::Assign assign = Outline(effect.generation);
  assign.first = effect.span.first;
  assign.last = effect.span.last;
  for (uint32_t b = effect.span.first; b < effect.span.last; ++b) {
    assign.weights.push_back(
        {.location = FileOf(effect.form, b), .bytes = BlockBytes(effect.form)});
  }
  for (const uint32_t block : effect.divided) {
    assign.parts.push_back({.block = block, .experts = scenario_.expert_groups});
  }
  SendDown(effect.node, std::make_shared<const ByteVector>(wire::Encode(
                            wire::Frame{.to = effect.node, .body = std::move(assign)})));
}

uint64_t World::BlockBytes(uint32_t form) const {
  return form == 0 ? static_cast<uint64_t>(scenario_.block_mb * kMb) : WideBytes(scenario_);
}

wire::Assign World::Outline(uint32_t generation) const {
  return {.generation = generation,
          .hidden = kHiddenWidth,
          .vocab = kVocab,
          .positions = scenario_.positions,
          .max_rows = scenario_.chunk_rows};
}

void World::Apply(swarm::AssignExperts& effect) {
  Trace(StrCat("assign ", effect.node.value, " ", effect.slots.size(),
               " groups of experts, generation ", effect.generation));
  checkers_.Assigned(effect.node);
  wire::Assign assign = Outline(effect.generation);
  for (const planner::ExpertSlot& slot : effect.slots) {
    if (assign.experts.empty() || assign.experts.back().block != slot.block) {
      assign.experts.push_back({.block = slot.block, .experts = scenario_.expert_groups});
    }
    assign.experts.back().groups.push_back({slot.group, slot.group, 1});
  }
  SendDown(effect.node, std::make_shared<const ByteVector>(wire::Encode(
                            wire::Frame{.to = effect.node, .body = std::move(assign)})));
}

int World::Copies(const wire::Body& body) {
  const auto often = [&](uint64_t one_in) { return plant_random_.Below(one_in) == 0; };
  if (const auto* step = std::get_if<wire::Step>(&body)) {
    const bool is_replay = (step->rows.front().flags & wire::Row::kReplay) != 0;
    const bool wants = (step->rows.back().flags & wire::Row::kWantToken) != 0;
    if (plant_ == Plant::kDropRebuild && is_replay && often(2)) return 0;
    if (plant_ == Plant::kDoubleSend && often(40)) return 2;
    if (plant_ == Plant::kLoseChunk && step->rows.size() > 1 && !wants && often(10)) return 0;
  }
  if (std::holds_alternative<wire::Replay>(body) && plant_ == Plant::kDropRebuild && often(2)) {
    return 0;
  }
  if (std::holds_alternative<wire::Release>(body) && plant_ == Plant::kForgetLease && often(4)) {
    return 0;
  }
  return 1;
}

void World::Apply(swarm::SendBody& effect) {
  if (const auto* open = std::get_if<wire::Open>(&effect.body)) {
    Trace(StrCat("open ", effect.to.value, " session ", open->session.value, " epoch ",
                 open->epoch.value, " next ", open->next.value, " keep ", open->keep));
  }
  if (const auto* release = std::get_if<wire::Release>(&effect.body)) {
    Trace(StrCat("release ", effect.to.value, " session ", release->session.value));
    checkers_.Released(effect.to, release->session);
  }
  if (const auto* copy = std::get_if<wire::KvCopy>(&effect.body)) {
    Trace(StrCat("copy ", effect.to.value, " session ", copy->session.value, " from session ",
                 copy->source.value, " positions ", copy->positions));
  }
  if (const auto* ping = std::get_if<wire::Ping>(&effect.body)) {
    if (const auto at = seats_.find(effect.to); at != seats_.end()) {
      at->second.pings[ping->nonce] = now();
    }
  }
  const int copies = plant_ == Plant::kNone ? 1 : Copies(effect.body);
  if (copies == 0) return;
  const auto frame = std::make_shared<const ByteVector>(
      wire::Encode(wire::Frame{.to = effect.to, .body = std::move(effect.body)}));
  for (int i = 0; i < copies; ++i) SendDown(effect.to, frame);
}

void World::Apply(swarm::LetGo& effect) {
  Trace(StrCat("volunteer ", effect.node.value, " is let go"));
  SendDown(effect.node, std::make_shared<const ByteVector>(wire::Encode(wire::Frame{
                            .to = effect.node, .body = wire::Bye{.reason = "thank you"}})));
  timeline_.After(0, [this, node = effect.node] { Disconnect(node, "it said goodbye"); });
}

void World::Apply(swarm::PassOn& effect) {
  const Result<wire::Header> header = wire::DecodeHeader(*effect.frame);
  CHECK(header.has_value());
  if (header->kind == wire::Kind::kKvImport) {
    counters_.bytes_handed_over += effect.frame->size();
    if (plant_ == Plant::kLoseKv && plant_random_.Below(4) == 0) return;
  }
  counters_.bytes_relayed += effect.frame->size();
  SendDown(effect.to, effect.frame);
}

void World::Apply(swarm::SessionRouted& effect) {
  if (!routed_.insert(effect.session).second) ++counters_.rebuilds;
  std::vector<OpenedStage> stages;
  for (const swarm::RouteStage& stage : effect.stages) {
    stages.push_back({stage.node, stage.span, stage.kept});
    const uint32_t there = std::min(stage.kept + stage.copied, effect.from);
    counters_.positions_replayed += uint64_t{effect.from - there} * stage.span.size();
  }
  checkers_.Routed(effect.session, effect.from, std::move(stages));
  Trace(StrCat("session ", effect.session.value, " goes on from ", effect.from));
}

void World::Apply(swarm::StepCredited& effect) {
  checkers_.Credited(effect.node, effect.block_rows);
  if (plant_ == Plant::kCreditTwice && plant_random_.Below(20) == 0) {
    checkers_.Credited(effect.node, effect.block_rows);
  }
}

void World::Apply(swarm::TokenMade& effect) {
  ++counters_.tokens;
  checkers_.TokenMade(effect.session, effect.token.position, effect.token.token);
}

void World::Apply(swarm::SessionFinished& effect) {
  ++counters_.finished;
  Trace(StrCat("session ", effect.session.value, " is done"));
  checkers_.Ended(effect.session, nullptr);
}

void World::Apply(swarm::SessionFailed& effect) {
  ++counters_.failed;
  Trace(StrCat("session ", effect.session.value, " fails: ", effect.error.ToString()));
  checkers_.Ended(effect.session, &effect.error);
}

void World::Apply(swarm::DropVolunteer& effect) {
  Trace(StrCat("volunteer ", effect.node.value, " is dropped: ", effect.reason.ToString()));
  checkers_.Accused(effect.node, effect.reason);
  const auto at = seats_.find(effect.node);
  if (at == seats_.end()) return;
  if (InUse(effect.node)) ++counters_.losses;
  at->second.connected = false;
  // It finds its socket closed, and may come back as somebody new.
  CachedFiles cached;
  const uint64_t identity = at->second.identity;
  if (at->second.volunteer) cached = at->second.volunteer->traits().cached;
  const bool lives = at->second.volunteer != nullptr && !at->second.volunteer->frozen();
  timeline_.After(0, [this, node = effect.node] { seats_.erase(node); });
  if (lives) timeline_.After(kSecond, [this, identity, cached] { Join(identity, cached); });
}

void World::Apply(swarm::Note& effect) { Trace(effect.what); }

}  // namespace shoal::simulator
