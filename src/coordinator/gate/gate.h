// Who comes in. Every request passes here before it reaches pages, API or sockets: what a trusted
// proxy says is taken in, and host, origin, key and rate are judged.
//
// Refusals: 421 for a name that leads here by a trick (DNS rebinding), 403 for scripts of pages of
// other origins, 401 without a valid key, 429 with Retry-After for too many requests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "coordinator/gate/api_keys.h"
#include "coordinator/gate/origins.h"
#include "coordinator/gate/rate_limiter.h"
#include "net/forwarded.h"
#include "net/http.h"

namespace shoal {

enum class Door {
  kPages,       // For everybody.
  kPublic,      // Status, blobs: for everybody; scripts of other origins only if those are allowed.
  kVolunteers,  // Sockets: own and allowed origins; joins are counted.
  kApi,         // Own and allowed origins, a key if there are any; requests are counted.
};

class Gate {
 public:
  struct Options {
    net::TrustedProxies proxies;
    ApiKeys keys;
    Origins origins;
    // Only this machine's own programs can connect: no other name than localhost's is right.
    bool is_loopback = false;
    RateLimiter::Options requests;  // By key, or by address without one.
    RateLimiter::Options joins;     // By address.
  };
  explicit Gate(Options options);

  // Who asks ("key NAME" or an address), for shares and logs; nothing when the request has been
  // answered already. What a proxy said is in `request` afterwards, CORS headers are in
  // `responder`.
  std::optional<std::string> Enter(Door door, net::Request& request, net::Responder& responder,
                                   Micros now);

  bool Trusts(std::string_view address) const { return options_.proxies.Trusts(address); }

 private:
  bool IsRebound(const net::Request& request, std::string_view peer) const;
  std::optional<net::Response> JudgeApi(const net::Request& request, std::string& client,
                                        Micros now);

  const Options options_;
  RateLimiter requests_;
  RateLimiter joins_;
};

}  // namespace shoal
