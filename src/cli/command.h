// A subcommand of `shoal`: one file of this folder with a function that adds it to the command
// line, listed in commands.h.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage. Errors go to stderr as "shoal: MESSAGE".
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"

namespace shoal::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Adds a subcommand whose callback sets `exit_code`, which lives as long as `app`.
using AddCommand = void(CLI::App& app, int& exit_code);

// Prints the error for a person; returns kFailed.
int ReportFailure(const Error& error);
// Prints what is wrong with a flag; returns kUsage.
int ReportUsage(std::string_view message);

// The command line with these subcommands, and the settings that they read (settings.h).
std::unique_ptr<CLI::App> BuildCommandLine(std::span<AddCommand* const> commands, int& exit_code);

// The whole of `main`: parses the arguments with these subcommands and runs the chosen one.
int RunCommandLine(std::span<AddCommand* const> commands, int argc, const char* const* argv);

}  // namespace shoal::cli
