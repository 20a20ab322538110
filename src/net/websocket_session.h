// A WebSocket over a Transport: Beast's stream, a queue of messages, and what the handle calls.
#pragma once

#include <memory>
#include <string>

#include "net/transport.h"
#include "net/websocket.h"

namespace shoal::net {

class WebSocketSession {
 public:
  virtual ~WebSocketSession() = default;
  virtual void Start(WebSocketCallbacks callbacks) = 0;
  virtual void Send(std::shared_ptr<const ByteVector> message) = 0;
  virtual size_t queued_bytes() const = 0;
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  virtual void SetMaxMessageBytes(size_t bytes) = 0;
  virtual void Close(uint16_t code, std::string_view reason) = 0;
  virtual void Abort(std::string_view reason) = 0;
  // The handle is gone: no callback any more, and goodbye.
  virtual void Abandon() = 0;
  virtual bool closed() const = 0;
  virtual std::string_view peer_address() const = 0;
};

// The server's side; answers the handshake with that key. `slot` is kept as long as the session.
std::shared_ptr<WebSocketSession> AcceptWebSocket(std::unique_ptr<Transport> transport,
                                                  WebSocketOptions options, std::string key,
                                                  std::shared_ptr<void> slot);

}  // namespace shoal::net
