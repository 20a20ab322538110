// An emulated network: a TCP relay in front of one address, whose two directions are shaped as
// links::Shaper says, and which can be cut. All connections through it share the link, as those of
// one device share its line.
//
// A connection costs the opener a round trip, as a handshake would: its bytes are taken only then.
// Either side may close its sending side; the rest goes on. A reset is passed on, with the delay.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "links/shaper.h"
#include "net/event_loop.h"

namespace shoal::net {

struct LinkProxyOptions {
  std::string host = "127.0.0.1";  // An address, or "localhost".
  uint16_t port = 0;               // 0: any free one.
  std::string to_host;             // A name or an address, looked up once.
  uint16_t to_port = 0;
  links::LinkTraits up;    // From who connects to the target.
  links::LinkTraits down;  // Back.
  uint64_t seed = 0;
  // Of one connection and direction, on its way; more stays with its sender.
  size_t buffer_bytes = 4u << 20;
  // The sender's queue before a link with a rate: while it is this far behind, nothing more is
  // taken, whatever the connection.
  Micros queue = 100 * kMillisecond;
  size_t connections_max = 1024;  // More are closed.
};

enum class Way : uint8_t { kUp, kDown };

struct LinkCounters {
  size_t open = 0;
  uint64_t accepted = 0;
  std::array<uint64_t, 2> bytes{};  // That have left, by Way.
  size_t waiting_bytes = 0;         // In all pipes.
};

class LinkProxy {
 public:
  // Listens from now on. kInvalidArgument for an address that cannot be read, kNotFound for a
  // target that has none, kAlreadyExists when the port is taken.
  static Result<std::unique_ptr<LinkProxy>> Listen(EventLoop& loop, LinkProxyOptions options);
  // Resets every connection.
  ~LinkProxy();
  LinkProxy(const LinkProxy&) = delete;
  LinkProxy& operator=(const LinkProxy&) = delete;

  uint16_t port() const;
  LinkCounters counters() const;
  const links::Shaper& shaper(Way way) const;

  // Nothing gets through until Heal; connections stay open.
  void Cut(Way way);
  void Heal(Way way);
  // Resets the connections that there are; new ones are accepted.
  void Reset();
  void SetTraits(Way way, const links::LinkTraits& traits);

 private:
  struct Impl;
  explicit LinkProxy(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::net
