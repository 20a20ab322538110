// Well-formed UTF-8 (Unicode 16, table 3-7), as every string on the wire is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::wire {

bool IsUtf8(std::string_view text);

// `text` with every byte that belongs to no well-formed sequence replaced by U+FFFD, cut before the
// character that would pass `max_bytes`.
std::string CleanUtf8(std::string_view text, size_t max_bytes);

// Appends the UTF-8 of a code point, which must be at most 0x10FFFF and no surrogate (CHECK).
void AppendUtf8(uint32_t code_point, std::string& out);

}  // namespace shoal::wire
