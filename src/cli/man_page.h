// The manual page shoal(1).
#pragma once

#include <span>
#include <string>

#include "cli/describe_commands.h"

namespace shoal::cli {

// In the language of man(7).
std::string ManPage(std::span<const CommandFacts> commands);

}  // namespace shoal::cli
