#include "net/server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/str_cat.h"
#include "net/address.h"
#include "net/event_loop_impl.h"
#include "net/http_connection.h"
#include "net/transport.h"

namespace shoal::net {
namespace {

using tcp = asio::ip::tcp;

constexpr int kBacklog = 1024;
// Connections over the limit that are told so; beyond these they are closed without a word.
constexpr size_t kPoliteRefusals = 64;
constexpr size_t kPoliteRefusalsPerPeer = 8;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

Result<tcp::endpoint> EndpointOf(const ServerOptions& options) {
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  error_code error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (error) {
    return Fail(Code::kInvalidArgument, StrCat("not an address to listen on: ", options.host,
                                               " (such as 127.0.0.1, 0.0.0.0 or ::1)"));
  }
  return tcp::endpoint(address, options.port);
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(EventLoop& loop, ServerOptions options, Handler handler)
      : context(std::make_shared<ServerContext>(loop, std::move(options), std::move(handler))),
        acceptor(loop.impl().context),
        pause(loop.impl().context) {}

  Status Open() {
    const ServerOptions& options = context->options;
    if (options.tls_certificate.empty() != options.tls_key.empty()) {
      return Fail(Code::kInvalidArgument, "TLS needs both a certificate and its key");
    }
    if (!options.tls_certificate.empty()) {
      ASSIGN_OR_RETURN(tls, MakeServerTls(options.tls_certificate, options.tls_key));
    }
    ASSIGN_OR_RETURN(const tcp::endpoint endpoint, EndpointOf(options));
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(kBacklog, error);
    if (error) {
      const std::string where = StrCat("cannot listen on ", options.host, ":", options.port);
      return std::unexpected(ErrorFrom(error, where));
    }
    port = acceptor.local_endpoint(error).port();
    return {};
  }

  void Accept() {
    acceptor.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
      if (!self->acceptor.is_open()) return;
      // Out of descriptors, most likely: others end, and the next attempt succeeds.
      if (error) return self->AcceptLater();
      self->OnAccept(std::move(socket));
      self->Accept();
    });
  }

  void AcceptLater() {
    pause.expires_after(kAcceptPause);
    pause.async_wait([self = shared_from_this()](error_code error) {
      if (!error && self->acceptor.is_open()) self->Accept();
    });
  }

  void OnAccept(tcp::socket socket) {
    const ServerLimits& limits = context->options.limits;
    auto transport = MakeTransport(std::move(socket), tls);
    const std::string& address = transport->peer_address();
    const auto& is_shared = context->options.is_shared_peer;
    const bool has_share =
        limits.max_connections_per_peer > 0 && !(is_shared && is_shared(address));
    std::string peer = has_share ? PeerKey(address) : std::string();
    const auto at = context->open_by_peer.find(peer);
    const size_t open_of_peer = at == context->open_by_peer.end() ? 0 : at->second;
    std::optional<RequestReader::Refusal> refusal;
    if (context->open >= limits.max_connections) {
      if (context->open >= limits.max_connections + kPoliteRefusals) return;
      refusal = {503, "the server has too many connections; try again later"};
    } else if (has_share && open_of_peer >= limits.max_connections_per_peer) {
      if (open_of_peer >= limits.max_connections_per_peer + kPoliteRefusalsPerPeer) return;
      refusal = {429, "there are too many connections from this address; close some"};
    }
    auto connection =
        std::make_shared<HttpConnection>(context, std::move(transport), std::move(peer));
    context->connections.insert(connection);
    connection->Start(std::move(refusal));
  }

  void StopAccepting() {
    error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
  }

  std::shared_ptr<ServerContext> context;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::shared_ptr<asio::ssl::context> tls;
  uint16_t port = 0;
};

Result<std::unique_ptr<Server>> Server::Listen(EventLoop& loop, ServerOptions options,
                                               Handler handler) {
  auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(handler));
  RETURN_IF_ERROR(impl->Open());
  impl->Accept();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  impl_->StopAccepting();
  const auto connections = impl_->context->connections;
  for (const auto& connection : connections) connection->Cut();
  impl_->context->files.Stop();
}

uint16_t Server::port() const { return impl_->port; }
size_t Server::connections() const { return impl_->context->open; }

void Server::Stop(std::function<void()> on_stopped) {
  impl_->StopAccepting();
  ServerContext& context = *impl_->context;
  context.stopping = true;
  context.on_stopped = std::move(on_stopped);
  if (context.connections.empty() && context.on_stopped) {
    context.loop.Post(std::exchange(context.on_stopped, nullptr));
    return;
  }
  const auto connections = context.connections;
  for (const auto& connection : connections) connection->StopWhenIdle();
}

}  // namespace shoal::net
