// One direction of one connection through a LinkProxy: reads from a socket, holds bytes until their
// time, writes to the other.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "links/shaper.h"
#include "net/event_loop_impl.h"
#include "net/transport.h"

namespace shoal::net {

// What all pipes of one direction share.
struct LinkWay {
  links::Shaper shaper;
  size_t buffer_bytes = 0;
  Micros queue = 0;
  uint64_t bytes_done = 0;
  size_t waiting_bytes = 0;
};

class LinkPipe : public std::enable_shared_from_this<LinkPipe> {
 public:
  // `on_end` is called once: with no error when the end of the stream has been passed on, with one
  // when the connection is to be reset. The sockets live as long as `owner`.
  LinkPipe(EventLoop& loop, LinkWay& way, asio::ip::tcp::socket& from, asio::ip::tcp::socket& to,
           std::function<void(error_code)> on_end);

  void Start() { Read(); }
  // After a heal: looks again at what may leave.
  void Wake() { Pump(); }
  // No callback comes after this, and `way` is not used. Call it before either is gone.
  void Close();

 private:
  enum class Last : uint8_t { kNone, kEnd, kReset };
  static constexpr size_t kChunkBytes = 64u << 10;

  void Read();
  void OnRead(error_code error, size_t bytes);
  void Pump();
  void OnWritten(error_code error);
  void Finish(error_code error);

  EventLoop& loop_;
  LinkWay& way_;
  asio::ip::tcp::socket& from_;
  asio::ip::tcp::socket& to_;
  std::function<void(error_code)> on_end_;  // Empty after the end.
  asio::steady_timer read_timer_;
  asio::steady_timer write_timer_;

  std::array<char, kChunkBytes> inbox_;
  bool reading_ = false;
  Last last_ = Last::kNone;  // What stands behind all bytes.

  Micros last_leaves_ = 0;
  std::deque<links::Piece> pieces_;  // Of held_; the end of the stream is one of no bytes.
  std::deque<char> held_;
  std::vector<char> writing_;  // Empty: no write is under way.
  size_t waiting_bytes_ = 0;   // In held_ and writing_.
};

}  // namespace shoal::net
