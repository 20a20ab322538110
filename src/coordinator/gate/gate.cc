#include "coordinator/gate/gate.h"

#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/errors.h"
#include "net/address.h"

namespace shoal {
namespace {

constexpr size_t kMaxAskedHeadersBytes = 2048;
constexpr const char* kPreflightSeconds = "600";

// In the shape that the door's clients understand.
net::Response Refusal(Door door, const api::ApiError& error) {
  if (door == Door::kApi) return api::ErrorResponse(error);
  net::Response response = net::TextResponse(error.status, error.message + "\n");
  if (error.retry_after_s) response.headers.Set("Retry-After", StrCat(*error.retry_after_s));
  return response;
}

api::ApiError ReboundError(std::string_view host) {
  api::ApiError error;
  error.status = 421;
  error.code = "misdirected_request";
  error.message = StrCat(
      "This server listens on this machine only and does not answer to the name ", host,
      ". Ask for 127.0.0.1 or localhost; if a reverse proxy leads here, start the server with ",
      "--trusted-proxy and the proxy's address.");
  return error;
}

api::ApiError OriginError(std::string_view origin) {
  api::ApiError error;
  error.status = 403;
  error.code = "origin_not_allowed";
  error.message =
      StrCat("Pages of ", origin, " may not use this server; --allow-origin names those that may. ",
             "Behind a reverse proxy, let it pass Host on, or name it with --trusted-proxy.");
  return error;
}

api::ApiError KeyError(bool is_missing) {
  api::ApiError error;
  error.status = 401;
  error.code = "invalid_api_key";
  error.message = is_missing ? "This server asks for an API key: send Authorization: Bearer KEY."
                             : "The API key is not one of this server's.";
  return error;
}

api::ApiError RateError(std::string_view what, uint32_t retry_after_s) {
  api::ApiError error;
  error.status = 429;
  error.type = "rate_limit_error";
  error.code = "rate_limit_exceeded";
  error.message = StrCat("Too many ", what, "; try again in ", retry_after_s, " s.");
  error.retry_after_s = retry_after_s;
  return error;
}

// What the browser needs to hand the answer to the page's script.
void AddCorsHeaders(const net::Request& request, net::Responder& responder) {
  responder.AddHeader("Access-Control-Allow-Origin", request.headers.Get("Origin"));
  responder.AddHeader("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate");
  responder.AddHeader("Vary", "Origin");
}

bool IsPreflight(const net::Request& request) {
  return request.method == "OPTIONS" && request.headers.Has("Origin") &&
         request.headers.Has("Access-Control-Request-Method");
}

net::Response PreflightAnswer(const net::Request& request) {
  net::Response response;
  response.status = 204;
  response.headers.Set("Access-Control-Allow-Methods", "GET, HEAD, POST");
  response.headers.Set("Access-Control-Max-Age", kPreflightSeconds);
  // Whatever the client's library adds of its own is welcome.
  const std::string_view asked = request.headers.Get("Access-Control-Request-Headers");
  if (!asked.empty() && asked.size() <= kMaxAskedHeadersBytes) {
    response.headers.Set("Access-Control-Allow-Headers", asked);
  }
  if (request.headers.Has("Access-Control-Request-Private-Network")) {
    response.headers.Set("Access-Control-Allow-Private-Network", "true");
  }
  return response;
}

}  // namespace

Gate::Gate(Options options)
    : options_(std::move(options)), requests_(options_.requests), joins_(options_.joins) {}

// A name that its owner points to 127.0.0.1 makes a page of theirs look like one of ours.
bool Gate::IsRebound(const net::Request& request, std::string_view peer) const {
  if (!options_.is_loopback || options_.proxies.Trusts(peer)) return false;
  const std::string_view host = net::HostOfAuthority(request.headers.Get("Host"));
  return !host.empty() && !net::IsLoopbackHost(host);
}

std::optional<net::Response> Gate::JudgeApi(const net::Request& request, std::string& client,
                                            Micros now) {
  if (!options_.keys.empty()) {
    const std::string_view presented = request.headers.Get("Authorization");
    const std::optional<std::string> name = options_.keys.Find(presented);
    if (!name) {
      // Wrong keys are counted as well: nobody tries many.
      if (const uint32_t wait = requests_.Take(client, now)) {
        return api::ErrorResponse(RateError("requests without a valid key", wait));
      }
      net::Response response = api::ErrorResponse(KeyError(presented.empty()));
      response.headers.Set("WWW-Authenticate", "Bearer realm=\"shoal\"");
      return response;
    }
    client = StrCat("key ", *name);
  }
  if (const uint32_t wait = requests_.Take(client, now)) {
    return api::ErrorResponse(RateError("requests", wait));
  }
  return std::nullopt;
}

std::optional<std::string> Gate::Enter(Door door, net::Request& request, net::Responder& responder,
                                       Micros now) {
  const std::string peer = request.peer_address;
  options_.proxies.Apply(request);
  const auto refuse = [&](const api::ApiError& error) {
    responder.Send(Refusal(door, error));
    return std::nullopt;
  };
  if (IsRebound(request, peer)) return refuse(ReboundError(request.headers.Get("Host")));
  std::string client = net::PeerKey(request.peer_address);
  if (door == Door::kPages) return client;

  const Origins::Kind origin = options_.origins.Judge(request);
  if (origin == Origins::Kind::kAllowed) AddCorsHeaders(request, responder);
  if (origin == Origins::Kind::kForeign && door != Door::kPublic) {
    return refuse(OriginError(request.headers.Get("Origin")));
  }
  if (IsPreflight(request) && origin != Origins::Kind::kForeign) {
    responder.Send(PreflightAnswer(request));
    return std::nullopt;
  }
  if (door == Door::kVolunteers) {
    if (const uint32_t wait = joins_.Take(client, now)) {
      return refuse(RateError("connections from this address", wait));
    }
  }
  if (door == Door::kApi) {
    if (auto refusal = JudgeApi(request, client, now)) {
      responder.Send(*std::move(refusal));
      return std::nullopt;
    }
  }
  return client;
}

}  // namespace shoal
