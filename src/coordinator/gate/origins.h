// From which pages requests may come. A browser says in Origin which page a script runs in; what
// is not a browser says nothing and is judged by its key alone.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/http.h"

namespace shoal {

class Origins {
 public:
  Origins() = default;  // Only the server's own.
  // "https://chat.example", "http://10.0.0.1:3000", or "*" for every one. kInvalidArgument for what
  // no browser would send.
  static Result<Origins> Parse(const std::vector<std::string>& allowed);

  enum class Kind {
    kNone,     // No Origin: not a script of a page.
    kOwn,      // A page of this server.
    kAllowed,  // A page of another one that is on the list.
    kForeign,
  };
  // The own origin has the request's Host as its host. Its scheme counts where it is known: a
  // connection without TLS may have come through a proxy that nobody told us of.
  Kind Judge(const net::Request& request) const;

 private:
  bool any_ = false;
  std::vector<std::string> allowed_;
};

}  // namespace shoal
