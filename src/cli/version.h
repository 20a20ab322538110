// The version of this program: the project's, as CMake has it.
#pragma once

#include <string_view>

namespace shoal::cli {

inline constexpr std::string_view kVersion = SHOAL_VERSION;

}  // namespace shoal::cli
