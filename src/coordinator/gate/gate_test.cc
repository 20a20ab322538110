// The gate in front of a real server, as browsers and clients meet it.
#include "coordinator/gate/gate.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <memory>

#include "base/str_cat.h"
#include "net/client.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal {
namespace {

class GateTest : public testing::Test {
 protected:
  GateTest() { options_.is_loopback = true; }

  void Serve() {
    gate_ = std::make_unique<Gate>(std::move(options_));
    auto listening =
        net::Server::Listen(loop_, {}, [this](net::Request request, net::Responder responder) {
          const Door door = request.path == "/v1/x"        ? Door::kApi
                            : request.path == "/volunteer" ? Door::kVolunteers
                            : request.path == "/status"    ? Door::kPublic
                                                           : Door::kPages;
          const auto client = gate_->Enter(door, request, responder, now_);
          if (client) responder.Send(net::TextResponse(200, *client));
        });
    ASSERT_TRUE(listening) << listening.error().ToString();
    server_ = *std::move(listening);
  }

  net::ClientResponse Call(const std::string& path, net::Headers headers = {},
                           const std::string& method = "GET") {
    net::ClientRequest request;
    request.method = method;
    request.url = StrCat("http://127.0.0.1:", server_->port(), path);
    request.headers = std::move(headers);
    auto response = net::Fetch(loop_, request);
    EXPECT_TRUE(response) << response.error().ToString();
    return response.value_or(net::ClientResponse());
  }
  std::string Own() const { return StrCat("http://127.0.0.1:", server_->port()); }

  net::EventLoop loop_;
  Gate::Options options_;
  Micros now_ = 0;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<net::Server> server_;
};

TEST_F(GateTest, LetsEverybodyInByDefault) {
  Serve();
  for (const char* path : {"/", "/status", "/v1/x", "/volunteer"}) {
    const auto answer = Call(path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body, "127.0.0.1");
    EXPECT_EQ(Call(path, {{"Origin", Own()}}).status, 200) << path;
    EXPECT_FALSE(answer.headers.Has("Access-Control-Allow-Origin"));
  }
}

TEST_F(GateTest, KeepsPagesOfOtherOriginsOut) {
  Serve();
  for (const char* origin : {"http://evil.example", "null"}) {
    EXPECT_EQ(Call("/volunteer", {{"Origin", origin}}).status, 403);
    const auto answer = Call("/v1/x", {{"Origin", origin}}, "POST");
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(boost::json::parse(answer.body).at("error").at("code"), "origin_not_allowed");
    EXPECT_EQ(
        Call("/v1/x", {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}}, "OPTIONS")
            .status,
        403);
    // What everybody may see is sent, but no script of theirs gets to read it.
    const auto status = Call("/status", {{"Origin", origin}});
    EXPECT_EQ(status.status, 200);
    EXPECT_FALSE(status.headers.Has("Access-Control-Allow-Origin"));
  }
}

TEST_F(GateTest, LetsAllowedOriginsReadAnswers) {
  options_.origins = *Origins::Parse({"https://chat.example"});
  options_.keys.Add("alice", "sk-1").value();
  Serve();
  const net::Headers from = {{"Origin", "https://chat.example"}};
  EXPECT_EQ(Call("/status", from).headers.Get("Access-Control-Allow-Origin"),
            "https://chat.example");
  // Errors too: otherwise the page could not say what is wrong.
  const auto refused = Call("/v1/x", from, "POST");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.headers.Get("Access-Control-Allow-Origin"), "https://chat.example");
  EXPECT_EQ(refused.headers.Get("Vary"), "Origin");
  // A preflight carries no key.
  const auto preflight = Call("/v1/x",
                              {{"Origin", "https://chat.example"},
                               {"Access-Control-Request-Method", "POST"},
                               {"Access-Control-Request-Headers", "authorization, x-stainless-os"}},
                              "OPTIONS");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.Get("Access-Control-Allow-Headers"), "authorization, x-stainless-os");
  EXPECT_EQ(preflight.headers.Get("Access-Control-Allow-Origin"), "https://chat.example");
}

