#include "cli/link_control.h"

#include <boost/json.hpp>
#include <optional>
#include <vector>

#include "base/str_cat.h"
#include "links/quantities.h"

namespace shoal::cli {

namespace {

namespace json = boost::json;

Status SetOne(links::LinkTraits& traits, std::string_view name, std::string_view value) {
  if (name == "delay") {
    ASSIGN_OR_RETURN(traits.delay, links::ParseDuration(value));
  } else if (name == "jitter") {
    ASSIGN_OR_RETURN(traits.jitter, links::ParseDuration(value));
  } else if (name == "rate") {
    ASSIGN_OR_RETURN(traits.bytes_per_second, links::ParseRate(value));
  } else if (name == "loss") {
    ASSIGN_OR_RETURN(traits.loss, links::ParseShare(value));
  } else if (name == "retransmit") {
    ASSIGN_OR_RETURN(traits.retransmit, links::ParseDuration(value));
  } else {
    return Fail(Code::kNotFound, StrCat("a link has no \"", name, "\""));
  }
  return {};
}

Result<std::vector<net::Way>> WaysOf(const net::Request& request) {
  const auto way = request.Query("way");
  if (!way || *way == "both") return std::vector{net::Way::kUp, net::Way::kDown};
  if (*way == "up") return std::vector{net::Way::kUp};
  if (*way == "down") return std::vector{net::Way::kDown};
  return Fail(Code::kInvalidArgument, "way is one of up, down and both");
}

json::object Describe(const net::LinkProxy& proxy, net::Way way) {
  const links::Shaper& shaper = proxy.shaper(way);
  const links::LinkTraits& traits = shaper.traits();
  return {{"cut", shaper.is_cut()},
          {"bytes", proxy.counters().bytes[static_cast<size_t>(way)]},
          {"delay_us", traits.delay},
          {"jitter_us", traits.jitter},
          {"bits_per_second", 8 * traits.bytes_per_second},
          {"loss", traits.loss},
          {"retransmit_us", traits.retransmit}};
}

net::Response Describe(const net::LinkProxy& proxy) {
  const net::LinkCounters counters = proxy.counters();
  return net::JsonResponse(
      200, json::serialize(json::object{{"connections", counters.open},
                                        {"accepted", counters.accepted},
                                        {"waiting_bytes", counters.waiting_bytes},
                                        {"up", Describe(proxy, net::Way::kUp)},
                                        {"down", Describe(proxy, net::Way::kDown)}}));
}

Status Steer(net::LinkProxy& proxy, const net::Request& request) {
  if (request.path == "/cut" || request.path == "/heal") {
    ASSIGN_OR_RETURN(const std::vector<net::Way> ways, WaysOf(request));
    for (const net::Way way : ways) request.path == "/cut" ? proxy.Cut(way) : proxy.Heal(way);
    return {};
  }
  if (request.path == "/reset") {
    proxy.Reset();
    return {};
  }
  if (request.path == "/set") {
    TraitsOfWays traits{proxy.shaper(net::Way::kUp).traits(),
                        proxy.shaper(net::Way::kDown).traits()};
    for (const auto& [name, value] : request.query) {
      RETURN_IF_ERROR(SetLinkTrait(traits, name, value));
    }
    proxy.SetTraits(net::Way::kUp, traits.first);
    proxy.SetTraits(net::Way::kDown, traits.second);
    return {};
  }
  return Fail(Code::kNotFound, "there are /, /cut, /heal, /reset and /set");
}

}  // namespace

Status SetLinkTrait(TraitsOfWays& traits, std::string_view name, std::string_view value) {
  const auto [up, down] = links::SplitWays(value);
  RETURN_IF_ERROR(SetOne(traits.first, name, up));
  return SetOne(traits.second, name, down);
}

net::Response AnswerLinkControl(net::LinkProxy& proxy, const net::Request& request) {
  if (request.headers.Has("Origin")) {
    return net::TextResponse(403, "This is not for web pages.\n");
  }
  if (request.method == "GET" && request.path == "/") return Describe(proxy);
  if (request.method != "POST") {
    return net::TextResponse(405, "GET / tells; POST /cut, /heal, /reset and /set steer.\n");
  }
  const Status done = Steer(proxy, request);
  if (!done) {
    const int status = done.error().code == Code::kNotFound ? 404 : 400;
    return net::TextResponse(status, done.error().detail + "\n");
  }
  return Describe(proxy);
}

}  // namespace shoal::cli
