#include "net/connector.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/str_cat.h"
#include "net/event_loop_impl.h"

namespace shoal::net {
namespace {

using tcp = asio::ip::tcp;

class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  using Done = std::function<void(Result<std::unique_ptr<Transport>>)>;

  Attempt(EventLoop& loop, Url url, Done done)
      : url_(std::move(url)),
        done_(std::move(done)),
        resolver_(loop.impl().context),
        socket_(loop.impl().context),
        timer_(loop.impl().context) {}

  void Start(std::shared_ptr<asio::ssl::context> tls, Duration timeout) {
    tls_ = std::move(tls);
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->Finish(asio::error::timed_out);
    });
    resolver_.async_resolve(
        url_.host, std::to_string(url_.port),
        [self = shared_from_this()](error_code error, tcp::resolver::results_type results) {
          if (error) return self->Finish(error);
          self->ConnectTo(std::move(results));
        });
  }

  void GiveUp() {
    done_ = nullptr;
    resolver_.cancel();
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (transport_ != nullptr) transport_->Close();
  }

 private:
  void ConnectTo(tcp::resolver::results_type results) {
    if (!done_) return;
    asio::async_connect(socket_, results,
                        [self = shared_from_this()](error_code error, const tcp::endpoint&) {
                          if (error || !self->done_) return self->Finish(error);
                          self->Handshake();
                        });
  }

  void Handshake() {
    transport_ = MakeTransport(std::move(socket_), tls_);
    transport_->AsyncHandshake(
        /*is_server=*/false, url_.host,
        [self = shared_from_this()](error_code error, size_t) { self->Finish(error); });
  }

  void Finish(error_code error) {
    const Done done = std::exchange(done_, nullptr);
    if (!done) return;
    std::unique_ptr<Transport> transport = error ? nullptr : std::move(transport_);
    GiveUp();
    if (error) {
      done(std::unexpected(ErrorFrom(error, StrCat("cannot connect to ", url_.authority()))));
    } else {
      done(std::move(transport));
    }
  }

  Url url_;
  Done done_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace

std::shared_ptr<void> Connect(EventLoop& loop, const Url& url, const TlsClientOptions& tls,
                              Duration timeout, Attempt::Done done) {
  auto attempt = std::make_shared<Attempt>(loop, url, done);
  std::shared_ptr<asio::ssl::context> context;
  if (url.is_secure()) {
    auto made = MakeClientTls(tls.ca_file);
    if (!made) {
      loop.Post([done, error = made.error(), alive = std::weak_ptr(attempt)] {
        if (!alive.expired()) done(std::unexpected(error));
      });
      return attempt;
    }
    context = *std::move(made);
  }
  attempt->Start(std::move(context), timeout);
  return {attempt.get(), [attempt](Attempt*) { attempt->GiveUp(); }};
}

}  // namespace shoal::net
