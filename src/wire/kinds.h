// What all frames of wire v1 have in common: their kinds, their header, and types of fields.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/ids.h"

namespace shoal::wire {

inline constexpr uint16_t kMagic = 0x4853;  // "SH"
inline constexpr uint8_t kVersion = 1;

// Values are part of the protocol: never renumber.
enum class Kind : uint8_t {
  kHello = 1,
  kProfile = 2,
  kAssign = 3,
  kReady = 4,
  kOpen = 5,
  kStep = 6,
  kToken = 7,
  kCancel = 8,
  kRelease = 9,
  kRollback = 10,
  kKvExport = 11,
  kKvImport = 12,
  kReplay = 13,
  kLeave = 14,
  kPing = 15,
  kError = 16,
  kBye = 17,
  kReport = 18,
  kExpertTable = 19,
  kExpertRows = 20,
  kExpertSums = 21,
  kExpertRefusal = 22,
  kExpertUsage = 23,
  kKvCopy = 24,
};

struct Header {
  Kind kind = Kind::kHello;
  NodeId to;
  NodeId from;
  uint32_t body_bytes = 0;
  bool operator==(const Header&) const = default;
};
// magic u16, version u8, kind u8, to u32, from u32, body_bytes u32.
inline constexpr size_t kHeaderBytes = 16;

using Sha256 = std::array<uint8_t, 32>;

// How floats cross the network.
enum class HopType : uint8_t { kF32 = 1, kF16 = 2 };

}  // namespace shoal::wire
