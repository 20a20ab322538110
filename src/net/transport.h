// A connected byte stream, TCP or TLS, behind one type: what HTTP and WebSocket run on.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace shoal::net {

namespace asio = boost::asio;
using boost::system::error_code;

// Every Async function completes later, never from within the call. One read and one write may be
// under way at a time.
class Transport {
 public:
  using Handler = std::move_only_function<void(error_code, size_t bytes)>;
  // At most this many buffers are written at once; more are left for the next call.
  static constexpr size_t kMaxBuffers = 16;

  virtual ~Transport() = default;

  // TLS handshake; nothing to do for TCP. `server_name`: for a client, what must be in the peer's
  // certificate.
  virtual void AsyncHandshake(bool is_server, const std::string& server_name, Handler handler) = 0;
  virtual void AsyncReadSome(asio::mutable_buffer buffer, Handler handler) = 0;
  // The memory must stay until the handler is called.
  virtual void AsyncWriteSome(std::vector<asio::const_buffer> buffers, Handler handler) = 0;
  // Says that nothing more will be sent.
  virtual void AsyncShutdown(Handler handler) = 0;
  // Cuts the connection; what is under way completes with an error.
  virtual void Close() = 0;
  virtual asio::any_io_executor executor() = 0;
  virtual bool is_secure() const = 0;
  // The peer's address without port; empty when it is not known.
  const std::string& peer_address() const { return peer_address_; }

 protected:
  explicit Transport(const asio::ip::tcp::socket& socket);

 private:
  std::string peer_address_;
};

// `tls` null: plain TCP. Sets TCP_NODELAY: frames and events are small and wanted at once.
std::unique_ptr<Transport> MakeTransport(asio::ip::tcp::socket socket,
                                         std::shared_ptr<asio::ssl::context> tls);

Result<std::shared_ptr<asio::ssl::context>> MakeServerTls(const std::string& certificate_file,
                                                          const std::string& key_file);
Result<std::shared_ptr<asio::ssl::context>> MakeClientTls(const std::string& ca_file);

// What an error of a socket means, in the house's codes.
Error ErrorFrom(error_code error, std::string_view context);

}  // namespace shoal::net
