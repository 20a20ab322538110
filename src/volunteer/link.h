// One connection to the coordinator after the other: connects, notices that a connection is dead,
// and comes back with growing, random pauses.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "base/bytes.h"
#include "net/event_loop.h"
#include "net/websocket.h"

namespace shoal::volunteer {

struct LinkOptions {
  std::string url;  // "ws://host:port/volunteer"
  net::TlsClientOptions tls;
  net::Duration connect = std::chrono::seconds(10);
  // After this long without a frame we ask, and after this much longer we give up.
  net::Duration silence = std::chrono::seconds(10);
  // The pause doubles from the first to the last.
  net::Duration pause_first = std::chrono::milliseconds(500);
  net::Duration pause_last = std::chrono::seconds(30);
};

struct LinkCallbacks {
  std::function<void()> on_open;
  std::function<void(std::shared_ptr<ByteVector>)> on_message;
  // Nothing came for a while: ask for a sign of life.
  std::function<void()> on_silence;
  // The connection is lost; the next attempt starts after `retry`.
  std::function<void(const std::string& reason, net::Duration retry)> on_lost;
};

// Callbacks come from the loop, never from within a call of this object's but Drop.
class Link {
 public:
  // Begins to connect. `loop` outlives the link.
  Link(net::EventLoop& loop, LinkOptions options, LinkCallbacks callbacks);

  // The connection is of use: the next pause starts small again.
  void Settled() { pause_ = options_.pause_first; }
  // Dropped when there is no connection.
  void Send(std::shared_ptr<const ByteVector> message);
  // Gives up this connection; another is tried after a pause of at least about half of `pause`.
  void Drop(const std::string& reason, net::Duration pause = {});
  // For good.
  void Close(const std::string& reason);

 private:
  void Connect();
  void Listen();
  void OnSilence();
  void Lose(const std::string& reason);

  net::EventLoop& loop_;
  const LinkOptions options_;
  const LinkCallbacks callbacks_;
  std::unique_ptr<net::WebSocket> socket_;
  net::Timer timer_;
  net::Duration pause_;
  std::mt19937 random_{std::random_device{}()};
  bool asked_ = false;
  bool closed_ = false;
};

}  // namespace shoal::volunteer
