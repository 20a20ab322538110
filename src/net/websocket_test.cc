// WebSockets between our server and our client, and between our server and hostile bytes.
#include "net/websocket.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

// What one end has seen.
struct End {
  std::unique_ptr<WebSocket> socket;
  bool open = false;
  std::vector<std::shared_ptr<ByteVector>> messages;
  std::optional<uint16_t> closed;
  std::string reason;

  WebSocketCallbacks Callbacks() {
    return {[this] { open = true; },
            [this](std::shared_ptr<ByteVector> message) { messages.push_back(std::move(message)); },
            [this](uint16_t code, std::string why) {
              EXPECT_FALSE(closed);
              closed = code;
              reason = std::move(why);
            }};
  }
};

std::shared_ptr<const ByteVector> Message(std::string_view text) {
  return std::make_shared<ByteVector>(text.begin(), text.end());
}

class WebSocketTest : public testing::Test {
 protected:
  void Listen(WebSocketOptions options = {}) {
    auto listening =
        Server::Listen(loop_, {}, [this, options](Request request, Responder responder) {
          if (!request.wants_websocket || request.path != "/ws") {
            return responder.Send(TextResponse(403, "not here"));
          }
          request_ = request;
          here_.socket = responder.Upgrade(options);
          here_.socket->Start(here_.Callbacks());
        });
    ASSERT_TRUE(listening);
    server_ = *std::move(listening);
  }
  void ConnectThere(const std::string& path = "/ws", WebSocketOptions options = {}) {
    auto socket = ConnectWebSocket(loop_, StrCat("ws://127.0.0.1:", server_->port(), path),
                                   {{"Origin", "http://o"}}, options);
    ASSERT_TRUE(socket);
    there_.socket = *std::move(socket);
    there_.socket->Start(there_.Callbacks());
  }
  void ConnectBoth() {
    ConnectThere();
    ASSERT_TRUE(RunUntil(loop_, [&] { return here_.open && there_.open; }));
  }
  // A handshake by hand, for frames that no client of ours would send.
  void Handshake(RawClient& client) {
    client.Send(
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    const std::string answer = client.ReadUntil("\r\n\r\n");
    ASSERT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
    // The example of RFC 6455, section 1.3.
    EXPECT_NE(answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  }

  EventLoop loop_;
  Request request_;
  End here_;   // The server's end.
  End there_;  // The client's.
  std::unique_ptr<Server> server_;
};

// A masked frame, as clients send them; the mask is zero, so that the payload is readable.
std::string Frame(int first_byte, std::string_view payload) {
  std::string out(1, static_cast<char>(first_byte));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size() & 255);
  }
  return out + std::string(4, '\0') + std::string(payload);
}
constexpr int kFinal = 0x80;
constexpr int kContinuation = 0;
constexpr int kText = 1;
constexpr int kBinary = 2;
constexpr int kCloseFrame = 8;
constexpr int kPing = 9;

TEST_F(WebSocketTest, CarriesMessagesOfAllSizesBothWays) {
  Listen();
  ConnectBoth();
  EXPECT_EQ(request_.headers.Get("Origin"), "http://o");
  EXPECT_EQ(here_.socket->peer_address(), "127.0.0.1");
  const size_t sizes[] = {0, 1, 125, 126, 4095, 4096, 4097, 65535, 65536, 1 << 20, 20 << 20};
  for (const size_t size : sizes) {
    auto bytes = std::make_shared<ByteVector>(size);
    for (size_t at = 0; at < size; ++at) (*bytes)[at] = static_cast<uint8_t>(at * 131 + size);
    there_.socket->Send(bytes);
    ASSERT_TRUE(RunUntil(loop_, [&] { return !here_.messages.empty(); })) << size;
    EXPECT_TRUE(*here_.messages[0] == *bytes) << size;
    here_.socket->Send(here_.messages[0]);  // On, as a relay does.
    here_.messages.clear();
    ASSERT_TRUE(RunUntil(loop_, [&] { return !there_.messages.empty(); })) << size;
    EXPECT_TRUE(*there_.messages[0] == *bytes) << size;
    there_.messages.clear();
  }
  EXPECT_EQ(there_.socket->queued_bytes(), 0u);
}

TEST_F(WebSocketTest, KeepsTheOrderOfWhatIsQueued) {
  Listen();
  ConnectThere();
  for (int at = 0; at < 500; ++at) there_.socket->Send(Message(StrCat(at)));  // Before it is open.
  EXPECT_GT(there_.socket->queued_bytes(), 0u);
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.messages.size() == 500; }));
  for (int at = 0; at < 500; ++at) {
    EXPECT_EQ(AsText(*here_.messages[static_cast<size_t>(at)]), StrCat(at));
  }
}

