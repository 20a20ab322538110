// An HTTP/1.1 server: listens, keeps connections within their limits, and gives every request to
// one handler. Keep-alive; pipelined requests are answered one after the other; HEAD is answered by
// the handler as GET would be, its body is left out.
//
// A client that closes its sending side has left: what was being made for it is cancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http.h"

namespace shoal::net {

struct ServerLimits {
  size_t max_connections = 4096;  // WebSockets count; more are answered with 503.
  // Of one IPv4 address, or one /64 of IPv6; more are answered with 429. 0: no limit.
  size_t max_connections_per_peer = 256;
  uint32_t max_header_bytes = 64u << 10;     // 431
  uint64_t max_body_bytes = 16u << 20;       // 413
  size_t max_stream_queue_bytes = 8u << 20;  // Of a streamed answer that the client does not take.
  Duration header_timeout = std::chrono::seconds(10);  // First byte to end of the header: 408.
  Duration body_timeout = std::chrono::seconds(120);   // First byte to end of the body: 408.
  Duration idle_timeout = std::chrono::seconds(75);    // Between requests.
  Duration write_timeout = std::chrono::seconds(30);   // The client takes not one byte.
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // An address, or "localhost".
  uint16_t port = 0;               // 0: any free one.
  // PEM files; both or none. With them the server speaks TLS (1.2 and later) only.
  std::string tls_certificate;
  std::string tls_key;
  ServerLimits limits;
  // Whether an address speaks for many, as a reverse proxy does: max_connections_per_peer is not
  // for it. Unset: none does.
  std::function<bool(std::string_view address)> is_shared_peer;
  // Makes the answers that the server gives without the handler (400, 408, 413, 431, 503, ...).
  // Unset: plain text.
  std::function<Response(int status, const std::string& detail)> refusal;
};

class Server {
 public:
  // Listens from now on. kInvalidArgument for an address or certificate that cannot be read,
  // kAlreadyExists when the port is taken, kPermissionDenied when it is not ours to take.
  static Result<std::unique_ptr<Server>> Listen(EventLoop& loop, ServerOptions options,
                                                Handler handler);
  // Cuts every connection; the handler is not called again. WebSockets live on, with their owners.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  size_t connections() const;  // With WebSockets.

  // Refuses new connections, closes idle ones, lets running exchanges end, and then calls
  // `on_stopped`, once. WebSockets are their owners' to close.
  void Stop(std::function<void()> on_stopped);

 private:
  struct Impl;
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::net
