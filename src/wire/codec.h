// The one codec of wire v1 (docs/protocol.md).
//
// Decoding never trusts a length: every count is bounded by kLimits and by the bytes that are
// there before anything is allocated.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::wire {

struct Limits {
  uint32_t frame_bytes = 64u << 20;  // Header and body.
  uint32_t string_bytes = 4096;
  uint32_t rows = 4096;            // Of one step frame.
  uint32_t list_items = 1u << 20;  // Of any other list, and bytes of a byte string.
};
inline constexpr Limits kLimits;

// A whole frame. Strings are made fit: bytes that are not UTF-8 become U+FFFD and a string longer
// than kLimits.string_bytes is cut, because the long ones are text for people. The rest of the
// frame must satisfy Validate (CHECK).
ByteVector Encode(const Frame& frame);

// What Encode demands, for a caller that did not make the frame itself: sizes within kLimits, lists
// that fit each other (payload against rows and width, sampling against rows), ordered ranges.
// kInvalidArgument or kResourceExhausted, naming the field: "step.payload: 12 bytes, ...".
Status Validate(const Frame& frame);

// Reads and checks the header of a whole frame: magic, version, kind, body_bytes == size - header.
// kUnimplemented for another version or an unknown kind, kResourceExhausted for a frame over the
// limit, kInvalidArgument for everything else.
Result<Header> DecodeHeader(Bytes frame);

// Reads and checks a whole frame; bytes left over, what Validate refuses, unknown enumerators and
// flags, floats that are not finite and strings that are not UTF-8 are errors.
Result<Frame> Decode(Bytes frame);

// Rewrites the sender in an encoded frame, in place: the coordinator stamps what it relays.
void StampFrom(std::span<uint8_t> frame, NodeId from);

// "step", "kv-export", ...
std::string_view KindName(Kind kind);
// The inverse of KindName.
std::optional<Kind> KindFromName(std::string_view name);
// The kind of the alternative that `body` holds.
Kind KindOf(const Body& body);

}  // namespace shoal::wire
