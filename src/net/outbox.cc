#include "net/outbox.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::net {
namespace {

// Of a file: one is being sent while the next is read.
constexpr size_t kPieceBytes = 256u << 10;

struct BufferOf {
  asio::const_buffer operator()(const std::string& text) const {
    return {text.data(), text.size()};
  }
  asio::const_buffer operator()(const SharedBytes& bytes) const {
    return {bytes->data(), bytes->size()};
  }
  asio::const_buffer operator()(const ByteVector& bytes) const {
    return {bytes.data(), bytes.size()};
  }
};

}  // namespace

Outbox::Outbox(std::weak_ptr<void> owner, Transport& transport, FileReader& files,
               Duration write_timeout, Callbacks callbacks)
    : owner_(std::move(owner)),
      transport_(transport),
      files_(files),
      write_timeout_(write_timeout),
      callbacks_(std::move(callbacks)),
      timer_(transport.executor()) {}

void Outbox::Push(std::string bytes) {
  if (!bytes.empty()) PushPiece(std::move(bytes));
}

void Outbox::Push(SharedBytes bytes) {
  if (bytes != nullptr && !bytes->empty()) PushPiece(std::move(bytes));
}

void Outbox::Push(FileRange file) {
  CHECK(file_.length == 0 && !reading_);
  if (stopped_ || file.length == 0) return;
  file_ = std::move(file);
  ReadMore();
}

void Outbox::PushPiece(Piece piece) {
  CHECK(file_.length == 0 || std::holds_alternative<ByteVector>(piece));
  if (stopped_) return;
  queued_bytes_ += std::visit(BufferOf(), piece).size();
  pieces_.push_back(std::move(piece));
  WriteMore();
}

void Outbox::WriteMore() {
  if (writing_ || stopped_ || pieces_.empty()) return;
  std::vector<asio::const_buffer> buffers;
  for (const Piece& piece : pieces_) {
    if (buffers.size() == Transport::kMaxBuffers) break;
    buffers.push_back(std::visit(BufferOf(), piece));
  }
  buffers.front() += front_sent_;
  writing_ = true;
  timer_.expires_after(write_timeout_);
  timer_.async_wait([this, keep = owner_.lock()](error_code error) {
    if (error || stopped_ || !writing_ || timer_.expiry() > std::chrono::steady_clock::now()) {
      return;
    }
    Failed("the client takes nothing");
  });
  transport_.AsyncWriteSome(
      std::move(buffers),
      [this, keep = owner_.lock()](error_code error, size_t bytes) { OnWritten(error, bytes); });
}

void Outbox::OnWritten(error_code error, size_t bytes) {
  writing_ = false;
  timer_.cancel();
  if (stopped_) return;
  if (error) return Failed(error.message());
  Consume(bytes);
  ReadMore();
  WriteMore();
  if (empty() && !reading_) callbacks_.on_empty();
}

void Outbox::Consume(size_t bytes) {
  queued_bytes_ -= bytes;
  front_sent_ += bytes;
  while (!pieces_.empty()) {
    const size_t size = std::visit(BufferOf(), pieces_.front()).size();
    if (front_sent_ < size) break;
    front_sent_ -= size;
    pieces_.pop_front();
  }
}

void Outbox::ReadMore() {
  if (reading_ || stopped_ || file_.length == 0 || queued_bytes_ >= kPieceBytes) return;
  reading_ = true;
  const size_t length = static_cast<size_t>(std::min<uint64_t>(file_.length, kPieceBytes));
  files_.Read(file_.file, file_.offset, length,
              [this, keep = owner_.lock()](Result<ByteVector> bytes) { OnRead(std::move(bytes)); });
}

void Outbox::OnRead(Result<ByteVector> bytes) {
  reading_ = false;
  if (stopped_) return;
  if (!bytes) return Failed(bytes.error().detail);
  file_.offset += bytes->size();
  file_.length -= bytes->size();
  if (file_.length == 0) file_.file.reset();
  PushPiece(*std::move(bytes));
  ReadMore();
}

void Outbox::Failed(std::string why) {
  if (stopped_) return;
  Stop();
  callbacks_.on_failed(std::move(why));
}

void Outbox::Stop() {
  stopped_ = true;
  timer_.cancel();
  file_ = {};
}

}  // namespace shoal::net
