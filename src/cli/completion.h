// Completion scripts for shells.
#pragma once

#include <span>
#include <string>

#include "cli/describe_commands.h"

namespace shoal::cli {

// Each is the whole text of a script that completes the commands, their flags, the values of flags
// that have a few, and names of files for the rest.
std::string BashCompletion(std::span<const CommandFacts> commands);
std::string ZshCompletion(std::span<const CommandFacts> commands);
std::string FishCompletion(std::span<const CommandFacts> commands);

}  // namespace shoal::cli
