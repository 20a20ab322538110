// What a volunteer is known by when it comes back: the coordinator gives it, or one that knows that
// it will come back makes its own.
#pragma once

#include <cstddef>
#include <string>

namespace shoal {

inline constexpr size_t kResumeTokenDigits = 32;

// Random hexadecimal digits; whoever has them is taken for that volunteer.
std::string NewResumeToken();

}  // namespace shoal
