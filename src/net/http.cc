#include "net/http.h"

#include <utility>

#include "base/check.h"
#include "net/file.h"
#include "net/http_connection.h"
#include "net/websocket.h"

namespace shoal::net {

uint64_t Response::body_bytes() const {
  if (const auto* text = std::get_if<std::string>(&body)) return text->size();
  if (const auto* bytes = std::get_if<SharedBytes>(&body)) {
    return *bytes == nullptr ? 0 : (*bytes)->size();
  }
  return std::get<FileRange>(body).length;
}

std::string_view StatusPhrase(int status) {
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [code, phrase] : kPhrases) {
    if (code == status) return phrase;
  }
  return "Unknown";
}

Response TextResponse(int status, std::string text) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

Response JsonResponse(int status, std::string json) {
  return {status, {{"Content-Type", "application/json"}}, std::move(json)};
}

Stream::~Stream() {
  if (!closed()) exchange_->connection()->Abort();
}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  const Stream before(std::exchange(exchange_, std::move(other.exchange_)));
  return *this;
}

void Stream::Write(std::string bytes) {
  if (!closed()) exchange_->connection()->Write(std::move(bytes));
}

size_t Stream::queued_bytes() const {
  return closed() ? 0 : exchange_->connection()->queued_bytes();
}

void Stream::OnDrained(std::function<void()> fn) {
  if (exchange_ != nullptr) exchange_->on_drained = std::move(fn);
}

void Stream::End() {
  const auto exchange = std::exchange(exchange_, nullptr);
  if (exchange != nullptr && exchange->connection() != nullptr) exchange->connection()->End();
}

bool Stream::closed() const { return exchange_ == nullptr || exchange_->connection() == nullptr; }

Responder::~Responder() {
  if (!closed()) Send(TextResponse(500, "the request was not answered\n"));
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  const Responder before(std::exchange(exchange_, std::move(other.exchange_)));
  return *this;
}

void Responder::OnClosed(std::function<void()> fn) {
  if (exchange_ != nullptr) exchange_->on_closed = std::move(fn);
}

bool Responder::closed() const {
  return exchange_ == nullptr || exchange_->connection() == nullptr;
}

void Responder::AddHeader(std::string_view name, std::string_view value) {
  if (exchange_ != nullptr) exchange_->headers.Add(name, value);
}

void Responder::Send(Response response) {
  const auto exchange = std::exchange(exchange_, nullptr);
  if (exchange == nullptr || exchange->connection() == nullptr) return;
  exchange->on_closed = nullptr;
  exchange->connection()->Send(std::move(response));
}

Stream Responder::StartStream(int status, Headers headers) {
  auto exchange = std::exchange(exchange_, nullptr);
  if (exchange == nullptr || exchange->connection() == nullptr) return {};
  exchange->connection()->StartStream(status, headers);
  return Stream(std::move(exchange));
}

std::unique_ptr<WebSocket> Responder::Upgrade(WebSocketOptions options) {
  const auto exchange = std::exchange(exchange_, nullptr);
  if (exchange == nullptr || exchange->connection() == nullptr) return nullptr;
  return exchange->connection()->Upgrade(options);
}

}  // namespace shoal::net
