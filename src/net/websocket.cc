#include "net/websocket.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <deque>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "net/client.h"
#include "net/connector.h"
#include "net/event_loop_impl.h"
#include "net/transport_stream.h"
#include "net/websocket_session.h"

namespace shoal::net {
namespace {

namespace http = boost::beast::http;
namespace ws = boost::beast::websocket;

constexpr size_t kFirstReadBytes = 4096;  // Most frames are smaller; the buffer doubles.
constexpr size_t kMaxReasonBytes = 123;   // RFC 6455, section 5.5.

class BeastSession final : public WebSocketSession,
                           public std::enable_shared_from_this<BeastSession> {
 public:
  BeastSession(asio::any_io_executor executor, WebSocketOptions options)
      : executor_(std::move(executor)), options_(std::move(options)), close_timer_(executor_) {}

  void Accept(std::unique_ptr<Transport> transport, const std::string& key,
              std::shared_ptr<void> slot);
  void ConnectTo(EventLoop& loop, const Url& url, Headers headers, const TlsClientOptions& tls);

  void Start(WebSocketCallbacks callbacks) override;
  void Send(std::shared_ptr<const ByteVector> message) override;
  size_t queued_bytes() const override { return queued_bytes_; }
  void PauseReading() override { paused_ = true; }
  void ResumeReading() override;
  void SetMaxMessageBytes(size_t bytes) override;
  void Close(uint16_t code, std::string_view reason) override;
  void Abort(std::string_view reason) override { FinishLater(kCloseAbnormal, reason); }
  void Abandon() override;
  bool closed() const override { return state_ == State::kClosed; }
  std::string_view peer_address() const override { return peer_address_; }

 private:
  enum class State { kHandshake, kOpen, kClosed };

  void MakeStream(std::unique_ptr<Transport> transport);
  void OnHandshake(error_code error);
  void ReadMore();
  void OnRead(error_code error, size_t bytes);
  void WriteMore();
  void OnWritten(error_code error);
  void CloseNow();
  void OnReadFailed(error_code error);
  // Ends the session now, or after the call that runs now.
  void Finish(uint16_t code, std::string reason);
  void FinishLater(uint16_t code, std::string_view reason);

  asio::any_io_executor executor_;
  WebSocketOptions options_;
  std::shared_ptr<void> slot_;
  std::string peer_address_;
  std::optional<ws::stream<TransportStream, /*deflateSupported=*/false>> stream_;
  std::shared_ptr<void> connecting_;
  State state_ = State::kHandshake;
  // Shared, so that a callback that destroys the handle does not destroy itself.
  std::shared_ptr<const WebSocketCallbacks> callbacks_;
  bool open_told_ = false;

  std::shared_ptr<ByteVector> message_;  // Being read.
  size_t received_bytes_ = 0;            // Of it; the rest of its size is room.
  bool reading_ = false;
  bool paused_ = false;

  std::deque<std::shared_ptr<const ByteVector>> queue_;  // The first is being written.
  size_t queued_bytes_ = 0;
  bool writing_ = false;

  std::optional<ws::close_reason> goodbye_;  // Ours; sent when the queue is empty.
  bool goodbye_sent_ = false;
  asio::steady_timer close_timer_;
};

void BeastSession::MakeStream(std::unique_ptr<Transport> transport) {
  peer_address_ = transport->peer_address();
  stream_.emplace(std::move(transport));
  ws::stream_base::timeout timeout;
  timeout.handshake_timeout =
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.handshake_timeout);
  timeout.idle_timeout = ws::stream_base::none();
  timeout.keep_alive_pings = false;
  stream_->set_option(timeout);
  stream_->read_message_max(options_.max_message_bytes);
  stream_->auto_fragment(false);
  stream_->binary(true);
}

void BeastSession::Accept(std::unique_ptr<Transport> transport, const std::string& key,
                          std::shared_ptr<void> slot) {
  slot_ = std::move(slot);
  MakeStream(std::move(transport));
  http::request<http::empty_body> request(http::verb::get, "/", 11);
  request.set(http::field::host, "shoal");
  request.set(http::field::upgrade, "websocket");
  request.set(http::field::connection, "Upgrade");
  request.set(http::field::sec_websocket_key, key);
  request.set(http::field::sec_websocket_version, "13");
  stream_->set_option(
      ws::stream_base::decorator([protocol = options_.subprotocol](ws::response_type& response) {
        response.erase(http::field::server);
        if (!protocol.empty()) response.set(http::field::sec_websocket_protocol, protocol);
      }));
  stream_->async_accept(
      request, [self = shared_from_this()](error_code error) { self->OnHandshake(error); });
}

void BeastSession::ConnectTo(EventLoop& loop, const Url& url, Headers headers,
                             const TlsClientOptions& tls) {
  connecting_ =
      Connect(loop, url, tls, options_.handshake_timeout,
              [this, keep = weak_from_this(), url,
               headers = std::move(headers)](Result<std::unique_ptr<Transport>> transport) {
                const auto self = keep.lock();
                if (self == nullptr || state_ != State::kHandshake) return;
                if (!transport) return Finish(kCloseAbnormal, transport.error().detail);
                MakeStream(*std::move(transport));
                stream_->set_option(ws::stream_base::decorator(
                    [headers, protocol = options_.subprotocol](ws::request_type& request) {
                      request.set(http::field::user_agent, "shoal");
                      if (!protocol.empty())
                        request.set(http::field::sec_websocket_protocol, protocol);
                      for (const auto& [name, value] : headers) request.set(name, value);
                    }));
                stream_->async_handshake(url.authority(), url.target,
                                         [self](error_code error) { self->OnHandshake(error); });
              });
}

void BeastSession::OnHandshake(error_code error) {
  if (state_ != State::kHandshake) return;
  if (error) return Finish(kCloseAbnormal, StrCat("handshake failed: ", error.message()));
  state_ = State::kOpen;
  if (callbacks_ != nullptr) Start(*callbacks_);
  WriteMore();
}

void BeastSession::Start(WebSocketCallbacks callbacks) {
  // Called by the owner, and again at the end of the handshake.
  callbacks_ = std::make_shared<const WebSocketCallbacks>(std::move(callbacks));
  if (state_ != State::kOpen || open_told_) return;
  open_told_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    if (self->state_ != State::kOpen) return;
    if (const auto listeners = self->callbacks_; listeners && listeners->on_open) {
      listeners->on_open();
    }
    self->ReadMore();
  });
}

