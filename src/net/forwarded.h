// What a reverse proxy says about the client behind it: X-Forwarded-For, -Proto and -Host. Believed
// only from the addresses that the operator names; from everybody else the fields mean nothing.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "net/http.h"

namespace shoal::net {

class TrustedProxies {
 public:
  TrustedProxies() = default;  // Nobody.
  // "127.0.0.1", "10.0.0.0/8", ...
  static Result<TrustedProxies> Parse(const std::vector<std::string>& ranges);

  bool empty() const { return ranges_.empty(); }
  bool Trusts(std::string_view address) const;

  // Of a request that came from a trusted proxy: peer_address becomes the client's, is_secure what
  // the proxy was reached over, Host the name that the client asked for. The client is the last
  // address in X-Forwarded-For that is no trusted proxy itself: what stands before it, anybody may
  // have written. The fields are removed from every request.
  void Apply(Request& request) const;

 private:
  std::vector<AddressRange> ranges_;
};

}  // namespace shoal::net
