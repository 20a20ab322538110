// A Transport as Beast wants its streams: an AsyncStream in Asio's sense. One instantiation of
// Beast's WebSocket serves TCP and TLS.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/role.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "net/transport.h"

namespace shoal::net {

class TransportStream {
 public:
  using executor_type = asio::any_io_executor;

  explicit TransportStream(std::unique_ptr<Transport> transport)
      : transport_(std::move(transport)) {}

  executor_type get_executor() { return transport_->executor(); }
  void Close() { transport_->Close(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    // One buffer a call is enough for a "some".
    asio::mutable_buffer first;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
         ++it) {
      first = *it;
      if (first.size() > 0) break;
    }
    return asio::async_initiate<Token, void(error_code, size_t)>(
        [this, first](auto handler) { transport_->AsyncReadSome(first, std::move(handler)); },
        token);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    std::vector<asio::const_buffer> some;
    for (auto it = asio::buffer_sequence_begin(buffers);
         it != asio::buffer_sequence_end(buffers) && some.size() < Transport::kMaxBuffers; ++it) {
      some.emplace_back(*it);
    }
    return asio::async_initiate<Token, void(error_code, size_t)>(
        [this, some = std::move(some)](auto handler) mutable {
          transport_->AsyncWriteSome(std::move(some), std::move(handler));
        },
        token);
  }

  // Found by Beast through the argument: the ends of a connection.
  friend void beast_close_socket(TransportStream& stream) { stream.Close(); }
  friend void teardown(boost::beast::role_type, TransportStream& stream, error_code& error) {
    error = {};
    stream.Close();
  }
  template <class Handler>
  friend void async_teardown(boost::beast::role_type, TransportStream& stream, Handler&& handler) {
    stream.transport_->AsyncShutdown([handler = std::forward<Handler>(handler)](
                                         error_code error, size_t) mutable { handler(error); });
  }

 private:
  std::unique_ptr<Transport> transport_;
};

}  // namespace shoal::net