TEST_F(WebSocketTest, PutsFragmentsTogetherAndAnswersPings) {
  Listen();
  RawClient client(loop_, server_->port());
  Handshake(client);
  client.Send(Frame(kBinary, "one ") + Frame(kContinuation, ""));
  client.Send(Frame(kFinal | kPing, "p"));
  EXPECT_EQ(client.ReadBytes(3), "\x8a\x01p");
  client.Send(Frame(kContinuation, std::string(5000, 'x')) + Frame(kFinal | kContinuation, " two"));
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.messages.size() == 1; }));
  EXPECT_EQ(AsText(*here_.messages[0]), "one " + std::string(5000, 'x') + " two");
  here_.socket->Send(Message("back"));
  EXPECT_EQ(client.ReadBytes(6),
            "\x82\x04"
            "back");  // Unmasked, in one frame.
}

TEST_F(WebSocketTest, RefusesBrokenFrames) {
  Listen();
  struct Case {
    std::string frames;
    uint16_t code;
  };
  const Case cases[] = {
      {std::string("\x82\x03") + "abc", kCloseProtocolError},            // Not masked.
      {Frame(kFinal | kBinary | 0x40, "abc"), kCloseProtocolError},      // Reserved bit.
      {Frame(kFinal | 3, "abc"), kCloseProtocolError},                   // Reserved opcode.
      {Frame(kFinal | kContinuation, "abc"), kCloseProtocolError},       // Of nothing.
      {Frame(kBinary, "a") + Frame(kBinary, "b"), kCloseProtocolError},  // Unfinished.
      {Frame(kPing, "fragmented"), kCloseProtocolError},
      {Frame(kFinal | kPing, std::string(126, 'x')), kCloseProtocolError},
      {Frame(kFinal | kText, "text"), kCloseUnsupported},
  };
  for (const Case& broken : cases) {
    here_ = End();
    RawClient client(loop_, server_->port());
    Handshake(client);
    client.Send(broken.frames);
    const std::string answer = client.ReadBytes(4);
    ASSERT_EQ(answer.size(), 4u);
    EXPECT_EQ(answer[0], '\x88');
    EXPECT_EQ(static_cast<uint8_t>(answer[2]) * 256 + static_cast<uint8_t>(answer[3]), broken.code);
    client.Close();
    ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
    EXPECT_TRUE(here_.messages.empty());
  }
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, RefusesMessagesOverTheLimitBeforeTheyCome) {
  WebSocketOptions options;
  options.max_message_bytes = 1000;
  Listen(options);
  {
    RawClient client(loop_, server_->port());
    Handshake(client);
    // 2^62 bytes are promised.
    client.Send(std::string("\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00", 10) + std::string(4, '\0'));
    EXPECT_EQ(client.ReadBytes(4).substr(2), "\x03\xf1");  // 1009
    client.Close();
    ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
    EXPECT_EQ(here_.closed, kCloseTooBig);
  }
  here_ = End();
  RawClient client(loop_, server_->port());
  Handshake(client);
  client.Send(Frame(kBinary, std::string(900, 'x')) + Frame(kContinuation, std::string(101, 'x')));
  EXPECT_EQ(client.ReadBytes(4).substr(2), "\x03\xf1");
  client.Close();
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
  EXPECT_TRUE(here_.messages.empty());
}

TEST_F(WebSocketTest, TakesLargerMessagesOnceItIsTold) {
  Listen({.max_message_bytes = 100});
  ConnectBoth();
  there_.socket->Send(Message(std::string(100, 'x')));
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.messages.size() == 1; }));
  here_.socket->SetMaxMessageBytes(1000);
  there_.socket->Send(Message(std::string(1000, 'x')));
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.messages.size() == 2; }));
  there_.socket->Send(Message(std::string(1001, 'x')));
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
  EXPECT_EQ(here_.closed, kCloseTooBig);
}

TEST_F(WebSocketTest, ClosesAfterWhatIsQueued) {
  Listen();
  ConnectBoth();
  here_.socket->Send(Message("last words"));
  here_.socket->Close(kCloseTryAgain, "full");
  here_.socket->Send(Message("too late"));
  EXPECT_FALSE(here_.closed);
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed && there_.closed; }));
  EXPECT_EQ(there_.closed, kCloseTryAgain);
  EXPECT_EQ(there_.reason, "full");
  EXPECT_EQ(here_.closed, kCloseTryAgain);
  ASSERT_EQ(there_.messages.size(), 1u);
  EXPECT_EQ(AsText(*there_.messages[0]), "last words");
  EXPECT_TRUE(here_.socket->closed());
}

