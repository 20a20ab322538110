// The flags of `shoal serve`, and what they come to.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/lending.h"
#include "coordinator/coordinator.h"
#include "volunteer/node.h"

namespace shoal::cli {

// As written on the command line; the parts that need reading or checking.
struct ServeFlags {
  CoordinatorOptions options;  // All but the pack.
  std::filesystem::path model;
  std::string hop = "f32";
  std::string tls;  // "self" or empty.
  std::filesystem::path data;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::string join_secret_file;
  LendFlags lend;  // Nothing is lent while its memory is empty.
};

// `flags` must live as long as the command.
void AddServeFlags(CLI::App& command, ServeFlags& flags);

struct ServePlan {
  CoordinatorOptions options;
  std::string fingerprint;  // Of the certificate that the server made for itself; else empty.
  // Of the volunteer in this process, all but the address; nothing when none is wanted.
  std::optional<volunteer::NodeOptions> lender;
};
// Reads the files that the flags name and makes the certificate. `flags.options.pack` is the pack
// of `flags.model` by now. kInvalidArgument for flags that contradict each other.
Result<ServePlan> ResolveServeFlags(const ServeFlags& flags, int64_t now_unix_s);

// The folder of --data, or the one below.
std::filesystem::path DataFolder(const ServeFlags& flags);

// Where a coordinator keeps what must outlive it, unless --data says otherwise: $STATE_DIRECTORY
// (as systemd sets it), $XDG_DATA_HOME/shoal, or ~/.local/share/shoal.
std::filesystem::path DefaultDataFolder();

}  // namespace shoal::cli
