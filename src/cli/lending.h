// What a machine lends: the flags that `shoal join` and `shoal serve --lend` share.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "volunteer/node.h"

namespace shoal::cli {

struct LendFlags {
  std::string memory;    // "4G"
  uint32_t threads = 0;  // 0: one for each processor.
  bool exact = false;
  std::string kv = "f32";
};

// "f32", "f16" or "q8"; kInvalidArgument.
Result<engine::KvFormat> ParseKvFormat(std::string_view name);

// Adds --threads, --exact and --kv. `flags` must live as long as the command.
void AddLendFlags(CLI::App& command, LendFlags& flags);

// Fills in memory, threads, exactness and what this machine is. kInvalidArgument for a size that is
// none or too small for anything.
Status ApplyLendFlags(const LendFlags& flags, volunteer::NodeOptions& options);

// The resume token of a volunteer that keeps its things in `folder`: made at the first call, the
// same ever after, and nobody else's to read. Makes the folder. Errors as of model::ReadFile and
// WriteFileAtomically.
Result<std::string> KeepResumeToken(const std::filesystem::path& folder);

}  // namespace shoal::cli