TEST_F(WebSocketTest, DoesNotWaitForAnAnswerToItsCloseForever) {
  WebSocketOptions options;
  options.handshake_timeout = milliseconds(100);
  Listen(options);
  RawClient client(loop_, server_->port());
  Handshake(client);
  here_.socket->Close(kCloseNormal, std::string(500, 'r'));
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
  EXPECT_LE(client.ReadToEnd().size(), 4u + 123u);
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, AnswersACloseAndNoticesACut) {
  Listen();
  {
    RawClient client(loop_, server_->port());
    Handshake(client);
    client.Send(Frame(kFinal | kCloseFrame, std::string("\x0f\xa0", 2) + "bye"));  // 4000
    EXPECT_EQ(client.ReadBytes(4).substr(2), "\x0f\xa0");
    ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
    EXPECT_EQ(here_.closed, 4000);
    EXPECT_EQ(here_.reason, "bye");
  }
  for (const bool reset : {false, true}) {
    here_ = End();
    RawClient client(loop_, server_->port());
    Handshake(client);
    client.Send(Frame(kBinary, "half a mess"));
    if (reset) client.Reset();
    client.Close();
    ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed.has_value(); }));
    EXPECT_EQ(here_.closed, kCloseAbnormal);
  }
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, CutsAPeerThatTakesTooLittle) {
  WebSocketOptions options;
  options.max_queued_bytes = 4u << 20;
  Listen(options);
  RawClient client(loop_, server_->port());
  Handshake(client);
  const auto message = std::make_shared<const ByteVector>(1u << 20);
  for (int at = 0; at < 100 && !here_.closed; ++at) {
    here_.socket->Send(message);
    loop_.RunFor(milliseconds(1));
  }
  EXPECT_EQ(here_.closed, kClosePolicy);
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, PausesReading) {
  Listen();
  ConnectBoth();
  here_.socket->PauseReading();
  there_.socket->Send(Message("one"));  // A read was under way already.
  there_.socket->Send(Message("two"));
  loop_.RunFor(milliseconds(30));
  EXPECT_EQ(here_.messages.size(), 1u);
  here_.socket->ResumeReading();
  EXPECT_TRUE(RunUntil(loop_, [&] { return here_.messages.size() == 2; }));
}

TEST_F(WebSocketTest, CallbacksMayDestroyTheHandle) {
  Listen();
  ConnectThere();
  ASSERT_TRUE(RunUntil(loop_, [&] { return there_.open && here_.open; }));
  WebSocketCallbacks callbacks = here_.Callbacks();
  callbacks.on_message = [this, keep = std::vector<int>(100, 1)](std::shared_ptr<ByteVector>) {
    here_.socket.reset();
    EXPECT_EQ(keep[99], 1);
  };
  here_.socket->Start(callbacks);
  there_.socket->Send(Message("one"));
  there_.socket->Send(Message("two"));
  ASSERT_TRUE(RunUntil(loop_, [&] { return there_.closed.has_value(); }));
  EXPECT_EQ(there_.closed, kCloseGoingAway);
  EXPECT_FALSE(here_.closed);  // Not after the handle is gone.
}

TEST_F(WebSocketTest, AbortIsToldLater) {
  Listen();
  ConnectBoth();
  here_.socket->Abort("enough");
  EXPECT_FALSE(here_.closed);
  ASSERT_TRUE(RunUntil(loop_, [&] { return here_.closed && there_.closed; }));
  EXPECT_EQ(here_.closed, kCloseAbnormal);
  EXPECT_EQ(here_.reason, "enough");
  EXPECT_EQ(there_.closed, kCloseAbnormal);
}

TEST_F(WebSocketTest, TellsOfHandshakesThatFail) {
  Listen();
  ConnectThere("/elsewhere");
  ASSERT_TRUE(RunUntil(loop_, [&] { return there_.closed.has_value(); }));
  EXPECT_EQ(there_.closed, kCloseAbnormal);
  EXPECT_FALSE(there_.open);
  EXPECT_FALSE(ConnectWebSocket(loop_, "http://127.0.0.1/", {}, {}));

  End nobody;
  auto socket = ConnectWebSocket(loop_, "ws://127.0.0.1:1/", {}, {});
  ASSERT_TRUE(socket);
  nobody.socket = *std::move(socket);
  nobody.socket->Start(nobody.Callbacks());
  ASSERT_TRUE(RunUntil(loop_, [&] { return nobody.closed.has_value(); }));
  EXPECT_NE(nobody.reason.find("cannot connect to 127.0.0.1:1"), std::string::npos);

  ASSERT_TRUE(ConnectWebSocket(loop_, "ws://127.0.0.1:1/", {}, {}));  // Destroyed at once.
  loop_.RunFor(milliseconds(10));
}

TEST_F(WebSocketTest, RefusesFramesSentAheadOfTheHandshake) {
  Listen();
  RawClient client(loop_, server_->port());
  client.Send(
      "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
      Frame(kFinal | kBinary, "early"));
  EXPECT_TRUE(client.ReadToEnd().starts_with("HTTP/1.1 400 "));
}

TEST_F(WebSocketTest, ARefusedHandshakeLeavesTheConnectionUsable) {
  Listen();
  RawClient client(loop_, server_->port());
  const std::string answer = client.Exchange(
      "GET /no HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(client.Exchange("GET /no HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 403 "));
}

}  // namespace
}  // namespace shoal::net
