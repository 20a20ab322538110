#include "net/http_connection.h"

#include <ctime>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "net/event_loop_impl.h"
#include "net/websocket_session.h"

namespace shoal::net {
namespace {

constexpr Duration kLingerTime = std::chrono::seconds(2);
constexpr uint64_t kLingerBytes = 64u << 20;
// Of requests sent ahead while an answer is being made; more wait in the kernel.
constexpr size_t kInboxBytesAhead = 64u << 10;

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  std::array<char, 40> text;
  const size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

std::string ChunkHead(size_t bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (; bytes > 0; bytes /= 16) out.insert(out.begin(), kDigits[bytes % 16]);
  return out + "\r\n";
}

bool MayHaveBody(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

void ServerContext::Remove(const std::shared_ptr<HttpConnection>& connection) {
  connections.erase(connection);
  if (stopping && connections.empty() && on_stopped) {
    loop.Post(std::exchange(on_stopped, nullptr));
  }
}

HttpConnection::HttpConnection(std::shared_ptr<ServerContext> context,
                               std::unique_ptr<Transport> transport, std::string peer)
    : context_(std::move(context)),
      slot_(std::make_shared<ConnectionSlot>(context_, std::move(peer))),
      transport_(std::move(transport)),
      deadline_(transport_->executor()) {}

void HttpConnection::Start(std::optional<RequestReader::Refusal> refusal) {
  refusal_ = std::move(refusal);
  outbox_.emplace(
      weak_from_this(), *transport_, context_->files, context_->options.limits.write_timeout,
      Outbox::Callbacks{[this] { OnOutboxEmpty(); }, [this](std::string) { PeerGone(); }});
  SetDeadline(context_->options.limits.header_timeout);
  transport_->AsyncHandshake(
      /*is_server=*/true, "",
      [self = shared_from_this()](error_code error, size_t) { self->OnHandshake(error); });
}

void HttpConnection::OnHandshake(error_code error) {
  if (state_ != State::kHandshake) return;
  if (error) return Close();
  BeginRequest();
  if (state_ == State::kReading) SetDeadline(context_->options.limits.header_timeout);
}

void HttpConnection::BeginRequest() {
  const ServerLimits& limits = context_->options.limits;
  state_ = State::kReading;
  reader_.emplace(limits.max_header_bytes, limits.max_body_bytes);
  has_begun_ = head_seen_ = false;
  keep_alive_ = is_http_1_0_ = is_head_request_ = is_chunked_ = answer_ended_ = false;
  wants_websocket_ = false;
  if (context_->stopping && inbox_.empty()) return Linger();
  SetDeadline(limits.idle_timeout);
  if (!inbox_.empty()) Parse();
  ArmRead();
}

void HttpConnection::ArmRead() {
  if (read_pending_ || state_ == State::kClosed) return;
  if (state_ == State::kAnswering && (wants_websocket_ || inbox_.size() > kInboxBytesAhead)) return;
  read_pending_ = true;
  transport_->AsyncReadSome(
      asio::buffer(chunk_),
      [self = shared_from_this()](error_code error, size_t bytes) { self->OnRead(error, bytes); });
}

void HttpConnection::OnRead(error_code error, size_t bytes) {
  read_pending_ = false;
  if (state_ == State::kClosed) return;
  if (error) return PeerGone();
  if (state_ == State::kLingering) {
    lingered_bytes_ += bytes;
    if (lingered_bytes_ > kLingerBytes) return Close();
  } else {
    inbox_.append(chunk_.data(), bytes);
    if (state_ == State::kReading) Parse();
  }
  ArmRead();
}

void HttpConnection::Parse() {
  const ServerLimits& limits = context_->options.limits;
  if (!has_begun_) {
    has_begun_ = true;
    began_at_ = std::chrono::steady_clock::now();
    SetDeadline(limits.header_timeout);
  }
  while (state_ == State::kReading) {
    const size_t used = reader_->Put(inbox_);
    inbox_.erase(0, used);
    if (reader_->state() == RequestReader::State::kFailed) {
      const RequestReader::Refusal refusal = reader_->refusal();
      return Refuse(refusal.status, refusal.detail);
    }
    if (!head_seen_ && reader_->state() != RequestReader::State::kHead) {
      head_seen_ = true;
      OnHead();
    }
    if (reader_->state() == RequestReader::State::kDone) return Dispatch();
    if (used == 0 || inbox_.empty()) break;
  }
  // Chunk extensions and trailers, which count for neither limit of the parser.
  if (state_ == State::kReading && inbox_.size() > limits.max_header_bytes + chunk_.size()) {
    Refuse(431, "a line of the request is too long");
  }
}

void HttpConnection::OnHead() {
  is_http_1_0_ = reader_->is_http_1_0();
  const Duration spent =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began_at_);
  SetDeadline(context_->options.limits.body_timeout - spent);
  const bool is_done = reader_->state() == RequestReader::State::kDone;
  if (reader_->expects_continue() && !is_done && inbox_.empty()) {
    outbox_->Push(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
  }
}

void HttpConnection::Dispatch() {
  keep_alive_ = reader_->keep_alive();
  Request request = reader_->Take();
  reader_.reset();
  deadline_.cancel();
  if (refusal_) return Refuse(refusal_->status, refusal_->detail);
  if (request.wants_websocket && (read_pending_ || !inbox_.empty() || !outbox_->empty())) {
    return Refuse(400, "a WebSocket handshake waits for the answers before it and for its own");
  }
  state_ = State::kAnswering;
  is_head_request_ = request.method == "HEAD";
  wants_websocket_ = request.wants_websocket;
  if (wants_websocket_) handshake_key_ = request.headers.Get("Sec-WebSocket-Key");
  request.peer_address = transport_->peer_address();
  request.is_secure = transport_->is_secure();
  exchange_ = std::make_shared<Exchange>(this);
  context_->handler(std::move(request), Responder(exchange_));
}

void HttpConnection::Refuse(int status, const std::string& detail) {
  state_ = State::kAnswering;
  keep_alive_ = false;
  inbox_.clear();
  deadline_.cancel();
  Response response = context_->options.refusal ? context_->options.refusal(status, detail)
                                                : TextResponse(status, detail + "\n");
  if (status == 426) {
    response.headers.Set("Sec-WebSocket-Version", "13");
    response.headers.Set("Upgrade", "websocket");
  }
  if (status == 503 || status == 429) response.headers.Set("Retry-After", "5");
  Send(std::move(response));
}

void HttpConnection::SendHead(int status, Headers headers) {
  if (context_->stopping) keep_alive_ = false;
  wants_websocket_ = false;  // Refused by this answer: reading goes on.
  headers.Set("Date", HttpDate());
  if (exchange_ != nullptr) {
    for (const auto& [name, value] : exchange_->headers) headers.Add(name, value);
  }
  if (!keep_alive_) {
    headers.Set("Connection", "close");
  } else if (is_http_1_0_) {
    headers.Set("Connection", "keep-alive");
  }
  outbox_->Push(
      StrCat("HTTP/1.1 ", status, ' ', StatusPhrase(status), "\r\n", headers.Serialize(), "\r\n"));
}

void HttpConnection::Send(Response response) {
  CHECK(state_ == State::kAnswering && !answer_ended_);
  if (MayHaveBody(response.status)) {
    response.headers.Set("Content-Length", StrCat(response.body_bytes()));
  }
  SendHead(response.status, std::move(response.headers));
  if (MayHaveBody(response.status) && !is_head_request_) {
    std::visit([this](auto&& body) { outbox_->Push(std::move(body)); }, std::move(response.body));
  }
  answer_ended_ = true;
  if (exchange_ != nullptr) exchange_->CutLoose();
  exchange_.reset();
  ArmRead();
}

void HttpConnection::StartStream(int status, const Headers& headers) {
  CHECK(state_ == State::kAnswering && !answer_ended_);
  CHECK(!headers.Has("Content-Length"));
  is_chunked_ = !is_http_1_0_;
  if (!is_chunked_) keep_alive_ = false;  // The end of the connection is the end of the answer.
  Headers all = headers;
  if (is_chunked_) all.Set("Transfer-Encoding", "chunked");
  SendHead(status, std::move(all));
  ArmRead();
}

void HttpConnection::Write(std::string bytes) {
  if (bytes.empty() || is_head_request_) return;
  if (is_chunked_) {
    // Together with its frame, so that one event is one packet.
    bytes.insert(0, ChunkHead(bytes.size()));
    bytes += "\r\n";
  }
  outbox_->Push(std::move(bytes));
  if (outbox_->queued_bytes() <= context_->options.limits.max_stream_queue_bytes) return;
  outbox_->Stop();
  context_->loop.Post([self = shared_from_this()] { self->PeerGone(); });
}

void HttpConnection::End() {
  if (is_chunked_ && !is_head_request_) outbox_->Push(std::string("0\r\n\r\n"));
  answer_ended_ = true;
  exchange_->CutLoose();
  exchange_.reset();
  if (!outbox_->empty()) return;
  context_->loop.Post([self = shared_from_this()] { self->OnOutboxEmpty(); });
}

void HttpConnection::Abort() { Close(); }

std::unique_ptr<WebSocket> HttpConnection::Upgrade(const WebSocketOptions& options) {
  CHECK(state_ == State::kAnswering && wants_websocket_ && !read_pending_);
  const auto self = shared_from_this();
  outbox_->Stop();
  state_ = State::kClosed;
  exchange_->CutLoose();
  exchange_.reset();
  auto session = AcceptWebSocket(std::move(transport_), options, handshake_key_, std::move(slot_));
  context_->Remove(self);
  return std::make_unique<WebSocket>(std::move(session));
}

void HttpConnection::OnOutboxEmpty() {
  if (state_ != State::kAnswering) return;
  if (answer_ended_) return FinishAnswer();
  if (exchange_ == nullptr || !exchange_->on_drained) return;
  const std::function<void()> drained = exchange_->on_drained;
  drained();
}

void HttpConnection::FinishAnswer() {
  if (keep_alive_) {
    BeginRequest();
  } else {
    Linger();
  }
}

void HttpConnection::Linger() {
  state_ = State::kLingering;
  inbox_.clear();
  SetDeadline(kLingerTime);
  transport_->AsyncShutdown([self = shared_from_this()](error_code, size_t) {});
  ArmRead();
}

void HttpConnection::PeerGone() {
  if (state_ == State::kClosed) return;
  std::function<void()> closed;
  if (exchange_ != nullptr) closed = std::exchange(exchange_->on_closed, nullptr);
  Close();
  if (closed) closed();
}

void HttpConnection::StopWhenIdle() {
  if (state_ == State::kHandshake || (state_ == State::kReading && !has_begun_)) Close();
}

void HttpConnection::Cut() { Close(); }

void HttpConnection::Close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  deadline_.cancel();
  outbox_->Stop();
  transport_->Close();
  slot_.reset();
  if (exchange_ != nullptr) exchange_->CutLoose();
  exchange_.reset();
  context_->Remove(self);
}

void HttpConnection::SetDeadline(Duration delay) {
  deadline_.expires_after(delay);
  deadline_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->deadline_.expiry() <= std::chrono::steady_clock::now()) self->OnDeadline();
  });
}

void HttpConnection::OnDeadline() {
  if (state_ == State::kAnswering) return;
  if (state_ != State::kReading || !has_begun_) return Close();
  Refuse(408, "the request took too long to arrive");
}

}  // namespace shoal::net
