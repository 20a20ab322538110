// The server against clients that behave, and against those that do not.
#include "net/server.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "net/client.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

class ServerTest : public testing::Test {
 protected:
  void Listen(ServerOptions options = {}) {
    auto listening =
        Server::Listen(loop_, std::move(options), [this](Request request, Responder responder) {
          requests_.push_back(request);
          handler_(std::move(request), std::move(responder));
        });
    ASSERT_TRUE(listening) << listening.error().ToString();
    server_ = *std::move(listening);
  }

  EventLoop loop_;
  std::vector<Request> requests_;
  Handler handler_ = [](Request request, Responder responder) {
    responder.Send(TextResponse(200, StrCat(request.method, ' ', request.path, ' ', request.body)));
  };
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersOneRequestAfterTheOtherOnAConnection) {
  Listen();
  RawClient client(loop_, server_->port());
  for (int at = 0; at < 3; ++at) {
    const std::string answer = client.Exchange(
        StrCat("POST /", at, " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with(StrCat("\r\n\r\nPOST /", at, " hi"))) << answer;
  }
  EXPECT_EQ(server_->connections(), 1u);
  EXPECT_EQ(requests_[0].peer_address, "127.0.0.1");
  EXPECT_FALSE(requests_[0].is_secure);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  std::vector<Responder> waiting;
  handler_ = [&](Request, Responder responder) { waiting.push_back(std::move(responder)); };
  Listen();
  RawClient client(loop_, server_->port());
  client.Send(StrCat(kGet, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
  ASSERT_TRUE(RunUntil(loop_, [&] { return !waiting.empty(); }));
  loop_.RunFor(milliseconds(10));
  EXPECT_EQ(waiting.size(), 1u);  // One at a time.
  waiting[0].Send(TextResponse(200, "first"));
  ASSERT_TRUE(RunUntil(loop_, [&] { return waiting.size() == 2; }));
  waiting[1].Send(TextResponse(200, "second"));
  EXPECT_TRUE(client.ReadUntil("second").find("first") != std::string::npos);
}

TEST_F(ServerTest, LeavesOutTheBodyForHead) {
  Listen();
  RawClient client(loop_, server_->port());
  client.Send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = client.ReadUntil("\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 8\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(client.Exchange(kGet).ends_with("GET / "));
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
  Listen();
  RawClient client(loop_, server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.ReadToEnd().find("Connection: close\r\n"), std::string::npos);
  RawClient old(loop_, server_->port());
  old.Send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.ReadToEnd().ends_with("GET / "));
  RawClient old_kept(loop_, server_->port());
  EXPECT_NE(old_kept.Exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                .find("Connection: keep-alive\r\n"),
            std::string::npos);
}

TEST_F(ServerTest, ContinuesWhenTheClientAsksFirst) {
  Listen();
  RawClient client(loop_, server_->port());
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(client.Exchange("ok").ends_with("POST / ok"));
  RawClient large(loop_, server_->port());
  large.Send(
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(large.ReadUntil("\r\n").starts_with("HTTP/1.1 413 "));
}

TEST_F(ServerTest, TellsAClientThatIsStillSendingWhyItIsRefused) {
  ServerOptions options;
  options.limits.max_body_bytes = 1000;
  Listen(options);
  RawClient client(loop_, server_->port());
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  // Far more than fits into the kernel's buffers.
  const std::string chunk = StrCat("10000\r\n", std::string(65536, 'x'), "\r\n");
  for (int at = 0; at < 200; ++at) {
    if (!client.Send(chunk)) break;
  }
  EXPECT_TRUE(client.ReadToEnd().starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(ServerTest, RefusesInTheShapeItIsGiven) {
  ServerOptions options;
  options.refusal = [](int status, const std::string& detail) {
    return JsonResponse(status, StrCat("{\"why\":\"", detail, "\"}"));
  };
  Listen(options);
  RawClient client(loop_, server_->port());
  client.Send("nonsense\r\n\r\n");
  const std::string answer = client.ReadToEnd();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_NE(answer.find("{\"why\":\"not an HTTP request"), std::string::npos) << answer;
}

TEST_F(ServerTest, RefusesEndlessHeadersChunkLinesAndTrailers) {
  Listen();
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {std::string("GET / HTTP/1.1\r\nX: "), std::string("GET /"),
                                   chunked + "1;", chunked + "0\r\nX: "}) {
    RawClient client(loop_, server_->port());
    client.Send(start);
    for (int at = 0; at < 100; ++at) {
      if (!client.Send(std::string(4096, 'a'))) break;
    }
    const std::string answer = client.ReadToEnd();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 4")) << start << answer;
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(ServerTest, DoesNotWaitForSlowClients) {
  ServerOptions options;
  options.limits.header_timeout = milliseconds(150);
  options.limits.body_timeout = milliseconds(300);
  options.limits.idle_timeout = milliseconds(200);
  Listen(options);
  RawClient silent(loop_, server_->port());
  EXPECT_EQ(silent.ReadToEnd(), "");

  RawClient slow(loop_, server_->port());
  bool sent = true;
  const int64_t start = loop_.NowUs();
  for (int at = 0; sent && at < 200 && !slow.IsClosed(); ++at) {  // A byte at a time does not help.
    sent = slow.Send(at == 0 ? "GET / HTTP/1.1\r\n" : "X");
    loop_.RunFor(milliseconds(10));
  }
  EXPECT_LT(loop_.NowUs() - start, 3'000'000);
  EXPECT_TRUE(slow.ReadToEnd().starts_with("HTTP/1.1 408 "));

  RawClient slow_body(loop_, server_->port());
  slow_body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
  for (int at = 0; at < 50 && !slow_body.IsClosed(); ++at) slow_body.Send("x");
  EXPECT_TRUE(slow_body.ReadToEnd().starts_with("HTTP/1.1 408 "));

  RawClient idle(loop_, server_->port());
  idle.Exchange(kGet);
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, RefusesConnectionsOverItsLimit) {
  ServerOptions options;
  options.limits.max_connections = 2;
  Listen(options);
  RawClient one(loop_, server_->port());
  one.Exchange(kGet);
  {
    RawClient two(loop_, server_->port());
    two.Exchange(kGet);
    RawClient three(loop_, server_->port());
    three.Send(kGet);
    const std::string answer = three.ReadToEnd();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
    EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
  }
  ASSERT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 1; }));
  RawClient again(loop_, server_->port());
  EXPECT_TRUE(again.Exchange(kGet).starts_with("HTTP/1.1 200 "));
}

TEST_F(ServerTest, RefusesConnectionsOverAPeersShare) {
  ServerOptions options;
  options.limits.max_connections_per_peer = 2;
  bool is_proxy = false;
  options.is_shared_peer = [&](std::string_view) { return is_proxy; };
  Listen(options);
  RawClient one(loop_, server_->port());
  one.Exchange(kGet);
  {
    RawClient two(loop_, server_->port());
    two.Exchange(kGet);
    RawClient three(loop_, server_->port());
    three.Send(kGet);
    const std::string answer = three.ReadToEnd();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 429 ")) << answer;
    EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
    is_proxy = true;
    RawClient many(loop_, server_->port());
    EXPECT_TRUE(many.Exchange(kGet).starts_with("HTTP/1.1 200 "));
  }
  ASSERT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 1; }));
  is_proxy = false;
  RawClient again(loop_, server_->port());
  EXPECT_TRUE(again.Exchange(kGet).starts_with("HTTP/1.1 200 "));
}

TEST_F(ServerTest, SendsAddedHeadersWithWhateverTheAnswerIs) {
  handler_ = [](Request request, Responder responder) {
    responder.AddHeader("X-Extra", request.path);
    if (request.path == "/stream") return responder.StartStream(200, {}).End();
    if (request.path == "/forgotten") return;
    responder.Send(TextResponse(404, "no"));
  };
  Listen();
  for (const char* path : {"/stream", "/forgotten", "/whole"}) {
    RawClient client(loop_, server_->port());
    client.Send(StrCat("GET ", path, " HTTP/1.1\r\nHost: h\r\n\r\n"));
    const std::string head = client.ReadUntil("\r\n\r\n");
    EXPECT_NE(head.find(StrCat("X-Extra: ", path, "\r\n")), std::string::npos) << head;
  }
  RawClient twice(loop_, server_->port());
  twice.Exchange(kGet);
  const std::string second = twice.Exchange(kGet);
  EXPECT_EQ(second.find("X-Extra"), second.rfind("X-Extra")) << second;
}

TEST_F(ServerTest, NoticesAClientThatLeavesWhileItsAnswerIsMade) {
  std::optional<Responder> waiting;
  int closed = 0;
  handler_ = [&](Request, Responder responder) {
    responder.OnClosed([&] { ++closed; });
    waiting = std::move(responder);
  };
  Listen();
  {
    RawClient client(loop_, server_->port());
    client.Send(kGet);
    ASSERT_TRUE(RunUntil(loop_, [&] { return waiting.has_value(); }));
    EXPECT_FALSE(waiting->closed());
  }
  ASSERT_TRUE(RunUntil(loop_, [&] { return closed == 1; }));
  EXPECT_TRUE(waiting->closed());
  waiting->Send(TextResponse(200, "nobody"));
  waiting.reset();

  RawClient client(loop_, server_->port());
  client.Send(kGet);
  ASSERT_TRUE(RunUntil(loop_, [&] { return waiting.has_value(); }));
  client.Reset();
  EXPECT_TRUE(RunUntil(loop_, [&] { return closed == 2; }));
}

TEST_F(ServerTest, AnUnansweredRequestIsAnError) {
  handler_ = [](Request, Responder) {};
  Listen();
  RawClient client(loop_, server_->port());
  EXPECT_TRUE(client.Exchange(kGet).starts_with("HTTP/1.1 500 "));
}

TEST_F(ServerTest, StopsWhenRunningAnswersHaveEnded) {
  std::optional<Responder> waiting;
  handler_ = [&](Request, Responder responder) { waiting = std::move(responder); };
  Listen();
  RawClient idle(loop_, server_->port());
  RawClient busy(loop_, server_->port());
  busy.Send(kGet);
  ASSERT_TRUE(RunUntil(loop_, [&] { return waiting && server_->connections() == 2; }));
  bool stopped = false;
  server_->Stop([&] { stopped = true; });
  EXPECT_EQ(idle.ReadToEnd(), "");
  loop_.RunFor(milliseconds(20));
  EXPECT_FALSE(stopped);
  waiting->Send(TextResponse(200, "done"));
  const std::string answer = busy.ReadToEnd();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("done"));
  busy.Close();
  EXPECT_TRUE(RunUntil(loop_, [&] { return stopped; }));
}

TEST_F(ServerTest, HandlesOutliveTheServer) {
  std::vector<Responder> waiting;
  std::optional<Stream> stream;
  handler_ = [&](Request request, Responder responder) {
    if (request.path == "/stream") {
      stream = responder.StartStream(200, {});
    } else {
      waiting.push_back(std::move(responder));
    }
  };
  Listen();
  RawClient one(loop_, server_->port());
  RawClient two(loop_, server_->port());
  one.Send(kGet);
  two.Send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(RunUntil(loop_, [&] { return waiting.size() == 1 && stream; }));
  server_.reset();
  EXPECT_TRUE(waiting[0].closed());
  EXPECT_TRUE(stream->closed());
  waiting.clear();
  stream->Write("x");
  stream->End();
  loop_.RunFor(milliseconds(5));
}

TEST_F(ServerTest, SaysWhyItCannotListen) {
  Listen();
  ServerOptions taken;
  taken.port = server_->port();
  const auto second = Server::Listen(loop_, taken, handler_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  ServerOptions nowhere;
  nowhere.host = "not an address";
  EXPECT_EQ(Server::Listen(loop_, nowhere, handler_).error().code, Code::kInvalidArgument);
  ServerOptions half;
  half.tls_key = "key.pem";
  EXPECT_EQ(Server::Listen(loop_, half, handler_).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::net
