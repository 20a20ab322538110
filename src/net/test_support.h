// For tests: a loop that runs until something is so, and a client that sends exactly the bytes it
// is told to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/event_loop.h"

namespace shoal::net {

inline constexpr Duration kTestPatience = std::chrono::seconds(10);

// Runs `loop` until `condition` holds; false when kTestPatience is over before.
bool RunUntil(EventLoop& loop, const std::function<bool()>& condition,
              Duration patience = kTestPatience);

// A blocking-looking TCP client on 127.0.0.1; runs the loop while it waits.
class RawClient {
 public:
  RawClient(EventLoop& loop, uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Sends everything; false when the server has cut the connection.
  bool Send(std::string_view bytes);
  // Sends what the kernel takes at once, then runs the loop for a moment; how much that was.
  size_t SendSome(std::string_view bytes);
  // What comes until `text` is in it (up to and with it), or the connection ends.
  std::string ReadUntil(std::string_view text);
  // Exactly `count` bytes, or fewer when the connection ends.
  std::string ReadBytes(size_t count);
  // Everything until the server closes.
  std::string ReadToEnd();
  // Sends a request and reads one answer with a Content-Length.
  std::string Exchange(std::string_view request);
  // Runs the loop for a moment; whether the server has closed the connection.
  bool IsClosed();

  void ShutDownSending();
  void Close();
  // Closes with a reset in place of an orderly end.
  void Reset();

 private:
  friend class RawListener;
  struct Accepted {
    int socket;
  };
  RawClient(EventLoop& loop, Accepted accepted) : loop_(loop), socket_(accepted.socket) {}
  bool Fill();  // Takes what is there; false when nothing was.

  EventLoop& loop_;
  int socket_;
  std::string inbox_;
  bool ended_ = false;
};

// The other end: a port of 127.0.0.1 where connections are taken by hand.
class RawListener {
 public:
  explicit RawListener(EventLoop& loop);
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  uint16_t port() const { return port_; }
  // The next connection; null when none has come within kTestPatience.
  std::unique_ptr<RawClient> Accept();

 private:
  EventLoop& loop_;
  int socket_;
  uint16_t port_ = 0;
};

}  // namespace shoal::net
