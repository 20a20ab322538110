// Frames on their way out: checked, encoded and given to whatever connection there is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// Whom an error frame is about; nothing: the connection.
struct ErrorAbout {
  SessionId session = {};
  Epoch epoch = {};
  uint32_t generation = 0;
};

class Outbox {
 public:
  using SendBytes = std::function<void(std::shared_ptr<const ByteVector>)>;
  // `send` may drop what it is given when there is no connection: whatever was under way on a lost
  // connection is the coordinator's to repeat.
  explicit Outbox(SendBytes send) : send_(std::move(send)) {}

  // The size of the frame, whose `from` is this node. kInvalidArgument or kResourceExhausted when
  // the protocol does not allow it; then nothing is sent.
  Result<uint64_t> Send(wire::Body body, NodeId to = kCoordinator);
  // For frames of a fixed form, which are always allowed.
  void Tell(wire::Body body);
  void TellError(const Error& error, const ErrorAbout& about = {});

  // Our number, once the coordinator has given one.
  NodeId node;
  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  SendBytes send_;
  uint64_t bytes_sent_ = 0;
};

}  // namespace shoal::volunteer
