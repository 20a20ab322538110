#include "net/forwarded.h"

#include <gtest/gtest.h>

namespace shoal::net {
namespace {

Request From(std::string address, Headers headers) {
  Request request;
  request.peer_address = std::move(address);
  request.headers = std::move(headers);
  return request;
}

class TrustedProxiesTest : public testing::Test {
 protected:
  Request Applied(std::string address, Headers headers) const {
    Request request = From(std::move(address), std::move(headers));
    proxies_.Apply(request);
    return request;
  }

  TrustedProxies proxies_ = *TrustedProxies::Parse({"127.0.0.1", "10.0.0.0/8"});
};

TEST_F(TrustedProxiesTest, TellsWhoIsBehindAProxy) {
  const Request request = Applied("127.0.0.1", {{"Host", "127.0.0.1:8080"},
                                                {"X-Forwarded-For", "203.0.113.9"},
                                                {"X-Forwarded-Proto", "https"},
                                                {"X-Forwarded-Host", "shoal.example"}});
  EXPECT_EQ(request.peer_address, "203.0.113.9");
  EXPECT_TRUE(request.is_secure);
  EXPECT_EQ(request.headers.Get("Host"), "shoal.example");
  EXPECT_FALSE(request.headers.Has("X-Forwarded-For"));
}

TEST_F(TrustedProxiesTest, BelievesNobodyElse) {
  const Request request = Applied("203.0.113.9", {{"Host", "shoal.example"},
                                                  {"X-Forwarded-For", "127.0.0.1"},
                                                  {"X-Forwarded-Proto", "https"},
                                                  {"X-Forwarded-Host", "evil.example"}});
  EXPECT_EQ(request.peer_address, "203.0.113.9");
  EXPECT_FALSE(request.is_secure);
  EXPECT_EQ(request.headers.Get("Host"), "shoal.example");
  EXPECT_FALSE(request.headers.Has("X-Forwarded-For"));
}

TEST_F(TrustedProxiesTest, StopsAtTheFirstAddressThatAProxyDidNotWrite) {
  // The client wrote "1.2.3.4" itself; the outer proxy added 203.0.113.9, the inner one 10.0.0.5.
  EXPECT_EQ(
      Applied("127.0.0.1", {{"X-Forwarded-For", "1.2.3.4, 203.0.113.9 ,10.0.0.5"}}).peer_address,
      "203.0.113.9");
  EXPECT_EQ(
      Applied("127.0.0.1", {{"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-For", "10.1.1.1"}})
          .peer_address,
      "203.0.113.9");
  EXPECT_EQ(Applied("127.0.0.1", {{"X-Forwarded-For", "203.0.113.9, unknown"}}).peer_address,
            "127.0.0.1");
  EXPECT_EQ(Applied("127.0.0.1", {{"X-Forwarded-For", ",,"}}).peer_address, "127.0.0.1");
  EXPECT_EQ(Applied("127.0.0.1", {{"X-Forwarded-For", "10.0.0.7"}}).peer_address, "10.0.0.7");
  EXPECT_EQ(Applied("::ffff:127.0.0.1", {{"X-Forwarded-For", "2001:db8::1"}}).peer_address,
            "2001:db8::1");
}

TEST_F(TrustedProxiesTest, TakesNoNonsenseForAHost) {
  const Request request =
      Applied("127.0.0.1", {{"Host", "a"}, {"X-Forwarded-Host", "x\"><script>"}});
  EXPECT_EQ(request.headers.Get("Host"), "a");
  EXPECT_EQ(
      Applied("127.0.0.1", {{"X-Forwarded-Host", "old.example, new.example"}}).headers.Get("Host"),
      "new.example");
}

TEST(TrustedProxiesParseTest, SaysWhatIsWrong) {
  EXPECT_FALSE(TrustedProxies::Parse({"127.0.0.1", "proxy.example"}));
  EXPECT_FALSE(TrustedProxies().Trusts("127.0.0.1"));
}

}  // namespace
}  // namespace shoal::net
