#include "net/request_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "net/append_body.h"

namespace shoal::net {

namespace http = boost::beast::http;

struct RequestReader::Impl {
  http::request_parser<AppendBody> parser;
  State state = State::kHead;
  bool expects_continue = false;
  Request request;
  Refusal refusal;

  void Refuse(int status, std::string detail) {
    state = State::kFailed;
    refusal = {status, std::move(detail)};
  }
  void RefuseError(boost::system::error_code error);
  void OnHead();
  bool ReadTarget();
  void CheckHandshake();
};

namespace {

// 16 bytes in base64: 22 digits and "==".
bool IsHandshakeKey(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  return key.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22;
}

}  // namespace

void RequestReader::Impl::RefuseError(boost::system::error_code error) {
  if (error == http::error::header_limit) {
    Refuse(431, "the request's header is too large");
  } else if (error == http::error::body_limit) {
    Refuse(413, "the request's body is too large");
  } else if (error == http::error::bad_version) {
    Refuse(505, "the server speaks HTTP/1.0 and HTTP/1.1");
  } else if (error == http::error::bad_transfer_encoding) {
    Refuse(400, "a request has either a Content-Length or a chunked Transfer-Encoding");
  } else {
    Refuse(400, StrCat("not an HTTP request: ", error.message()));
  }
}

bool RequestReader::Impl::ReadTarget() {
  std::string_view target{parser.get().target().data(), parser.get().target().size()};
  // The absolute form, which clients of proxies use: the path begins after the authority.
  const size_t scheme = target.find("://");
  if (!target.starts_with('/') && scheme != std::string_view::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  auto parsed = ParseTarget(target);
  if (!parsed) {
    Refuse(400, parsed.error().detail);
    return false;
  }
  request.path = std::move(parsed->path);
  request.query = std::move(parsed->query);
  return true;
}

void RequestReader::Impl::CheckHandshake() {
  const Headers& headers = request.headers;
  if (!headers.HasToken("Upgrade", "websocket")) return;
  if (request.method != "GET" || parser.get().version() != 11 ||
      !headers.HasToken("Connection", "upgrade")) {
    Refuse(400, "a WebSocket handshake is a GET of HTTP/1.1 with Connection: Upgrade");
  } else if (headers.Get("Sec-WebSocket-Version") != "13") {
    Refuse(426, "the server speaks WebSocket version 13");
  } else if (!IsHandshakeKey(headers.Get("Sec-WebSocket-Key"))) {
    Refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  } else {
    request.wants_websocket = true;
  }
}

void RequestReader::Impl::OnHead() {
  const auto& message = parser.get();
  const boost::beast::string_view method = message.method_string();
  request.method.assign(method.data(), method.size());
  // Copied here, so that the fields of a chunked body's trailer cannot pass for the header's.
  size_t hosts = 0;
  bool has_length = false;
  bool has_coding = false;
  for (const auto& field : message) {
    request.headers.Add({field.name_string().data(), field.name_string().size()},
                        {field.value().data(), field.value().size()});
    hosts += field.name() == http::field::host;
    has_length = has_length || field.name() == http::field::content_length;
    has_coding = has_coding || field.name() == http::field::transfer_encoding;
  }
  if (has_coding && has_length) {
    return Refuse(400, "a request has either a Content-Length or a Transfer-Encoding");
  }
  if (has_coding && (!parser.chunked() || message.version() == 10)) {
    return Refuse(501, "the only Transfer-Encoding understood is chunked, in HTTP/1.1");
  }
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) {
    return Refuse(400, "an HTTP/1.1 request has exactly one Host field");
  }
  if (request.method == "CONNECT") return Refuse(501, "this is not a proxy");
  if (!ReadTarget()) return;
  const auto expect = request.headers.Find("Expect");
  if (expect && message.version() == 11) {
    if (!EqualsIgnoreCase(*expect, "100-continue")) {
      return Refuse(417, "the only expectation understood is 100-continue");
    }
    expects_continue = true;
  }
  state = State::kBody;
  CheckHandshake();
}

RequestReader::RequestReader(uint32_t max_header_bytes, uint64_t max_body_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(max_header_bytes);
  impl_->parser.body_limit(max_body_bytes);
}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

RequestReader::State RequestReader::state() const { return impl_->state; }

size_t RequestReader::Put(std::string_view bytes) {
  Impl& impl = *impl_;
  CHECK(impl.state == State::kHead || impl.state == State::kBody);
  size_t used = 0;
  if (impl.state == State::kHead && !impl.parser.got_some()) {
    // Empty lines before a request are to be skipped (RFC 9112, 2.2).
    used = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
    bytes.remove_prefix(used);
  }
  if (bytes.empty()) return used;
  const bool was_head = impl.state == State::kHead;
  boost::system::error_code error;
  // Not eager: stops at the end of the header, so that it can be judged before the body comes.
  impl.parser.eager(!was_head);
  used += impl.parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error && error != http::error::need_more) {
    impl.RefuseError(error);
    return used;
  }
  if (was_head && impl.parser.is_header_done()) impl.OnHead();
  if (impl.state == State::kBody && impl.parser.is_done()) impl.state = State::kDone;
  return used;
}

bool RequestReader::expects_continue() const { return impl_->expects_continue; }
bool RequestReader::is_http_1_0() const { return impl_->parser.get().version() == 10; }
bool RequestReader::keep_alive() const { return impl_->parser.get().keep_alive(); }

Request RequestReader::Take() {
  CHECK(impl_->state == State::kDone);
  impl_->request.body = std::move(impl_->parser.get().body());
  return std::move(impl_->request);
}

const RequestReader::Refusal& RequestReader::refusal() const {
  CHECK(impl_->state == State::kFailed);
  return impl_->refusal;
}

}  // namespace shoal::net
