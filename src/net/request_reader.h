// Bytes of a connection -> one request, checked. The parser is Beast's; what it lets pass and we do
// not is refused here: bodies of two lengths, unknown codings, requests without Host, bad
// handshakes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"

namespace shoal::net {

class RequestReader {
 public:
  // Larger headers fail with 431, larger bodies with 413.
  RequestReader(uint32_t max_header_bytes, uint64_t max_body_bytes);
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;

  enum class State {
    kHead,    // The header is not complete.
    kBody,    // The header is, the body is not.
    kDone,    // The request can be taken.
    kFailed,  // See refusal().
  };
  State state() const;

  // Reads on; returns how many of the bytes were used. The others are to be given again, with more
  // behind them. Stops at the end of the header and at the end of the request.
  size_t Put(std::string_view bytes);

  // Between kHead and kDone: the client waits for "100 Continue" before it sends the body.
  bool expects_continue() const;
  // From the end of the header on.
  bool is_http_1_0() const;
  bool keep_alive() const;

  // In kDone, once. The connection adds what it knows of the peer.
  Request Take();

  // In kFailed: what to answer before the connection is closed.
  struct Refusal {
    int status = 400;
    std::string detail;
  };
  const Refusal& refusal() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