void BeastSession::ResumeReading() {
  paused_ = false;
  if (open_told_) ReadMore();
}

void BeastSession::SetMaxMessageBytes(size_t bytes) {
  options_.max_message_bytes = bytes;
  if (stream_) stream_->read_message_max(bytes);
}

void BeastSession::ReadMore() {
  if (reading_ || paused_ || state_ != State::kOpen || callbacks_ == nullptr) return;
  if (message_ == nullptr) {
    message_ = std::make_shared<ByteVector>(kFirstReadBytes);
    received_bytes_ = 0;
  } else if (received_bytes_ == message_->size()) {
    message_->resize(message_->size() * 2);
  }
  reading_ = true;
  stream_->async_read_some(
      asio::buffer(message_->data() + received_bytes_, message_->size() - received_bytes_),
      [self = shared_from_this()](error_code error, size_t bytes) { self->OnRead(error, bytes); });
}

void BeastSession::OnRead(error_code error, size_t bytes) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return OnReadFailed(error);
  if (stream_->got_text()) {
    message_.reset();
    return Close(kCloseUnsupported, "messages are binary");
  }
  received_bytes_ += bytes;
  if (stream_->is_message_done()) {
    message_->resize(received_bytes_);
    const auto listeners = callbacks_;
    auto message = std::move(message_);
    // After our goodbye nobody listens any more.
    if (listeners && listeners->on_message && !goodbye_) listeners->on_message(std::move(message));
  }
  ReadMore();
}

void BeastSession::OnReadFailed(error_code error) {
  if (goodbye_sent_ && error != ws::error::closed) return;  // The close tells how it ends.
  if (error == ws::error::closed) {
    const ws::close_reason& reason = stream_->reason();
    const auto code = static_cast<uint16_t>(reason.code == ws::close_code::none
                                                ? static_cast<uint16_t>(kCloseNormal)
                                                : static_cast<uint16_t>(reason.code));
    return Finish(code, std::string(reason.reason.data(), reason.reason.size()));
  }
  if (error == ws::error::message_too_big || error == ws::error::buffer_overflow) {
    return Finish(kCloseTooBig, StrCat("a message is larger than ", options_.max_message_bytes));
  }
  if (error.category() == make_error_code(ws::error::closed).category()) {
    return Finish(kCloseProtocolError, error.message());
  }
  Finish(kCloseAbnormal, error.message());
}

void BeastSession::Send(std::shared_ptr<const ByteVector> message) {
  if (state_ == State::kClosed || goodbye_) return;
  CHECK(message != nullptr);
  queued_bytes_ += message->size();
  queue_.push_back(std::move(message));
  if (queued_bytes_ > options_.max_queued_bytes) {
    return FinishLater(kClosePolicy, "the peer takes too little of what is sent to it");
  }
  WriteMore();
}

