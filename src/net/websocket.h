// One WebSocket (RFC 6455), of a server or a client: whole binary messages in and out.
//
// Text messages are refused (1003), compression is not offered, pings come from the application
// above. TCP_NODELAY is on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/headers.h"

namespace shoal::net {

struct WebSocketOptions {
  size_t max_message_bytes = 64u << 20;  // A larger one closes the socket with 1009.
  size_t max_queued_bytes = 256u << 20;  // More waiting to be sent: the socket is cut (1008).
  // How long the handshake, and the answer to a close, may take.
  Duration handshake_timeout = std::chrono::seconds(10);
  std::string subprotocol;  // Server: answered; client: asked for. Empty: none.
};

// Close codes of RFC 6455, section 7.4.1.
enum CloseCode : uint16_t {
  kCloseNormal = 1000,
  kCloseGoingAway = 1001,
  kCloseProtocolError = 1002,
  kCloseUnsupported = 1003,
  kCloseAbnormal = 1006,  // Never sent: the connection broke.
  kClosePolicy = 1008,
  kCloseTooBig = 1009,
  kCloseInternal = 1011,
  kCloseTryAgain = 1013,
};

struct WebSocketCallbacks {
  // The handshake has succeeded.
  std::function<void()> on_open;
  // The message is the receiver's alone: it may be changed in place and sent on as it is.
  std::function<void(std::shared_ptr<ByteVector> message)> on_message;
  // Once, at the end, also when the handshake failed (kCloseAbnormal and why). Nothing follows.
  std::function<void(uint16_t code, std::string reason)> on_closed;
};

class WebSocketSession;  // Beast's part.

// The owner's handle. Its destructor says goodbye with 1001; no callback comes after it. Callbacks
// may destroy the handle; none is called from within a call of the handle's.
class WebSocket {
 public:
  explicit WebSocket(std::shared_ptr<WebSocketSession> session);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // Begins to read. To be called once; messages that come earlier wait in the kernel.
  void Start(WebSocketCallbacks callbacks);

  // Queues one binary message, which is not copied and must not change until it is sent. Nothing
  // happens after the end.
  void Send(std::shared_ptr<const ByteVector> message);
  // Of messages that have not been handed to the kernel.
  size_t queued_bytes() const;

  // Stops and goes on with reading: back pressure towards the peer. One message more may come.
  void PauseReading();
  void ResumeReading();

  // In place of max_message_bytes, for the messages that begin from now on.
  void SetMaxMessageBytes(size_t bytes);

  // Sends what is queued, then a close frame; on_closed follows when the peer has answered or
  // handshake_timeout is over. `reason`: at most 123 bytes are sent.
  void Close(uint16_t code, std::string_view reason);
  // Cuts the connection now; on_closed follows with kCloseAbnormal.
  void Abort(std::string_view reason);
  bool closed() const;

  std::string_view peer_address() const;

 private:
  std::shared_ptr<WebSocketSession> session_;
};

// Connects to "ws://host:port/path" (or wss://, verified as TlsClientOptions says). on_closed tells
// of failures; a URL that cannot be read fails here.
struct TlsClientOptions {
  std::string ca_file;  // Empty: the system's certificates.
};
Result<std::unique_ptr<WebSocket>> ConnectWebSocket(EventLoop& loop, std::string_view url,
                                                    Headers headers, WebSocketOptions options,
                                                    TlsClientOptions tls = {});

}  // namespace shoal::net
