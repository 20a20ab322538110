// One HTTP exchange as a handler sees it: a Request that has arrived whole, and a Responder to
// answer it with, now or later.
//
//   void Handle(Request request, Responder responder) {
//     responder.Send(TextResponse(200, "hello\n"));
//   }
//
// Lifetimes: Responder and Stream may outlive the connection and the server; what is sent then goes
// nowhere. Callbacks are never called from within a call of theirs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "net/headers.h"

namespace shoal::net {

class OpenFile;
class WebSocket;
struct WebSocketOptions;

struct Request {
  std::string method;  // "GET"; upper case.
  // Percent-decoded, without dot segments, doubled slashes and NUL; begins with '/'.
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;  // Percent-decoded, in order.
  Headers headers;
  std::string body;
  std::string peer_address;      // "127.0.0.1", "::1"; without port.
  bool is_secure = false;        // Came over TLS.
  bool wants_websocket = false;  // A valid WebSocket handshake: Responder::Upgrade may be called.

  // The first query parameter of that name.
  std::optional<std::string_view> Query(std::string_view name) const;
};

// Path and query of a request target ("/a%20b?x=1"). kInvalidArgument for bad percent escapes, NUL,
// a path that does not begin with '/', and one that climbs above the root.
struct Target {
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
};
Result<Target> ParseTarget(std::string_view target);

using SharedBytes = std::shared_ptr<const ByteVector>;

// Bytes [offset, offset + length) of an open file; read in pieces, by another thread, as the client
// takes them.
struct FileRange {
  std::shared_ptr<const OpenFile> file;
  uint64_t offset = 0;
  uint64_t length = 0;
};

// Content-Length, Connection and Date are set by the connection.
struct Response {
  int status = 200;
  Headers headers;
  std::variant<std::string, SharedBytes, FileRange> body;

  uint64_t body_bytes() const;
};

// The standard phrase, "Not Found"; "Unknown" for others.
std::string_view StatusPhrase(int status);

Response TextResponse(int status, std::string text);
// `json` is serialised already.
Response JsonResponse(int status, std::string json);

// What a connection offers to the handles below; implemented by net's HTTP connection.
class Exchange;

// A streamed answer. Destroyed before End: the connection is cut, so that the client can see that
// the answer is not whole.
class Stream {
 public:
  Stream() = default;  // Goes nowhere.
  explicit Stream(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Stream();
  Stream(Stream&& other) noexcept = default;
  Stream& operator=(Stream&& other) noexcept;

  // Queues bytes; they are sent as soon as the client takes them. When more than the server's
  // max_stream_queue_bytes wait, the client counts as gone: the connection is cut.
  void Write(std::string bytes);
  // Bytes that wait for the client.
  size_t queued_bytes() const;
  // Called every time that everything written has been handed to the kernel.
  void OnDrained(std::function<void()> fn);
  // Everything has been written. The handle is empty afterwards.
  void End();
  // Whether the client has left, or End was called.
  bool closed() const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

// Answers one request, once. Destroyed without an answer: 500 is sent.
class Responder {
 public:
  Responder() = default;  // Goes nowhere.
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Responder();
  Responder(Responder&& other) noexcept = default;
  Responder& operator=(Responder&& other) noexcept;

  // `fn` is called once if the client leaves before the answer has ended, while nothing is being
  // sent as well; not after Send. Set it before or after StartStream; a new one replaces it.
  void OnClosed(std::function<void()> fn);
  bool closed() const;

  // A field that goes with the answer, whatever it will be; not with an accepted WebSocket.
  void AddHeader(std::string_view name, std::string_view value);

  // The handle is empty after any of these three.
  void Send(Response response);
  // Sends the head now; the body follows, chunked. Content-Length must not be among the headers.
  Stream StartStream(int status, Headers headers);
  // Accepts the WebSocket handshake; request.wants_websocket must be set (CHECK). What is sent on
  // the result waits for the end of the handshake. Null when the client has left already.
  std::unique_ptr<WebSocket> Upgrade(WebSocketOptions options);

 private:
  std::shared_ptr<Exchange> exchange_;
};

using Handler = std::function<void(Request, Responder)>;

}  // namespace shoal::net