void BeastSession::WriteMore() {
  if (writing_ || state_ != State::kOpen) return;
  if (queue_.empty()) {
    if (goodbye_ && !goodbye_sent_) CloseNow();
    return;
  }
  writing_ = true;
  stream_->async_write(
      asio::buffer(queue_.front()->data(), queue_.front()->size()),
      [self = shared_from_this()](error_code error, size_t) { self->OnWritten(error); });
}

void BeastSession::OnWritten(error_code error) {
  writing_ = false;
  queued_bytes_ -= queue_.front()->size();
  queue_.pop_front();
  if (state_ == State::kClosed) return;
  if (error) {
    // The read tells more: a close from the peer ends writes as well.
    if (!reading_) Finish(kCloseAbnormal, error.message());
    return;
  }
  WriteMore();
}

void BeastSession::Close(uint16_t code, std::string_view reason) {
  if (state_ == State::kClosed || goodbye_) return;
  if (stream_ == std::nullopt) return FinishLater(code, reason);
  reason = reason.substr(0, kMaxReasonBytes);
  goodbye_.emplace(static_cast<ws::close_code>(code),
                   boost::beast::string_view(reason.data(), reason.size()));
  close_timer_.expires_after(options_.handshake_timeout);
  close_timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->Finish(kCloseAbnormal, "the peer does not answer the close");
  });
  WriteMore();
}

void BeastSession::CloseNow() {
  goodbye_sent_ = true;
  stream_->async_close(*goodbye_, [self = shared_from_this()](error_code) {
    const ws::close_reason& reason = *self->goodbye_;
    self->Finish(static_cast<uint16_t>(reason.code),
                 std::string(reason.reason.data(), reason.reason.size()));
  });
}

void BeastSession::Abandon() {
  callbacks_.reset();
  Close(kCloseGoingAway, "");
}

void BeastSession::FinishLater(uint16_t code, std::string_view reason) {
  if (state_ == State::kClosed) return;
  asio::post(executor_, [self = shared_from_this(), code, text = std::string(reason)] {
    self->Finish(code, text);
  });
}

void BeastSession::Finish(uint16_t code, std::string reason) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  close_timer_.cancel();
  connecting_.reset();
  if (stream_) stream_->next_layer().Close();
  slot_.reset();
  if (!writing_) queue_.clear();
  const auto listeners = std::exchange(callbacks_, nullptr);
  if (listeners && listeners->on_closed) listeners->on_closed(code, std::move(reason));
}

}  // namespace

std::shared_ptr<WebSocketSession> AcceptWebSocket(std::unique_ptr<Transport> transport,
                                                  WebSocketOptions options, std::string key,
                                                  std::shared_ptr<void> slot) {
  auto session = std::make_shared<BeastSession>(transport->executor(), std::move(options));
  session->Accept(std::move(transport), key, std::move(slot));
  return session;
}

Result<std::unique_ptr<WebSocket>> ConnectWebSocket(EventLoop& loop, std::string_view url,
                                                    Headers headers, WebSocketOptions options,
                                                    TlsClientOptions tls) {
  ASSIGN_OR_RETURN(const Url parsed, ParseUrl(url));
  if (parsed.scheme != "ws" && parsed.scheme != "wss") {
    return Fail(Code::kInvalidArgument, StrCat("not a ws:// or wss:// URL: ", url));
  }
  auto session =
      std::make_shared<BeastSession>(loop.impl().context.get_executor(), std::move(options));
  session->ConnectTo(loop, parsed, std::move(headers), tls);
  return std::make_unique<WebSocket>(std::move(session));
}

WebSocket::WebSocket(std::shared_ptr<WebSocketSession> session) : session_(std::move(session)) {}
WebSocket::~WebSocket() { session_->Abandon(); }
void WebSocket::Start(WebSocketCallbacks callbacks) { session_->Start(std::move(callbacks)); }
void WebSocket::Send(std::shared_ptr<const ByteVector> message) {
  session_->Send(std::move(message));
}
size_t WebSocket::queued_bytes() const { return session_->queued_bytes(); }
void WebSocket::PauseReading() { session_->PauseReading(); }
void WebSocket::ResumeReading() { session_->ResumeReading(); }
void WebSocket::SetMaxMessageBytes(size_t bytes) { session_->SetMaxMessageBytes(bytes); }
void WebSocket::Close(uint16_t code, std::string_view reason) { session_->Close(code, reason); }
void WebSocket::Abort(std::string_view reason) { session_->Abort(reason); }
bool WebSocket::closed() const { return session_->closed(); }
std::string_view WebSocket::peer_address() const { return session_->peer_address(); }

}  // namespace shoal::net
