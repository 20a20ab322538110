#include "coordinator/hub/volunteer_link.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "base/str_cat.h"
#include "coordinator/hub/resume_token.h"
#include "store/sha256.h"

namespace shoal {

namespace {

constexpr size_t kNameBytes = 256;  // Of agent, executor and platform.
constexpr size_t kMeasures = 64;
constexpr size_t kCachedBlobs = 1 << 16;

Micros SteadyNow() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

VolunteerLink::VolunteerLink(LinkOwner& owner, NodeId node, std::unique_ptr<net::WebSocket> socket,
                             LinkRules rules, Micros opened_at)
    : owner_(owner),
      node_(node),
      socket_(std::move(socket)),
      rules_(rules),
      opened_at_(opened_at) {}

void VolunteerLink::Start() {
  socket_->Start(
      {.on_open = [] {},
       .on_message = [this](std::shared_ptr<ByteVector> message) { OnMessage(std::move(message)); },
       .on_closed =
           [this](uint16_t code, std::string reason) {
             owner_.OnGone(node_, StrCat("its socket closed (", code, reason.empty() ? "" : ", ",
                                         reason, ")"));
           }});
}

void VolunteerLink::Send(wire::Body body) {
  if (const auto* ping = std::get_if<wire::Ping>(&body); ping != nullptr && !ping->reply) {
    ping_nonce_ = ping->nonce;
    ping_sent_ = SteadyNow();
  }
  Forward(std::make_shared<const ByteVector>(
      wire::Encode(wire::Frame{.to = node_, .from = kCoordinator, .body = std::move(body)})));
}

void VolunteerLink::Forward(std::shared_ptr<const ByteVector> frame) {
  if (!closing_) socket_->Send(std::move(frame));
}

void VolunteerLink::Close(const Error& reason) {
  if (closing_) return;
  Send(wire::ErrorFrame{.code = static_cast<uint8_t>(reason.code), .detail = reason.detail});
  Send(wire::Bye{.reason = reason.detail});
  closing_ = true;
  socket_->Close(net::kClosePolicy, reason.detail);
}

void VolunteerLink::OnMessage(std::shared_ptr<ByteVector> message) {
  if (closing_) return;
  // The owner may destroy this link in any of its callbacks; nothing is touched after they return.
  if (Status status = HandleMessage(std::move(message)); !status) {
    spdlog::warn("volunteer {}: refused: {}", node_.value, status.error().ToString());
    Close(status.error());
  }
}

Status VolunteerLink::HandleMessage(std::shared_ptr<ByteVector> message) {
  ASSIGN_OR_RETURN(const wire::Header header, wire::DecodeHeader(*message));
  if (!is_member_) {
    ASSIGN_OR_RETURN(wire::Frame frame, wire::Decode(*message));
    if (const auto* hello = std::get_if<wire::Hello>(&frame.body)) return HandleHello(*hello);
    if (auto* profile = std::get_if<wire::Profile>(&frame.body)) {
      return HandleProfile(std::move(*profile));
    }
    return Fail(Code::kFailedPrecondition,
                StrCat("a ", wire::KindName(header.kind), " frame came before hello and profile"));
  }
  if (header.from != node_) {
    return Fail(Code::kPermissionDenied, StrCat("a frame says it is from node ", header.from.value,
                                                ", this is node ", node_.value));
  }
  if (header.to != kCoordinator) {
    owner_.OnRelay(node_, header.to, header.kind, std::move(message));
    return {};
  }
  ASSIGN_OR_RETURN(wire::Frame frame, wire::Decode(*message));
  if (auto* profile = std::get_if<wire::Profile>(&frame.body)) {
    return HandleProfile(std::move(*profile));
  }
  if (std::holds_alternative<wire::Hello>(frame.body)) {
    return Fail(Code::kFailedPrecondition, "a second hello");
  }
  if (const auto* ping = std::get_if<wire::Ping>(&frame.body)) {
    Micros round_trip = 0;
    if (!ping->reply) {
      Send(wire::Ping{.nonce = ping->nonce, .reply = true});
    } else if (ping->nonce == ping_nonce_) {
      round_trip = SteadyNow() - ping_sent_;
    }
    owner_.OnAlive(node_, round_trip);
    return {};
  }
  owner_.OnFrame(node_, std::move(frame.body));
  return {};
}

Status VolunteerLink::HandleHello(const wire::Hello& hello) {
  if (said_hello_) return Fail(Code::kFailedPrecondition, "a second hello");
  if (hello.version_min > wire::kVersion || hello.version_max < wire::kVersion) {
    return Fail(Code::kUnimplemented,
                StrCat("the volunteer speaks protocol versions ", hello.version_min, " to ",
                       hello.version_max, ", the coordinator ", wire::kVersion,
                       "; reload the page or update"));
  }
  if (hello.agent.size() > kNameBytes) {
    return Fail(Code::kInvalidArgument, StrCat("agent is longer than ", kNameBytes, " bytes"));
  }
  if (rules_.join_secret != nullptr && !rules_.join_secret->Matches(hello.join_secret)) {
    return Fail(Code::kPermissionDenied, hello.join_secret.empty()
                                             ? "this swarm is private: joining needs its secret"
                                             : "this swarm is private, and that is not its secret");
  }
  // Whoever brings a token back is known by it; the token itself is nobody else's business.
  const bool is_token = hello.resume_token.size() == kResumeTokenDigits;
  const std::string token = is_token ? hello.resume_token : NewResumeToken();
  const auto* bytes = reinterpret_cast<const uint8_t*>(token.data());
  identity_ =
      store::Hex(store::HashBytes(Bytes(bytes, token.size()))).substr(0, kResumeTokenDigits);
  said_hello_ = true;
  agent_ = hello.agent;
  socket_->SetMaxMessageBytes(rules_.frame_bytes_max);
  Send(wire::Hello{.node = node_, .agent = "shoal coordinator", .resume_token = token});
  return {};
}

Status VolunteerLink::HandleProfile(wire::Profile profile) {
  if (!said_hello_) return Fail(Code::kFailedPrecondition, "a profile came before hello");
  if (profile.executor.empty() || profile.executor.size() > kNameBytes ||
      profile.platform.size() > kNameBytes * 2) {
    return Fail(Code::kInvalidArgument, StrCat("executor and platform must have 1 to ", kNameBytes,
                                               " and at most ", kNameBytes * 2, " bytes"));
  }
  if (profile.measures.size() > kMeasures || profile.cached.size() > kCachedBlobs) {
    return Fail(Code::kResourceExhausted, StrCat("a profile holds at most ", kMeasures,
                                                 " measures and ", kCachedBlobs, " cached blobs"));
  }
  profile_ = std::move(profile);
  is_member_ = true;
  owner_.OnProfile(node_, profile_);
  return {};
}

}  // namespace shoal
