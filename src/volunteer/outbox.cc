#include "volunteer/outbox.h"

#include <utility>

#include "base/check.h"
#include "wire/codec.h"

namespace shoal::volunteer {

Result<uint64_t> Outbox::Send(wire::Body body, NodeId to) {
  const wire::Frame frame{.to = to, .from = node, .body = std::move(body)};
  RETURN_IF_ERROR(wire::Validate(frame));
  const auto bytes = std::make_shared<const ByteVector>(wire::Encode(frame));
  bytes_sent_ += bytes->size();
  send_(bytes);
  return bytes->size();
}

void Outbox::Tell(wire::Body body) {
  const auto sent = Send(std::move(body));
  CHECK(sent);
}

void Outbox::TellError(const Error& error, const ErrorAbout& about) {
  Tell(wire::ErrorFrame{.code = static_cast<uint8_t>(error.code),
                        .session = about.session,
                        .epoch = about.epoch,
                        .generation = about.generation,
                        .detail = error.detail});
}

}  // namespace shoal::volunteer
