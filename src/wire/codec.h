// The one codec of wire v1 (docs/protocol.md).
//
// Decoding never trusts a length: every count is bounded by kLimits and by the bytes that are
// there before anything is allocated.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::wire {

struct Limits {
  uint32_t frame_bytes = 64u << 20;  // Header and body.
  uint32_t string_bytes = 4096;
  uint32_t rows = 4096;              // Of one step frame.
  uint32_t list_items = 1u << 20;    // Of any other list.
};
inline constexpr Limits kLimits;

// A whole frame. The body's size must be within kLimits (CHECK).
ByteVector Encode(const Frame& frame);

// Reads and checks the header of a whole frame: magic, version, kind, body_bytes == size - header.
Result<Header> DecodeHeader(Bytes frame);

// Reads and checks a whole frame; bytes left over, lists that do not fit each other (payload size
// against rows and width) and unknown enumerators are errors.
Result<Frame> Decode(Bytes frame);

// Rewrites the sender in an encoded frame, in place: the coordinator stamps what it relays.
void StampFrom(std::span<uint8_t> frame, NodeId from);

// "step", "kv-export", ...
std::string_view KindName(Kind kind);

}  // namespace shoal::wire
