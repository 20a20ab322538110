#include "net/client.h"

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>
#include <utility>

#include "base/str_cat.h"
#include "net/append_body.h"
#include "net/connector.h"
#include "net/event_loop_impl.h"

namespace shoal::net {

namespace http = boost::beast::http;

namespace {
constexpr uint32_t kMaxHeaderBytes = 256u << 10;
}  // namespace

struct ClientCall::State : std::enable_shared_from_this<ClientCall::State> {
  State(EventLoop& loop, ClientRequest wanted, Url parsed, ClientCallbacks listeners)
      : request(std::move(wanted)),
        url(std::move(parsed)),
        callbacks(std::move(listeners)),
        timer(loop.impl().context) {
    parser.body_limit(std::numeric_limits<uint64_t>::max());
    parser.header_limit(kMaxHeaderBytes);
    parser.eager(true);
    if (request.method == "HEAD") parser.skip(true);
  }

  void Start(EventLoop& loop) {
    connecting = Connect(loop, url, request.tls, request.connect_timeout,
                         [weak = weak_from_this()](Result<std::unique_ptr<Transport>> connected) {
                           const auto self = weak.lock();
                           if (self == nullptr) return;
                           if (!connected) return self->Finish(std::unexpected(connected.error()));
                           self->transport = *std::move(connected);
                           self->SendRequest();
                         });
  }

  void SendRequest() {
    Headers headers = request.headers;
    if (!headers.Has("Host")) headers.Set("Host", url.authority());
    headers.Set("Connection", "close");
    if (!headers.Has("User-Agent")) headers.Set("User-Agent", "shoal");
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
      headers.Set("Content-Length", StrCat(request.body.size()));
    }
    head = StrCat(request.method, ' ', url.target, " HTTP/1.1\r\n", headers.Serialize(), "\r\n");
    to_send = {asio::buffer(head), asio::buffer(request.body)};
    Write();
    Read();
  }

  void Write() {
    std::erase_if(to_send, [](const asio::const_buffer& buffer) { return buffer.size() == 0; });
    if (to_send.empty() || is_done) return;
    Touch();
    transport->AsyncWriteSome(to_send, [self = shared_from_this()](error_code error, size_t bytes) {
      // The server may refuse before it has read all; the answer tells why.
      if (error) return;
      for (asio::const_buffer& buffer : self->to_send) {
        const size_t sent = std::min(bytes, buffer.size());
        buffer += sent;
        bytes -= sent;
      }
      self->Write();
    });
  }

  void Read() {
    if (is_done) return;
    Touch();
    transport->AsyncReadSome(asio::buffer(chunk),
                             [self = shared_from_this()](error_code error, size_t bytes) {
                               self->OnRead(error, bytes);
                             });
  }

  void OnRead(error_code error, size_t bytes) {
    if (is_done) return;
    if (error) return OnEnd(error);
    inbox.append(chunk.data(), bytes);
    while (!inbox.empty() && !is_done && !parser.is_done()) {
      error_code parse_error;
      const size_t used = parser.put(asio::buffer(inbox), parse_error);
      inbox.erase(0, used);
      if (parse_error && parse_error != http::error::need_more) {
        return Finish(Fail(Code::kDataLoss, StrCat("a bad answer from ", url.authority(), ": ",
                                                   parse_error.message())));
      }
      Deliver();
      if (parse_error == http::error::need_more || used == 0) break;
    }
    if (is_done) return;
    if (parser.is_done()) return Finish({});
    Read();
  }

  void OnEnd(error_code error) {
    if (error == asio::error::eof && parser.got_some()) {
      // An answer without a length ends with its connection.
      error_code parse_error;
      parser.put_eof(parse_error);
      if (!parse_error && parser.is_done()) {
        Deliver();
        return Finish({});
      }
    }
    Finish(Fail(Code::kUnavailable, StrCat("the connection to ", url.authority(),
                                           " ended before the answer did: ", error.message())));
  }

  void Deliver() {
    if (!head_told && parser.is_header_done()) {
      head_told = true;
      Headers headers;
      for (const auto& field : parser.get()) {
        headers.Add({field.name_string().data(), field.name_string().size()},
                    {field.value().data(), field.value().size()});
      }
      if (callbacks.on_head)
        callbacks.on_head(static_cast<int>(parser.get().result_int()), headers);
    }
    const std::string body = std::exchange(parser.get().body(), {});
    if (!body.empty() && !is_done && callbacks.on_body) callbacks.on_body(body);
  }

  void Touch() {
    timer.expires_after(request.idle_timeout);
    timer.async_wait([self = shared_from_this()](error_code error) {
      if (error || self->timer.expiry() > std::chrono::steady_clock::now()) return;
      self->Finish(Fail(Code::kDeadlineExceeded,
                        StrCat("nothing comes from ", self->url.authority(), " any more")));
    });
  }

  void Cancel() {
    is_done = true;
    timer.cancel();
    connecting.reset();
    if (transport != nullptr) transport->Close();
  }

  void Finish(Status status) {
    if (is_done) return;
    const auto self = shared_from_this();
    Cancel();
    if (callbacks.on_done) callbacks.on_done(std::move(status));
  }

  ClientRequest request;
  Url url;
  ClientCallbacks callbacks;
  asio::steady_timer timer;
  std::shared_ptr<void> connecting;
  std::unique_ptr<Transport> transport;
  std::string head;
  std::vector<asio::const_buffer> to_send;
  std::array<char, 16384> chunk;
  std::string inbox;
  http::response_parser<AppendBody> parser;
  bool head_told = false;
  bool is_done = false;
};

ClientCall::ClientCall(std::shared_ptr<State> state) : state_(std::move(state)) {}
ClientCall::~ClientCall() { state_->Cancel(); }

Result<std::unique_ptr<ClientCall>> StartCall(EventLoop& loop, ClientRequest request,
                                              ClientCallbacks callbacks) {
  ASSIGN_OR_RETURN(Url url, ParseUrl(request.url));
  if (url.scheme != "http" && url.scheme != "https") {
    return Fail(Code::kInvalidArgument, StrCat("not an http:// or https:// URL: ", request.url));
  }
  auto state = std::make_shared<ClientCall::State>(loop, std::move(request), std::move(url),
                                                   std::move(callbacks));
  state->Start(loop);
  return std::make_unique<ClientCall>(std::move(state));
}

Result<ClientResponse> Fetch(EventLoop& loop, ClientRequest request, size_t max_body_bytes) {
  ClientResponse response;
  std::optional<Status> outcome;
  const auto finish = [&](Status status) {
    if (!outcome) outcome = std::move(status);
    loop.Stop();
  };
  ClientCallbacks callbacks;
  callbacks.on_head = [&](int status, const Headers& headers) {
    response.status = status;
    response.headers = headers;
  };
  callbacks.on_body = [&](std::string_view bytes) {
    if (response.body.size() + bytes.size() > max_body_bytes) {
      return finish(Fail(Code::kResourceExhausted,
                         StrCat("the answer has more than ", max_body_bytes, " bytes")));
    }
    response.body += bytes;
  };
  callbacks.on_done = finish;
  ASSIGN_OR_RETURN(const auto call, StartCall(loop, std::move(request), std::move(callbacks)));
  while (!outcome) loop.Run();
  if (!*outcome) return std::unexpected(outcome->error());
  return response;
}

}  // namespace shoal::net
