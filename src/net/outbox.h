// What a connection still has to send, in order: strings, shared buffers and file ranges, written
// together where possible and without copies.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "net/file_reader.h"
#include "net/http.h"
#include "net/transport.h"

namespace shoal::net {

class Outbox {
 public:
  struct Callbacks {
    std::function<void()> on_empty;                  // Everything has been handed to the kernel.
    std::function<void(std::string why)> on_failed;  // The connection is of no use any more.
  };
  // `owner` is kept alive while an operation is under way; the others must live as long as it does.
  // Callbacks come from the loop, never from within a call.
  Outbox(std::weak_ptr<void> owner, Transport& transport, FileReader& files, Duration write_timeout,
         Callbacks callbacks);

  void Push(std::string bytes);
  void Push(SharedBytes bytes);
  // Nothing may be pushed behind a file before it is sent (CHECK).
  void Push(FileRange file);

  // Bytes in memory that wait.
  size_t queued_bytes() const { return queued_bytes_; }
  bool empty() const { return pieces_.empty() && file_.length == 0; }

  // No callback comes any more; memory stays until what is under way has ended.
  void Stop();

 private:
  using Piece = std::variant<std::string, SharedBytes, ByteVector>;

  void PushPiece(Piece piece);
  void WriteMore();
  void OnWritten(error_code error, size_t bytes);
  void Consume(size_t bytes);
  void ReadMore();
  void OnRead(Result<ByteVector> bytes);
  void Failed(std::string why);

  std::weak_ptr<void> owner_;
  Transport& transport_;
  FileReader& files_;
  Duration write_timeout_;
  Callbacks callbacks_;
  asio::steady_timer timer_;  // Runs while a write is under way.

  std::deque<Piece> pieces_;
  size_t front_sent_ = 0;  // Bytes of the first piece that are gone.
  size_t queued_bytes_ = 0;
  FileRange file_;  // What of it has not been read.
  bool writing_ = false;
  bool reading_ = false;
  bool stopped_ = false;
};

}  // namespace shoal::net
