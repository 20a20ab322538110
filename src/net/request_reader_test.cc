#include "net/request_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace shoal::net {
namespace {

using State = RequestReader::State;

// Feeds `bytes` in pieces of `step`, as a connection would.
State Feed(RequestReader& reader, std::string_view bytes, size_t step) {
  std::string inbox;
  for (size_t at = 0; at < bytes.size(); at += step) {
    inbox += bytes.substr(at, step);
    while (reader.state() == State::kHead || reader.state() == State::kBody) {
      const size_t used = reader.Put(inbox);
      inbox.erase(0, used);
      if (used == 0 || inbox.empty()) break;
    }
    if (reader.state() == State::kDone || reader.state() == State::kFailed) break;
  }
  return reader.state();
}

int StatusOf(std::string_view bytes) {
  RequestReader reader(2048, 100);
  const State state = Feed(reader, bytes, bytes.size());
  if (state == State::kDone) return 200;
  return state == State::kFailed ? reader.refusal().status : 0;
}

TEST(RequestReader, ReadsTheSameInPiecesOfAnySize) {
  const std::string bytes =
      "\r\nPOST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nX-Thing: one\r\nx-thing: two\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Late: 1\r\n\r\n";
  for (size_t step = 1; step <= bytes.size(); ++step) {
    RequestReader reader(2048, 100);
    ASSERT_EQ(Feed(reader, bytes, step), State::kDone) << step;
    EXPECT_TRUE(reader.keep_alive());
    const Request request = reader.Take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/a b");
    EXPECT_EQ(request.Query("x"), "1");
    EXPECT_EQ(request.headers.Get("X-THING"), "one");
    EXPECT_FALSE(request.headers.Has("X-Late"));
    EXPECT_EQ(request.body, "hello world");
  }
}

TEST(RequestReader, StopsAtTheEndOfARequest) {
  RequestReader reader(2048, 100);
  const std::string first = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(reader.Put(first + "GET /2"), first.size());
  EXPECT_EQ(reader.state(), State::kDone);
}

TEST(RequestReader, RefusesWithTheRightStatus) {
  const auto get = [](std::string_view rest) {
    return StatusOf("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(rest) + "\r\n");
  };
  EXPECT_EQ(get(""), 200);
  EXPECT_EQ(StatusOf("GET http://h:1/x HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(get("Host: i\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf("GET /../ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("\x16\x03\x01\x02\x01\x01 hello tls\r\n\r\n"), 400);
  EXPECT_EQ(get("Expect: tea\r\n"), 417);
  EXPECT_EQ(get("Content-Length: x\r\n"), 400);
  EXPECT_EQ(get("Content-Length: -1\r\n"), 400);
  EXPECT_EQ(get("Content-Length: 99999999999999999999999\r\n"), 400);
  EXPECT_EQ(get("Content-Length: 101\r\n"), 413);
  EXPECT_EQ(get("Bad Name: 1\r\n"), 400);
  EXPECT_EQ(get("X: a\x01z\r\n"), 400);
  EXPECT_EQ(get("X: " + std::string(3000, 'a') + "\r\n"), 431);
}

TEST(RequestReader, RefusesBodiesOfTwoLengths) {
  const auto post = [](std::string_view rest) {
    return StatusOf("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(rest));
  };
  EXPECT_EQ(post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(post("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400);
  EXPECT_EQ(post("Transfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501);
}

TEST(RequestReader, RefusesBadChunks) {
  const auto chunks = [](std::string_view body) {
    return StatusOf("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                    std::string(body));
  };
  EXPECT_EQ(chunks("3\r\nabc\r\n0\r\n\r\n"), 200);
  EXPECT_EQ(chunks("x\r\nabc\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(chunks("-1\r\nabc\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(chunks("3\r\nabcdef\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(chunks("fffffffffffffffff\r\nabc"), 400);
  EXPECT_EQ(chunks("ffffffffffffffff\r\nabc"), 413);
  EXPECT_EQ(chunks("65\r\n" + std::string(101, 'a') + "\r\n0\r\n\r\n"), 413);
}

TEST(RequestReader, ChecksHandshakes) {
  const auto upgrade = [](std::string_view start, std::string_view rest) {
    RequestReader reader(2048, 100);
    const std::string bytes =
        std::string(start) + "\r\nHost: h\r\nUpgrade: websocket\r\n" + std::string(rest) + "\r\n";
    if (Feed(reader, bytes, bytes.size()) == State::kFailed) return reader.refusal().status;
    return reader.Take().wants_websocket ? 101 : 200;
  };
  const std::string get = "GET /w HTTP/1.1";
  const std::string connection = "Connection: keep-alive, Upgrade\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  EXPECT_EQ(upgrade(get, connection + version + key), 101);
  EXPECT_EQ(upgrade("POST /w HTTP/1.1", connection + version + key), 400);
  EXPECT_EQ(upgrade("GET /w HTTP/1.0", connection + version + key), 400);
  EXPECT_EQ(upgrade(get, version + key), 400);
  EXPECT_EQ(upgrade(get, connection + key), 426);
  EXPECT_EQ(upgrade(get, connection + "Sec-WebSocket-Version: 8\r\n" + key), 426);
  EXPECT_EQ(upgrade(get, connection + version), 400);
  EXPECT_EQ(upgrade(get, connection + version + "Sec-WebSocket-Key: short\r\n"), 400);
}

TEST(Headers, CompareNamesInAnyCaseAndReadLists) {
  Headers headers = {{"Accept-Encoding", "gzip;q=0, br;q=1.0 ,deflate"}, {"X", "1"}, {"x", "2"}};
  EXPECT_TRUE(headers.HasToken("accept-encoding", "BR"));
  EXPECT_TRUE(headers.HasToken("accept-encoding", "deflate"));
  EXPECT_FALSE(headers.HasToken("accept-encoding", "gzip"));
  EXPECT_FALSE(headers.HasToken("accept-encoding", "def"));
  headers.Set("X", "3");
  EXPECT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers.Get("x"), "3");
}

TEST(Headers, KeepValuesOnTheirLine) {
  const Headers headers = {{"X", "a\r\nSet-Cookie: b"}};
  EXPECT_EQ(headers.Serialize(), "X: a  Set-Cookie: b\r\n");
}

}  // namespace
}  // namespace shoal::net
