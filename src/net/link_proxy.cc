#include "net/link_proxy.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <unordered_set>
#include <utility>

#include "base/str_cat.h"
#include "net/acceptor.h"
#include "net/event_loop_impl.h"
#include "net/link_pipe.h"
#include "net/transport.h"

namespace shoal::net {

namespace {

using tcp = asio::ip::tcp;

// Both directions of one connection. `on_done` is called once, when nothing more will happen.
class LinkConnection : public std::enable_shared_from_this<LinkConnection> {
 public:
  using OnDone = std::function<void(const std::shared_ptr<LinkConnection>&)>;

  LinkConnection(EventLoop& loop, std::array<LinkWay, 2>& ways, tcp::socket near, OnDone on_done)
      : loop_(loop),
        ways_(ways),
        near_(std::move(near)),
        far_(loop.impl().context),
        timer_(loop.impl().context),
        on_done_(std::move(on_done)) {}

  void Start(const tcp::resolver::results_type& target) {
    target_ = target;
    opens_ = loop_.NowUs() + Way0().traits().delay + Way1().traits().delay;
    Open();
  }

  void Wake() {
    if (!opened_) return Open();
    for (const auto& pipe : pipes_) {
      if (pipe != nullptr) pipe->Wake();
    }
  }

  // Resets both sides.
  void Reset() {
    error_code ignored;
    for (tcp::socket* socket : {&near_, &far_}) {
      socket->set_option(asio::socket_base::linger(true, 0), ignored);
    }
    Close();
  }

 private:
  const links::Shaper& Way0() const { return ways_[0].shaper; }
  const links::Shaper& Way1() const { return ways_[1].shaper; }

  // The handshake has crossed the link; it waits for a cut to heal.
  void Open() {
    const auto up = Way0().Leaves(opens_);
    const auto down = Way1().Leaves(opens_);
    if (!up || !down) return;
    timer_.expires_after(std::chrono::microseconds(std::max(*up, *down) - loop_.NowUs()));
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error || self->opened_ || !self->on_done_) return;
      if (self->Way0().is_cut() || self->Way1().is_cut()) return;
      self->opened_ = true;
      self->ConnectFar();
    });
  }

  void ConnectFar() {
    asio::async_connect(far_, target_,
                        [self = shared_from_this()](error_code error, const tcp::endpoint&) {
                          if (!self->on_done_) return;
                          if (error) return self->Reset();
                          self->Relay();
                        });
  }

  void Relay() {
    error_code ignored;
    for (tcp::socket* socket : {&near_, &far_}) {
      socket->set_option(tcp::no_delay(true), ignored);
    }
    const auto on_end = [this](error_code error) {
      if (error) return Reset();
      if (++ended_ == 2) Close();
    };
    pipes_[0] = std::make_shared<LinkPipe>(loop_, ways_[0], near_, far_, on_end);
    pipes_[1] = std::make_shared<LinkPipe>(loop_, ways_[1], far_, near_, on_end);
    for (const auto& pipe : pipes_) pipe->Start();
  }

  void Close() {
    const OnDone on_done = std::exchange(on_done_, nullptr);
    if (!on_done) return;
    const auto self = shared_from_this();
    timer_.cancel();
    for (const auto& pipe : pipes_) {
      if (pipe != nullptr) pipe->Close();
    }
    error_code ignored;
    near_.close(ignored);
    far_.close(ignored);
    on_done(self);
  }

  EventLoop& loop_;
  std::array<LinkWay, 2>& ways_;
  tcp::socket near_;
  tcp::socket far_;
  asio::steady_timer timer_;
  OnDone on_done_;  // Empty after the end.
  tcp::resolver::results_type target_;
  Micros opens_ = 0;
  bool opened_ = false;
  int ended_ = 0;
  std::array<std::shared_ptr<LinkPipe>, 2> pipes_;
};

}  // namespace

struct LinkProxy::Impl : std::enable_shared_from_this<LinkProxy::Impl> {
  Impl(EventLoop& event_loop, LinkProxyOptions given)
      : loop(event_loop),
        options(std::move(given)),
        ways{LinkWay{links::Shaper(options.up, 2 * options.seed), options.buffer_bytes,
                     options.queue},
             LinkWay{links::Shaper(options.down, 2 * options.seed + 1), options.buffer_bytes,
                     options.queue}} {}

  Status Open() {
    error_code error;
    tcp::resolver resolver(loop.impl().context);
    target = resolver.resolve(options.to_host, std::to_string(options.to_port), error);
    if (error) {
      return Fail(Code::kNotFound, StrCat(options.to_host, " has no address: ", error.message()));
    }
    acceptor = std::make_shared<Acceptor>(loop, [weak = weak_from_this()](auto socket) {
      if (const auto self = weak.lock()) self->OnAccept(std::move(socket));
    });
    return acceptor->Listen(options.host, options.port);
  }

  void OnAccept(tcp::socket socket) {
    if (connections.size() >= options.connections_max) return;
    ++accepted;
    auto connection = std::make_shared<LinkConnection>(
        loop, ways, std::move(socket),
        [this](const std::shared_ptr<LinkConnection>& one) { connections.erase(one); });
    connections.insert(connection);
    connection->Start(target);
  }

  void Reset() {
    const auto all = connections;
    for (const auto& connection : all) connection->Reset();
  }

  LinkWay& At(Way way) { return ways[static_cast<size_t>(way)]; }

  EventLoop& loop;
  const LinkProxyOptions options;
  std::shared_ptr<Acceptor> acceptor;
  tcp::resolver::results_type target;
  std::array<LinkWay, 2> ways;
  std::unordered_set<std::shared_ptr<LinkConnection>> connections;
  uint64_t accepted = 0;
};

Result<std::unique_ptr<LinkProxy>> LinkProxy::Listen(EventLoop& loop, LinkProxyOptions options) {
  auto impl = std::make_shared<Impl>(loop, std::move(options));
  RETURN_IF_ERROR(impl->Open());
  impl->acceptor->Start();
  return std::unique_ptr<LinkProxy>(new LinkProxy(std::move(impl)));
}

LinkProxy::LinkProxy(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

LinkProxy::~LinkProxy() {
  impl_->acceptor->Close();
  impl_->Reset();
}

uint16_t LinkProxy::port() const { return impl_->acceptor->port(); }

LinkCounters LinkProxy::counters() const {
  const auto& [up, down] = impl_->ways;
  return {.open = impl_->connections.size(),
          .accepted = impl_->accepted,
          .bytes = {up.bytes_done, down.bytes_done},
          .waiting_bytes = up.waiting_bytes + down.waiting_bytes};
}

const links::Shaper& LinkProxy::shaper(Way way) const { return impl_->At(way).shaper; }

void LinkProxy::Cut(Way way) { impl_->At(way).shaper.Cut(impl_->loop.NowUs()); }

void LinkProxy::Heal(Way way) {
  impl_->At(way).shaper.Heal(impl_->loop.NowUs());
  const auto all = impl_->connections;
  for (const auto& connection : all) connection->Wake();
}

void LinkProxy::Reset() { impl_->Reset(); }

void LinkProxy::SetTraits(Way way, const links::LinkTraits& traits) {
  impl_->At(way).shaper.SetTraits(traits);
}

}  // namespace shoal::net
