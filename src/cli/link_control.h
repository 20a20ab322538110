// Steering a LinkProxy over HTTP, for scripts:
//
//   GET  /                     what the link is like, and what went through, as JSON
//   POST /cut   [?way=up]      nothing gets through until healed; connections stay open
//   POST /heal  [?way=up]
//   POST /reset                resets every connection
//   POST /set?delay=50ms&...   delay, jitter, rate, loss, retransmit, each UP/DOWN or one for both
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "links/shaper.h"
#include "net/http.h"
#include "net/link_proxy.h"

namespace shoal::cli {

using TraitsOfWays = std::pair<links::LinkTraits, links::LinkTraits>;  // Up, down.

// Sets the named trait of both directions from text such as "20ms", "5M/50M", "0.5%".
// kInvalidArgument for a value that cannot be read, kNotFound for a name that is none.
Status SetLinkTrait(TraitsOfWays& traits, std::string_view name, std::string_view value);

// Answers one request. Requests of web pages, which have an Origin, are refused.
net::Response AnswerLinkControl(net::LinkProxy& proxy, const net::Request& request);

}  // namespace shoal::cli
