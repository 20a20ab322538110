// One volunteer's socket: the handshake (hello, profile), decoding and checking what it sends, and
// the frames that go to it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "coordinator/gate/secret.h"
#include "net/websocket.h"
#include "wire/codec.h"
#include "wire/frames.h"

namespace shoal {

// What a link tells its hub. Called on the event loop; the link may be destroyed from within.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  // The handshake is done.
  virtual void OnProfile(NodeId node, const wire::Profile& profile) = 0;
  // A frame for the coordinator, checked by the codec; not hello, profile or ping.
  virtual void OnFrame(NodeId node, wire::Body body) = 0;
  // A frame for another node: only its header has been read.
  virtual void OnRelay(NodeId node, NodeId to, wire::Kind kind,
                       std::shared_ptr<ByteVector> frame) = 0;
  // A ping came, or the answer to one of ours: then `round_trip` says how long that took; 0
  // otherwise.
  virtual void OnAlive(NodeId node, Micros round_trip) = 0;
  // The socket has ended, once.
  virtual void OnGone(NodeId node, const std::string& why) = 0;
};

// What a newcomer must know, and may send once it is let in.
struct LinkRules {
  const Secret* join_secret = nullptr;  // Null: everybody is let in. Outlives the link.
  size_t frame_bytes_max = 0;
};

class VolunteerLink {
 public:
  VolunteerLink(LinkOwner& owner, NodeId node, std::unique_ptr<net::WebSocket> socket,
                LinkRules rules, Micros opened_at);

  // Begins the handshake.
  void Start();
  void Send(wire::Body body);
  // `frame` is whole and encoded.
  void Forward(std::shared_ptr<const ByteVector> frame);
  // Says why, and closes.
  void Close(const Error& reason);

  NodeId node() const { return node_; }
  bool is_member() const { return is_member_; }  // The handshake is done.
  Micros opened_at() const { return opened_at_; }
  const wire::Profile& profile() const { return profile_; }
  // The same for every connection of one volunteer; not a secret.
  const std::string& identity() const { return identity_; }
  const std::string& agent() const { return agent_; }
  std::string_view address() const { return socket_->peer_address(); }

  // Its work so far, over all its connections that are remembered: rows times the blocks that each
  // went through.
  uint64_t block_rows_done = 0;
  // When the steps that it has not reported on were sent, oldest first.
  std::deque<Micros> steps_sent;

 private:
  void OnMessage(std::shared_ptr<ByteVector> message);
  Status HandleMessage(std::shared_ptr<ByteVector> message);
  Status HandleHello(const wire::Hello& hello);
  Status HandleProfile(wire::Profile profile);

  LinkOwner& owner_;
  const NodeId node_;
  std::unique_ptr<net::WebSocket> socket_;
  const LinkRules rules_;
  const Micros opened_at_;
  bool said_hello_ = false;
  bool is_member_ = false;
  bool closing_ = false;
  std::string agent_;
  std::string identity_;
  wire::Profile profile_;
  uint64_t ping_nonce_ = 0;
  Micros ping_sent_ = 0;
};

}  // namespace shoal
