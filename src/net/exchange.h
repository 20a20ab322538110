// The joint between the handles of a handler (Responder, Stream) and the connection: the handles
// hold it, the connection cuts it loose when the answer has ended or the client has left.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/http.h"

namespace shoal::net {

class HttpConnection;
class WebSocketSession;

class Exchange {
 public:
  explicit Exchange(HttpConnection* connection) : connection_(connection) {}

  // Null when the answer goes nowhere any more.
  HttpConnection* connection() const { return connection_; }
  void CutLoose() { connection_ = nullptr; }

  Headers headers;  // Go with the answer.
  std::function<void()> on_closed;
  std::function<void()> on_drained;

 private:
  HttpConnection* connection_;
};

}  // namespace shoal::net
