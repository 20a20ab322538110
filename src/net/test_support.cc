#include "net/test_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace shoal::net {

bool RunUntil(EventLoop& loop, const std::function<bool()>& condition, Duration patience) {
  const int64_t end = loop.NowUs() + patience.count();
  while (!condition()) {
    if (loop.NowUs() > end) return false;
    loop.RunFor(std::chrono::milliseconds(1));
  }
  return true;
}

RawClient::RawClient(EventLoop& loop, uint16_t port)
    : loop_(loop), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  CHECK(fcntl(socket_, F_SETFL, O_NONBLOCK) == 0);
}

RawClient::~RawClient() { Close(); }

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    loop_.RunFor(std::chrono::microseconds(100));
  }
  return true;
}

size_t RawClient::SendSome(std::string_view bytes) {
  const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  loop_.RunFor(std::chrono::milliseconds(2));
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

bool RawClient::Fill() {
  std::array<char, 65536> chunk;
  const ssize_t count = recv(socket_, chunk.data(), chunk.size(), 0);
  if (count > 0) inbox_.append(chunk.data(), static_cast<size_t>(count));
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) ended_ = true;
  return count > 0;
}

std::string RawClient::ReadUntil(std::string_view text) {
  RunUntil(loop_, [&] {
    while (Fill()) {
    }
    return inbox_.find(text) != std::string::npos || ended_;
  });
  const size_t at = inbox_.find(text);
  return ReadBytes(at == std::string::npos ? inbox_.size() : at + text.size());
}

std::string RawClient::ReadBytes(size_t count) {
  RunUntil(loop_, [&] {
    while (inbox_.size() < count && Fill()) {
    }
    return inbox_.size() >= count || ended_;
  });
  const std::string out = inbox_.substr(0, count);
  inbox_.erase(0, out.size());
  return out;
}

std::string RawClient::ReadToEnd() {
  RunUntil(loop_, [&] {
    while (Fill()) {
    }
    return ended_;
  });
  return std::exchange(inbox_, {});
}

std::string RawClient::Exchange(std::string_view request) {
  Send(request);
  std::string answer = ReadUntil("\r\n\r\n");
  const size_t at = answer.find("Content-Length: ");
  if (at != std::string::npos) {
    answer += ReadBytes(std::strtoull(answer.c_str() + at + 16, nullptr, 10));
  }
  return answer;
}

bool RawClient::IsClosed() {
  loop_.RunFor(std::chrono::milliseconds(2));
  while (Fill()) {
  }
  return ended_;
}

void RawClient::ShutDownSending() { shutdown(socket_, SHUT_WR); }

void RawClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

void RawClient::Reset() {
  const linger now = {1, 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  Close();
}

RawListener::RawListener(EventLoop& loop)
    : loop_(loop), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(listen(socket_, 128) == 0);
  CHECK(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
}

RawListener::~RawListener() { close(socket_); }

std::unique_ptr<RawClient> RawListener::Accept() {
  int accepted = -1;
  RunUntil(loop_, [&] {
    accepted = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return accepted >= 0;
  });
  if (accepted < 0) return nullptr;
  return std::unique_ptr<RawClient>(new RawClient(loop_, RawClient::Accepted{accepted}));
}

}  // namespace shoal::net
