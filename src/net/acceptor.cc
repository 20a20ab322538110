#include "net/acceptor.h"

#include <chrono>
#include <utility>

#include "base/str_cat.h"
#include "base/time.h"
#include "net/event_loop_impl.h"

namespace shoal::net {
namespace {

using tcp = asio::ip::tcp;

constexpr int kBacklog = 1024;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Acceptor::Acceptor(EventLoop& loop, OnSocket on_socket)
    : on_socket_(std::move(on_socket)),
      acceptor_(loop.impl().context),
      pause_(loop.impl().context) {}

Status Acceptor::Listen(const std::string& host, uint16_t port) {
  error_code error;
  const asio::ip::address address =
      asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) {
    return Fail(Code::kInvalidArgument, StrCat("not an address to listen on: ", host,
                                               " (such as 127.0.0.1, 0.0.0.0 or ::1)"));
  }
  const tcp::endpoint endpoint(address, port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(kBacklog, error);
  if (error) {
    return std::unexpected(ErrorFrom(error, StrCat("cannot listen on ", host, ":", port)));
  }
  port_ = acceptor_.local_endpoint(error).port();
  return {};
}

void Acceptor::Start() {
  acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
    if (!self->acceptor_.is_open()) return;
    // Out of descriptors, most likely: others end, and the next attempt succeeds.
    if (error) return self->AcceptLater();
    self->on_socket_(std::move(socket));
    self->Start();
  });
}

void Acceptor::AcceptLater() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->acceptor_.is_open()) self->Start();
  });
}

void Acceptor::Close() {
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

}  // namespace shoal::net
