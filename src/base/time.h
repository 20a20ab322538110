// Times and durations as microseconds. A time counts from an arbitrary start: only differences of
// times from one clock mean anything. The core never reads a clock; `now` is always handed in.
#pragma once

#include <cstdint>

namespace shoal {

using Micros = int64_t;

inline constexpr Micros kMillisecond = 1000;
inline constexpr Micros kSecond = 1000 * kMillisecond;

}  // namespace shoal
