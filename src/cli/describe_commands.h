// What the command line consists of, read out of CLI11's own structure: the one source of the
// completions, the man page and the help, so that they cannot differ.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace shoal::cli {

struct OptionFacts {
  std::vector<std::string> flags;  // "-o", "--output"; empty for an argument without a flag.
  std::string place;               // The name of such an argument, "model"; else empty.
  std::string help;
  std::string otherwise;             // Its default value; may be empty.
  std::string variable;              // "SHOAL_PORT"; empty where none is read.
  std::vector<std::string> choices;  // When only these are allowed.
  bool takes_value = false;
  bool is_required = false;
  bool is_secret = false;  // Keys and secrets: values are neither shown nor suggested.
};

struct CommandFacts {
  std::vector<std::string> path;  // {"bench", "engine"}; empty for `shoal` itself.
  std::string help;
  std::vector<OptionFacts> options;
  std::vector<std::string> subcommands;
};

// `app` itself first, then every command, each before its own.
std::vector<CommandFacts> DescribeCommands(const CLI::App& app);

// The flag that people are shown: the first long one.
const std::string& LongFlag(const OptionFacts& option);

}  // namespace shoal::cli
