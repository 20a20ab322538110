#include "net/link_pipe.h"

#include <algorithm>
#include <boost/asio/write.hpp>
#include <chrono>
#include <utility>

namespace shoal::net {

LinkPipe::LinkPipe(EventLoop& loop, LinkWay& way, asio::ip::tcp::socket& from,
                   asio::ip::tcp::socket& to, std::function<void(error_code)> on_end)
    : loop_(loop),
      way_(way),
      from_(from),
      to_(to),
      on_end_(std::move(on_end)),
      read_timer_(loop.impl().context),
      write_timer_(loop.impl().context) {}

void LinkPipe::Close() {
  on_end_ = nullptr;
  read_timer_.cancel();
  write_timer_.cancel();
  way_.waiting_bytes -= std::exchange(waiting_bytes_, 0);
}

void LinkPipe::Finish(error_code error) {
  if (const auto on_end = std::exchange(on_end_, nullptr)) on_end(error);
}

void LinkPipe::Read() {
  if (!on_end_ || reading_ || last_ != Last::kNone || waiting_bytes_ >= way_.buffer_bytes) return;
  reading_ = true;
  const Micros wait = way_.shaper.Backlog(loop_.NowUs()) - way_.queue;
  if (wait > 0) {
    read_timer_.expires_after(std::chrono::microseconds(wait));
    read_timer_.async_wait([self = shared_from_this()](error_code error) {
      self->reading_ = false;
      if (!error) self->Read();
    });
    return;
  }
  const size_t room = std::min(kChunkBytes, way_.buffer_bytes - waiting_bytes_);
  from_.async_read_some(asio::buffer(inbox_.data(), room),
                        [self = shared_from_this()](error_code error, size_t bytes) {
                          self->reading_ = false;
                          self->OnRead(error, bytes);
                        });
}

void LinkPipe::OnRead(error_code error, size_t bytes) {
  if (!on_end_) return;
  const Micros now = loop_.NowUs();
  if (error) last_ = error == asio::error::eof ? Last::kEnd : Last::kReset;
  const auto pieces = way_.shaper.Send(now, error ? 0 : bytes, last_leaves_);
  pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
  if (!error) {
    held_.insert(held_.end(), inbox_.data(), inbox_.data() + bytes);
    way_.waiting_bytes += bytes;
    waiting_bytes_ += bytes;
  }
  Pump();
  Read();
}

void LinkPipe::Pump() {
  if (!on_end_ || !writing_.empty() || pieces_.empty()) return;
  const Micros now = loop_.NowUs();
  size_t due = 0;
  while (!pieces_.empty() && due < kChunkBytes) {
    links::Piece& piece = pieces_.front();
    const auto leaves = way_.shaper.Leaves(piece.leaves);
    if (!leaves) break;  // Wake() comes.
    if (*leaves > now) {
      if (due > 0) break;
      write_timer_.expires_after(std::chrono::microseconds(*leaves - now));
      write_timer_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->Pump();
      });
      return;
    }
    if (piece.bytes == 0) break;
    const size_t take = std::min(piece.bytes, kChunkBytes - due);
    due += take;
    piece.bytes -= take;
    if (piece.bytes == 0) pieces_.pop_front();
  }
  if (due == 0) {
    if (pieces_.front().bytes > 0 || !way_.shaper.Leaves(pieces_.front().leaves)) return;
    if (last_ == Last::kReset) return Finish(asio::error::connection_reset);
    error_code ignored;
    to_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    return Finish({});
  }
  const auto end = held_.begin() + static_cast<std::ptrdiff_t>(due);
  writing_.assign(held_.begin(), end);
  held_.erase(held_.begin(), end);
  asio::async_write(
      to_, asio::buffer(writing_),
      [self = shared_from_this()](error_code error, size_t) { self->OnWritten(error); });
}

void LinkPipe::OnWritten(error_code error) {
  const size_t bytes = std::exchange(writing_, {}).size();
  if (!on_end_) return;
  way_.waiting_bytes -= bytes;
  waiting_bytes_ -= bytes;
  if (error) return Finish(error);
  way_.bytes_done += bytes;
  Pump();
  Read();
}

}  // namespace shoal::net
