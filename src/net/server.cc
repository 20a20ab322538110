#include "net/server.h"

#include <boost/asio/ip/tcp.hpp>
#include <utility>

#include "net/acceptor.h"
#include "net/address.h"
#include "net/http_connection.h"
#include "net/transport.h"

namespace shoal::net {
namespace {

using tcp = asio::ip::tcp;

// Connections over the limit that are told so; beyond these they are closed without a word.
constexpr size_t kPoliteRefusals = 64;
constexpr size_t kPoliteRefusalsPerPeer = 8;

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(EventLoop& loop, ServerOptions options, Handler handler)
      : context(std::make_shared<ServerContext>(loop, std::move(options), std::move(handler))) {}

  Status Open() {
    const ServerOptions& options = context->options;
    if (options.tls_certificate.empty() != options.tls_key.empty()) {
      return Fail(Code::kInvalidArgument, "TLS needs both a certificate and its key");
    }
    if (!options.tls_certificate.empty()) {
      ASSIGN_OR_RETURN(tls, MakeServerTls(options.tls_certificate, options.tls_key));
    }
    acceptor = std::make_shared<Acceptor>(context->loop, [weak = weak_from_this()](auto socket) {
      if (const auto self = weak.lock()) self->OnAccept(std::move(socket));
    });
    return acceptor->Listen(options.host, options.port);
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

  std::shared_ptr<ServerContext> context;
  std::shared_ptr<Acceptor> acceptor;
  std::shared_ptr<asio::ssl::context> tls;
};

Result<std::unique_ptr<Server>> Server::Listen(EventLoop& loop, ServerOptions options,
                                               Handler handler) {
  auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(handler));
  RETURN_IF_ERROR(impl->Open());
  impl->acceptor->Start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  impl_->acceptor->Close();
  const auto connections = impl_->context->connections;
  for (const auto& connection : connections) connection->Cut();
  impl_->context->files.Stop();
}

uint16_t Server::port() const { return impl_->acceptor->port(); }
size_t Server::connections() const { return impl_->context->open; }

void Server::Stop(std::function<void()> on_stopped) {
  impl_->acceptor->Close();
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
