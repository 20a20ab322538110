// One HTTP connection of a server, from its handshake to its end.
//
//   handshake -> reading -> answering -> reading ... -> lingering -> closed
//                              \-> upgraded (the transport goes to a WebSocket)
//
// There is a read under way in every state, so that a client that leaves is noticed while its
// answer is being made; what it sends ahead waits in the inbox, up to a limit. Lingering: our side
// is shut, what the client still sends is thrown away, so that it gets to read the answer instead
// of a reset.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "net/exchange.h"
#include "net/outbox.h"
#include "net/request_reader.h"
#include "net/server.h"
#include "net/transport.h"

namespace shoal::net {

class HttpConnection;

// What the connections of one server share.
struct ServerContext {
  ServerContext(EventLoop& event_loop, ServerOptions server_options, Handler request_handler)
      : loop(event_loop),
        options(std::move(server_options)),
        handler(std::move(request_handler)),
        files(event_loop) {}

  EventLoop& loop;
  ServerOptions options;
  Handler handler;
  FileReader files;
  std::set<std::shared_ptr<HttpConnection>> connections;
  size_t open = 0;  // Connections and WebSockets.
  std::map<std::string, size_t, std::less<>> open_by_peer;
  bool stopping = false;
  std::function<void()> on_stopped;

  // Called when a connection ends.
  void Remove(const std::shared_ptr<HttpConnection>& connection);
};

// Counts one connection or WebSocket as long as it lives.
class ConnectionSlot {
 public:
  // `peer`: whose share it takes; empty: nobody's.
  ConnectionSlot(std::shared_ptr<ServerContext> context, std::string peer)
      : context_(std::move(context)), peer_(std::move(peer)) {
    ++context_->open;
    if (!peer_.empty()) ++context_->open_by_peer[peer_];
  }
  ~ConnectionSlot() {
    --context_->open;
    const auto at = context_->open_by_peer.find(peer_);
    if (at != context_->open_by_peer.end() && --at->second == 0) context_->open_by_peer.erase(at);
  }
  ConnectionSlot(const ConnectionSlot&) = delete;
  ConnectionSlot& operator=(const ConnectionSlot&) = delete;

 private:
  std::shared_ptr<ServerContext> context_;
  std::string peer_;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // `peer`: whose share of connections it takes; empty: nobody's.
  HttpConnection(std::shared_ptr<ServerContext> context, std::unique_ptr<Transport> transport,
                 std::string peer);

  // `refusal`: the first request is answered so, and the connection ends.
  void Start(std::optional<RequestReader::Refusal> refusal);
  // No request will be read after the one that is under way.
  void StopWhenIdle();
  // Cuts the connection; no callback comes any more.
  void Cut();

  // The handles' calls, through their Exchange.
  void Send(Response response);
  void StartStream(int status, const Headers& headers);
  void Write(std::string bytes);
  void End();
  // The answer cannot be completed.
  void Abort();
  size_t queued_bytes() const { return outbox_->queued_bytes(); }
  std::unique_ptr<WebSocket> Upgrade(const WebSocketOptions& options);

 private:
  enum class State { kHandshake, kReading, kAnswering, kLingering, kClosed };

  void OnHandshake(error_code error);
  void BeginRequest();
  void ArmRead();
  void OnRead(error_code error, size_t bytes);
  void Parse();
  void OnHead();
  void Dispatch();
  // Answers without the handler, and closes.
  void Refuse(int status, const std::string& detail);
  void SendHead(int status, Headers headers);
  void OnOutboxEmpty();
  void FinishAnswer();
  void Linger();
  // The client has left, or counts as gone.
  void PeerGone();
  void Close();
  void SetDeadline(Duration delay);
  void OnDeadline();

  std::shared_ptr<ServerContext> context_;
  std::shared_ptr<ConnectionSlot> slot_;
  std::unique_ptr<Transport> transport_;
  std::optional<Outbox> outbox_;
  asio::steady_timer deadline_;

  State state_ = State::kHandshake;
  std::optional<RequestReader> reader_;
  std::array<char, 16384> chunk_;  // The read under way writes here.
  bool read_pending_ = false;
  std::string inbox_;  // Read, not used yet.
  uint64_t lingered_bytes_ = 0;
  std::optional<RequestReader::Refusal> refusal_;

  // Of the request that is read or answered.
  bool has_begun_ = false;
  bool head_seen_ = false;
  std::chrono::steady_clock::time_point began_at_;
  bool is_head_request_ = false;
  bool is_http_1_0_ = false;
  bool wants_websocket_ = false;
  bool keep_alive_ = false;
  bool is_chunked_ = false;
  bool answer_ended_ = false;  // Everything is in the outbox.
  std::string handshake_key_;
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace shoal::net
