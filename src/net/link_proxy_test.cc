#include "net/link_proxy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/test_support.h"

namespace shoal::net {
namespace {

class LinkProxyTest : public testing::Test {
 protected:
  void Open(LinkProxyOptions options) {
    options.to_host = "127.0.0.1";
    options.to_port = target_.port();
    auto proxy = LinkProxy::Listen(loop_, std::move(options));
    ASSERT_TRUE(proxy) << proxy.error().ToString();
    proxy_ = *std::move(proxy);
  }

  // A client and what the target sees of it.
  std::pair<std::unique_ptr<RawClient>, std::unique_ptr<RawClient>> Connect() {
    auto client = std::make_unique<RawClient>(loop_, proxy_->port());
    auto server = target_.Accept();
    EXPECT_NE(server, nullptr);
    return {std::move(client), std::move(server)};
  }

  // Microseconds that `fn` takes.
  template <typename Fn>
  int64_t TimeOf(Fn fn) {
    const int64_t start = loop_.NowUs();
    fn();
    return loop_.NowUs() - start;
  }

  EventLoop loop_;
  RawListener target_{loop_};
  std::unique_ptr<LinkProxy> proxy_;
};

std::string Pattern(size_t bytes, uint32_t seed) {
  std::string text(bytes, '\0');
  for (char& c : text) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return text;
}

TEST_F(LinkProxyTest, BytesPassUnchangedBothWays) {
  Open({.up = {.delay = 1000, .jitter = 2000, .loss = 0.01, .retransmit = 3000},
        .down = {.jitter = 500},
        .seed = 5});
  const auto [client, server] = Connect();
  const std::string up = Pattern(700'000, 1);
  const std::string down = Pattern(300'000, 2);
  // Written and read by turns: neither side's socket holds it all.
  std::string got_up;
  std::string got_down;
  for (size_t at = 0; at < up.size(); at += 70'000) {
    ASSERT_TRUE(client->Send(up.substr(at, 70'000)));
    got_up += server->ReadBytes(70'000);
  }
  for (size_t at = 0; at < down.size(); at += 50'000) {
    ASSERT_TRUE(server->Send(down.substr(at, 50'000)));
    got_down += client->ReadBytes(50'000);
  }
  EXPECT_EQ(got_up, up);
  EXPECT_EQ(got_down, down);
  const LinkCounters counters = proxy_->counters();
  EXPECT_EQ(counters.bytes[0], up.size());
  EXPECT_EQ(counters.bytes[1], down.size());
  EXPECT_EQ(counters.waiting_bytes, 0u);
}

// The times of the shaper, measured: never less, and at best hardly more. The least of several:
// other processes may take the processor away.
TEST_F(LinkProxyTest, DelaysEachWayByItsOwnTime) {
  Open({.up = {.delay = 30'000}, .down = {.delay = 10'000}});
  std::unique_ptr<RawClient> client;
  std::unique_ptr<RawClient> server;
  EXPECT_GE(TimeOf([&] { std::tie(client, server) = Connect(); }), 40'000);
  ASSERT_TRUE(client->Send("hello"));
  ASSERT_EQ(server->ReadBytes(5), "hello");
  int64_t least = 1 << 30;
  for (int i = 0; i < 20; ++i) {
    const int64_t round_trip = TimeOf([&] {
      client->Send("ping!");
      EXPECT_EQ(server->ReadBytes(5), "ping!");
      server->Send("pong!");
      EXPECT_EQ(client->ReadBytes(5), "pong!");
    });
    EXPECT_GE(round_trip, 40'000);
    least = std::min(least, round_trip);
  }
  EXPECT_LE(least, 50'000) << "the test itself looks about each millisecond";
}

TEST_F(LinkProxyTest, BytesTakeAsLongAsTheRateSays) {
  Open({.up = {.bytes_per_second = 2e6}});
  const auto [client, server] = Connect();
  int64_t least = 1 << 30;
  for (uint32_t i = 0; i < 4; ++i) {
    const std::string bytes = Pattern(200'000, i);
    const int64_t took = TimeOf([&] {
      ASSERT_TRUE(client->Send(bytes));
      EXPECT_EQ(server->ReadBytes(bytes.size()), bytes);
    });
    EXPECT_GE(took, 99'000);
    least = std::min(least, took);
  }
  EXPECT_LE(least, 120'000);
}

TEST_F(LinkProxyTest, ConnectionsShareTheLink) {
  Open({.up = {.bytes_per_second = 2e6}});
  std::vector<std::pair<std::unique_ptr<RawClient>, std::unique_ptr<RawClient>>> all;
  for (int i = 0; i < 16; ++i) all.push_back(Connect());
  const int64_t took = TimeOf([&] {
    for (uint32_t i = 0; i < all.size(); ++i) ASSERT_TRUE(all[i].first->Send(Pattern(20'000, i)));
    for (uint32_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].second->ReadBytes(20'000), Pattern(20'000, i)) << i;
    }
  });
  EXPECT_GE(took, 159'000);
  EXPECT_EQ(proxy_->counters().open, 16u);
}

TEST_F(LinkProxyTest, OneSideMayEndBeforeTheOther) {
  Open({.up = {.delay = 5000}, .down = {.delay = 5000}});
  const auto [client, server] = Connect();
  client->Send("question");
  client->ShutDownSending();
  EXPECT_EQ(server->ReadToEnd(), "question");
  EXPECT_FALSE(client->IsClosed());
  server->Send("answer");
  server->ShutDownSending();
  EXPECT_EQ(client->ReadToEnd(), "answer");
  EXPECT_TRUE(RunUntil(loop_, [&] { return proxy_->counters().open == 0; }));
}

TEST_F(LinkProxyTest, AResetIsPassedOn) {
  Open({});
  const auto [client, server] = Connect();
  client->Send("x");
  EXPECT_EQ(server->ReadBytes(1), "x");
  client->Reset();
  EXPECT_TRUE(RunUntil(loop_, [&] { return server->IsClosed(); }));
  EXPECT_TRUE(RunUntil(loop_, [&] { return proxy_->counters().open == 0; }));
}

TEST_F(LinkProxyTest, ATargetThatIsGoneResets) {
  std::unique_ptr<RawListener> gone = std::make_unique<RawListener>(loop_);
  auto proxy = LinkProxy::Listen(loop_, {.to_host = "127.0.0.1", .to_port = gone->port()});
  ASSERT_TRUE(proxy);
  gone = nullptr;
  RawClient client(loop_, (*proxy)->port());
  EXPECT_TRUE(RunUntil(loop_, [&] { return client.IsClosed(); }));
}

// What a receiver does not take stays with the sender but for a stated rest.
TEST_F(LinkProxyTest, HoldsNoMoreThanItsBuffer) {
  constexpr size_t kBuffer = 100'000;
  Open({.buffer_bytes = kBuffer});
  const auto [client, server] = Connect();
  proxy_->SetTraits(Way::kUp, {.delay = 3600 * kSecond});
  const std::string bytes = Pattern(16u << 20, 9);
  size_t taken = 0;
  for (int i = 0; i < 50; ++i) taken += client->SendSome(bytes);
  EXPECT_LT(taken, bytes.size()) << "the rest of it is held by the sockets of the test";
  EXPECT_LE(proxy_->counters().waiting_bytes, kBuffer);
  EXPECT_GE(proxy_->counters().waiting_bytes, kBuffer / 2);
}

TEST_F(LinkProxyTest, ACutHoldsEverythingAndHealingBringsIt) {
  Open({.up = {.retransmit = 20'000}, .down = {.retransmit = 20'000}});
  const auto [client, server] = Connect();
  proxy_->Cut(Way::kUp);
  client->Send("late");
  server->Send("now");
  EXPECT_EQ(client->ReadBytes(3), "now");
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(proxy_->counters().bytes[0], 0u);
  EXPECT_FALSE(server->IsClosed());
  // A newcomer waits for the healing, too.
  RawClient newcomer(loop_, proxy_->port());
  newcomer.Send("new");
  loop_.RunFor(std::chrono::milliseconds(20));
  const int64_t took = TimeOf([&] {
    proxy_->Heal(Way::kUp);
    EXPECT_EQ(server->ReadBytes(4), "late");
  });
  EXPECT_GE(took, 20'000);
  const auto second = target_.Accept();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->ReadBytes(3), "new");
}

TEST_F(LinkProxyTest, ResetCutsWhatIsThereAndTakesNewOnes) {
  Open({});
  const auto [client, server] = Connect();
  proxy_->Reset();
  EXPECT_TRUE(RunUntil(loop_, [&] { return client->IsClosed() && server->IsClosed(); }));
  const auto [again, there] = Connect();
  again->Send("x");
  EXPECT_EQ(there->ReadBytes(1), "x");
}

TEST_F(LinkProxyTest, RefusesAddressesThatAreNone) {
  LinkProxyOptions options{.host = "nowhere", .to_host = "127.0.0.1", .to_port = 1};
  auto proxy = LinkProxy::Listen(loop_, options);
  ASSERT_FALSE(proxy);
  EXPECT_EQ(proxy.error().code, Code::kInvalidArgument);
  options.host = "127.0.0.1";
  options.port = target_.port();
  proxy = LinkProxy::Listen(loop_, options);
  ASSERT_FALSE(proxy);
  EXPECT_EQ(proxy.error().code, Code::kAlreadyExists);
}

}  // namespace
}  // namespace shoal::net