TEST_F(GateTest, AsksForAKey) {
  options_.keys.Add("alice", "sk-1").value();
  options_.keys.Add("bob", "sk-2").value();
  Serve();
  for (const net::Headers& wrong :
       {net::Headers(), net::Headers{{"Authorization", "Bearer sk-3"}},
        net::Headers{{"Authorization", "Basic sk-1"}}, net::Headers{{"X-Api-Key", "sk-1"}}}) {
    const auto answer = Call("/v1/x", wrong);
    EXPECT_EQ(answer.status, 401);
    EXPECT_TRUE(answer.headers.Get("WWW-Authenticate").starts_with("Bearer"));
    const auto error = boost::json::parse(answer.body).at("error");
    EXPECT_EQ(error.at("code"), "invalid_api_key");
    EXPECT_EQ(error.at("type"), "invalid_request_error");
  }
  EXPECT_EQ(Call("/v1/x", {{"Authorization", "Bearer sk-1"}}).body, "key alice");
  EXPECT_EQ(Call("/v1/x", {{"Authorization", "Bearer sk-2"}}).body, "key bob");
  // The rest needs none.
  for (const char* path : {"/", "/status", "/volunteer"}) EXPECT_EQ(Call(path).status, 200);
}

TEST_F(GateTest, CountsRequestsByClient) {
  options_.keys.Add("alice", "sk-1").value();
  options_.keys.Add("bob", "sk-2").value();
  options_.requests = {.per_minute = 60, .burst = 2};
  Serve();
  const net::Headers alice = {{"Authorization", "Bearer sk-1"}};
  EXPECT_EQ(Call("/v1/x", alice).status, 200);
  EXPECT_EQ(Call("/v1/x", alice).status, 200);
  const auto refused = Call("/v1/x", alice);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.Get("Retry-After"), "1");
  EXPECT_EQ(boost::json::parse(refused.body).at("error").at("code"), "rate_limit_exceeded");
  EXPECT_EQ(Call("/v1/x", {{"Authorization", "Bearer sk-2"}}).status, 200);
  // Whoever tries keys runs into the limit as well, and does not use up anybody's share.
  EXPECT_EQ(Call("/v1/x").status, 401);
  EXPECT_EQ(Call("/v1/x").status, 401);
  EXPECT_EQ(Call("/v1/x").status, 429);
  now_ += kSecond;
  EXPECT_EQ(Call("/v1/x", alice).status, 200);
}

TEST_F(GateTest, CountsJoins) {
  options_.joins = {.per_minute = 60, .burst = 2};
  Serve();
  EXPECT_EQ(Call("/volunteer").status, 200);
  EXPECT_EQ(Call("/volunteer").status, 200);
  const auto refused = Call("/volunteer");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.Get("Retry-After"), "1");
  EXPECT_EQ(Call("/v1/x").status, 200);
}

TEST_F(GateTest, SeesThroughAnotherNameForLoopback) {
  Serve();
  EXPECT_EQ(Call("/", {{"Host", "localhost"}}).status, 200);
  // evil.example points to 127.0.0.1, and its page says that it is of evil.example.
  for (const char* path : {"/", "/status", "/v1/x", "/volunteer"}) {
    EXPECT_EQ(Call(path, {{"Host", "evil.example"}, {"Origin", "http://evil.example"}}).status, 421)
        << path;
  }
}

TEST_F(GateTest, BelievesATrustedProxy) {
  options_.proxies = *net::TrustedProxies::Parse({"127.0.0.1"});
  options_.requests = {.per_minute = 60, .burst = 1};
  Serve();
  const net::Headers one = {{"Host", "shoal.example"},
                            {"X-Forwarded-For", "203.0.113.1"},
                            {"X-Forwarded-Proto", "https"},
                            {"Origin", "https://shoal.example"}};
  const net::Headers two = {{"Host", "shoal.example"}, {"X-Forwarded-For", "203.0.113.2"}};
  EXPECT_EQ(Call("/v1/x", one).body, "203.0.113.1");
  EXPECT_EQ(Call("/v1/x", two).body, "203.0.113.2");  // Shares are the clients', not the proxy's.
  EXPECT_EQ(Call("/v1/x", one).status, 429);
  net::Headers plain = one;
  plain.Set("Origin", "http://shoal.example");
  EXPECT_EQ(Call("/volunteer", plain).status, 403);
}

}  // namespace
}  // namespace shoal
