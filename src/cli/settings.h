// Where a flag's value comes from when it is not given: flag > environment > settings file >
// built-in default, for the commands that people keep running or use every day. docs/operating.md
// tells it to people.
//
//   --max-answers N        $SHOAL_MAX_ANSWERS        [serve]
//                                                    max-answers = N
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace shoal::cli {

// The commands whose flags can be set so; those of the others are given each time.
inline constexpr std::string_view kCommandsWithSettings[] = {"serve", "join", "status", "chat"};

// Adds --config to `app`, which has all its subcommands already, and a variable to each of their
// flags. An entry of the file for a command or a flag that there is not is a CLI::ConfigError.
void AddSettings(CLI::App& app);

// "max-answers" -> "SHOAL_MAX_ANSWERS".
std::string VariableOf(std::string_view flag);

// The settings file that is read without --config and $SHOAL_CONFIG: the first that exists of
// $XDG_CONFIG_HOME/shoal/shoal.toml, ~/.config/shoal/shoal.toml and /etc/shoal/shoal.toml; empty
// where none does.
std::string DefaultSettingsFile();

}  // namespace shoal::cli
