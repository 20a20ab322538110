// Listens on an address and accepts TCP connections: what the server and the link proxy share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/transport.h"

namespace shoal::net {

class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  // Called on the loop with each connection; not after Close.
  using OnSocket = std::function<void(asio::ip::tcp::socket)>;

  // `loop` must outlive it.
  Acceptor(EventLoop& loop, OnSocket on_socket);

  // Binds and listens; nothing is accepted before Start. `host`: an address or "localhost"; `port`
  // 0: any that is free. kInvalidArgument: `host` is no address.
  Status Listen(const std::string& host, uint16_t port);
  void Start();
  void Close();

  uint16_t port() const { return port_; }

 private:
  void AcceptLater();

  OnSocket on_socket_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  uint16_t port_ = 0;
};

}  // namespace shoal::net
