// A small HTTP/1.1 client: one connection a call, streamed or whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/headers.h"
#include "net/websocket.h"

namespace shoal::net {

// "http://host:port/path?query", also https, ws and wss. IPv6 hosts stand in brackets.
struct Url {
  std::string scheme;
  std::string host;  // Without brackets.
  uint16_t port = 0;
  std::string target;  // Path and query; begins with '/'.

  bool is_secure() const { return scheme == "https" || scheme == "wss"; }
  // host:port as the Host field has it; the port is left out when it is the scheme's own.
  std::string authority() const;
};
Result<Url> ParseUrl(std::string_view text);

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;  // Host is the URL's, unless it is among them.
  std::string body;
  Duration connect_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(300);  // Without a byte from the server.
  TlsClientOptions tls;
};

struct ClientCallbacks {
  std::function<void(int status, const Headers& headers)> on_head;
  std::function<void(std::string_view bytes)> on_body;  // In pieces, as they come.
  // Once, at the end: ok when the answer came whole.
  std::function<void(Status status)> on_done;
};

// A call under way. Destroyed: cancelled, no callback comes any more.
class ClientCall {
 public:
  struct State;
  explicit ClientCall(std::shared_ptr<State> state);
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

 private:
  std::shared_ptr<State> state_;
};

Result<std::unique_ptr<ClientCall>> StartCall(EventLoop& loop, ClientRequest request,
                                              ClientCallbacks callbacks);

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};
// Makes a call and waits for it, running `loop` meanwhile: for command-line programs and tests. A
// body of more than `max_body_bytes` is kResourceExhausted.
Result<ClientResponse> Fetch(EventLoop& loop, ClientRequest request,
                             size_t max_body_bytes = 256u << 20);

}  // namespace shoal::net
