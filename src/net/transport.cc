#include "net/transport.h"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/str_cat.h"

namespace shoal::net {
namespace {

using tcp = asio::ip::tcp;

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(tcp::socket socket) : Transport(socket), socket_(std::move(socket)) {}

  void AsyncHandshake(bool, const std::string&, Handler handler) override {
    Later(std::move(handler), {});
  }
  void AsyncReadSome(asio::mutable_buffer buffer, Handler handler) override {
    socket_.async_read_some(buffer, std::move(handler));
  }
  void AsyncWriteSome(std::vector<asio::const_buffer> buffers, Handler handler) override {
    socket_.async_write_some(std::move(buffers), std::move(handler));
  }
  void AsyncShutdown(Handler handler) override {
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    Later(std::move(handler), error);
  }
  void Close() override {
    error_code ignored;
    socket_.close(ignored);
  }
  asio::any_io_executor executor() override { return socket_.get_executor(); }
  bool is_secure() const override { return false; }

 private:
  void Later(Handler handler, error_code error) {
    asio::post(socket_.get_executor(),
               [handler = std::move(handler), error]() mutable { handler(error, 0); });
  }

  tcp::socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(tcp::socket socket, std::shared_ptr<asio::ssl::context> context)
      : Transport(socket), context_(std::move(context)), stream_(std::move(socket), *context_) {}

  void AsyncHandshake(bool is_server, const std::string& server_name, Handler handler) override {
    using Stream = asio::ssl::stream_base;
    if (!is_server && !server_name.empty()) {
      SSL_set_tlsext_host_name(stream_.native_handle(), server_name.c_str());
      stream_.set_verify_callback(asio::ssl::host_name_verification(server_name));
    }
    stream_.async_handshake(is_server ? Stream::server : Stream::client,
                            [this, handler = std::move(handler)](error_code error) mutable {
                              if (IsPlainHttp(error)) TellToUseHttps();
                              handler(error, 0);
                            });
  }
  void AsyncReadSome(asio::mutable_buffer buffer, Handler handler) override {
    stream_.async_read_some(buffer, std::move(handler));
  }
  void AsyncWriteSome(std::vector<asio::const_buffer> buffers, Handler handler) override {
    stream_.async_write_some(std::move(buffers), std::move(handler));
  }
  void AsyncShutdown(Handler handler) override {
    stream_.async_shutdown(
        [handler = std::move(handler)](error_code error) mutable { handler(error, 0); });
  }
  void Close() override {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }
  asio::any_io_executor executor() override { return stream_.get_executor(); }
  bool is_secure() const override { return true; }

 private:
  static bool IsPlainHttp(error_code error) {
    return error.category() == asio::error::get_ssl_category() &&
           ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
  }
  // Somebody typed the address without "https://": an error of TLS would tell a browser nothing.
  void TellToUseHttps() {
    constexpr std::string_view kAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Connection: close\r\nContent-Length: 56\r\n\r\n"
        "This address speaks HTTPS: put https:// in front of it.\n";
    error_code ignored;
    stream_.next_layer().non_blocking(true, ignored);
    stream_.next_layer().send(asio::buffer(kAnswer.data(), kAnswer.size()), 0, ignored);
    stream_.next_layer().shutdown(tcp::socket::shutdown_send, ignored);
  }

  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<tcp::socket> stream_;
};

Error TlsError(error_code error, const std::string& file) {
  return {Code::kInvalidArgument, StrCat("cannot use ", file, " for TLS: ", error.message())};
}

}  // namespace

Transport::Transport(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (!error) peer_address_ = peer.address().to_string();
}

std::unique_ptr<Transport> MakeTransport(tcp::socket socket,
                                         std::shared_ptr<asio::ssl::context> tls) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (tls == nullptr) return std::make_unique<TcpTransport>(std::move(socket));
  return std::make_unique<TlsTransport>(std::move(socket), std::move(tls));
}

Result<std::shared_ptr<asio::ssl::context>> MakeServerTls(const std::string& certificate_file,
                                                          const std::string& key_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                       asio::ssl::context::no_compression);
  context->use_certificate_chain_file(certificate_file, error);
  if (error) return std::unexpected(TlsError(error, certificate_file));
  context->use_private_key_file(key_file, asio::ssl::context::pem, error);
  if (error) return std::unexpected(TlsError(error, key_file));
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return Fail(
        Code::kInvalidArgument,
        StrCat("the key in ", key_file, " is not that of the certificate in ", certificate_file));
  }
  return context;
}

Result<std::shared_ptr<asio::ssl::context>> MakeClientTls(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  context->set_verify_mode(asio::ssl::verify_peer);
  error_code error;
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca_file, error);
  }
  if (error)
    return std::unexpected(TlsError(error, ca_file.empty() ? "the system's CAs" : ca_file));
  return context;
}

Error ErrorFrom(error_code error, std::string_view context) {
  Code code = Code::kUnavailable;
  if (error == asio::error::access_denied) code = Code::kPermissionDenied;
  if (error == asio::error::address_in_use) code = Code::kAlreadyExists;
  if (error == asio::error::timed_out) code = Code::kDeadlineExceeded;
  if (error == asio::error::host_not_found) code = Code::kNotFound;
  return {code, StrCat(context, ": ", error.message())};
}

}  // namespace shoal::net
