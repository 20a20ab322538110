// Streamed answers, and clients that leave, stall or never come back in their middle.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "net/client.h"
#include "net/http.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

class StreamTest : public testing::Test {
 protected:
  void Listen(ServerOptions options = {}) {
    auto listening =
        Server::Listen(loop_, std::move(options), [this](Request, Responder responder) {
          responder.OnClosed([this] { ++closed_; });
          stream_ = responder.StartStream(200, {{"Content-Type", "text/event-stream"}});
        });
    ASSERT_TRUE(listening);
    server_ = *std::move(listening);
  }
  void Ask(RawClient& client, std::string_view start = "GET / HTTP/1.1") {
    stream_.reset();
    client.Send(std::string(start) + "\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(RunUntil(loop_, [&] { return stream_.has_value(); }));
  }

  EventLoop loop_;
  std::optional<Stream> stream_;
  int closed_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(StreamTest, SendsEveryWriteAtOnceAsAChunk) {
  Listen();
  RawClient client(loop_, server_->port());
  Ask(client);
  EXPECT_NE(client.ReadUntil("\r\n\r\n").find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  stream_->Write("hello");
  EXPECT_EQ(client.ReadUntil("hello\r\n"), "5\r\nhello\r\n");
  stream_->Write("");  // Would end the answer if it were sent as a chunk.
  stream_->Write(std::string(300, 'x'));
  EXPECT_EQ(client.ReadBytes(307), "12c\r\n" + std::string(300, 'x') + "\r\n");
  stream_->End();
  EXPECT_TRUE(stream_->closed());
  EXPECT_EQ(client.ReadBytes(5), "0\r\n\r\n");
  Ask(client);  // The connection goes on.
  EXPECT_EQ(closed_, 0);
}

TEST_F(StreamTest, EndsWithTheConnectionForHttp10) {
  Listen();
  RawClient client(loop_, server_->port());
  Ask(client, "GET / HTTP/1.0");
  stream_->Write("one ");
  stream_->Write("two");
  stream_->End();
  const std::string answer = client.ReadToEnd();
  EXPECT_TRUE(answer.ends_with("\r\n\r\none two")) << answer;
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
}

TEST_F(StreamTest, HasNoBodyForHead) {
  Listen();
  RawClient client(loop_, server_->port());
  Ask(client, "HEAD / HTTP/1.1");
  client.ReadUntil("\r\n\r\n");
  stream_->Write("never sent");
  stream_->End();
  loop_.RunFor(milliseconds(5));
  Ask(client);
  EXPECT_TRUE(client.ReadUntil("\r\n").starts_with("HTTP/1.1 200"));
}

TEST_F(StreamTest, NoticesAClientThatLeavesWhileNothingIsSent) {
  Listen();
  RawClient client(loop_, server_->port());
  Ask(client);
  stream_->Write("x");
  client.ReadUntil("x\r\n");
  loop_.RunFor(milliseconds(5));
  EXPECT_EQ(closed_, 0);
  client.Close();
  ASSERT_TRUE(RunUntil(loop_, [&] { return closed_ == 1; }));
  EXPECT_TRUE(stream_->closed());
  stream_->Write("y");
  stream_->End();
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
  EXPECT_EQ(closed_, 1);
}

TEST_F(StreamTest, CountsAClientThatTakesNothingAsGone) {
  ServerOptions options;
  options.limits.max_stream_queue_bytes = 1 << 20;
  Listen(options);
  RawClient client(loop_, server_->port());
  Ask(client);
  size_t written = 0;
  while (!stream_->closed() && written < (256u << 20)) {
    stream_->Write(std::string(64 << 10, 'x'));
    EXPECT_LT(stream_->queued_bytes(), 2u << 20);
    written += 64 << 10;
    loop_.RunFor(std::chrono::microseconds(100));
  }
  EXPECT_TRUE(stream_->closed());
  EXPECT_EQ(closed_, 1);
}

TEST_F(StreamTest, CutsAClientThatStalls) {
  ServerOptions options;
  options.limits.write_timeout = milliseconds(100);
  options.limits.max_stream_queue_bytes = 64u << 20;
  Listen(options);
  RawClient client(loop_, server_->port());
  Ask(client);
  stream_->Write(std::string(32u << 20, 'x'));
  ASSERT_TRUE(RunUntil(loop_, [&] { return closed_ == 1; }));
}

TEST_F(StreamTest, TellsWhenEverythingIsSent) {
  Listen();
  RawClient client(loop_, server_->port());
  Ask(client);
  client.ReadUntil("\r\n\r\n");
  int drained = 0;
  stream_->OnDrained([&] { ++drained; });
  stream_->Write("abc");
  EXPECT_GT(stream_->queued_bytes(), 0u);
  EXPECT_EQ(drained, 0);
  ASSERT_TRUE(RunUntil(loop_, [&] { return drained == 1; }));
  EXPECT_EQ(stream_->queued_bytes(), 0u);
}

TEST_F(StreamTest, ADroppedStreamIsSeenAsCut) {
  Listen();
  Status status;
  bool done = false;
  ClientCallbacks callbacks;
  callbacks.on_done = [&](Status outcome) {
    done = true;
    status = std::move(outcome);
  };
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(server_->port());
  const auto call = StartCall(loop_, request, callbacks);
  ASSERT_TRUE(RunUntil(loop_, [&] { return stream_.has_value(); }));
  stream_->Write("half");
  loop_.RunFor(milliseconds(5));
  stream_.reset();
  ASSERT_TRUE(RunUntil(loop_, [&] { return done; }));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace shoal::net
