#include "cli/lending.h"

#include <sys/utsname.h>

#include <algorithm>
#include <thread>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "cli/version.h"
#include "engine/kernels/block_kernels.h"

namespace shoal::cli {

namespace {

constexpr uint64_t kMemoryMin = uint64_t{16} << 20;

// "Linux x86_64, avx512-vnni": for people.
std::string Platform() {
  utsname system = {};
  if (uname(&system) != 0) return "unknown";
  return StrCat(system.sysname, " ", system.machine, ", ", engine::BlockKernelsHere().back()->name);
}

}  // namespace

void AddLendFlags(CLI::App& command, LendFlags& flags) {
  command.add_option("--threads", flags.threads, "of the lent engine; default: one a processor")
      ->check(CLI::Range(1, 256));
  command.add_flag("--exact", flags.exact, "float activations for q4 and q8 weights: slower");
}

Status ApplyLendFlags(const LendFlags& flags, volunteer::NodeOptions& options) {
  ASSIGN_OR_RETURN(options.memory_bytes, ParseSize(flags.memory));
  if (options.memory_bytes < kMemoryMin) {
    return Fail(Code::kInvalidArgument,
                StrCat("lending ", FormatSize(options.memory_bytes), " is too little; at least ",
                       FormatSize(kMemoryMin)));
  }
  options.threads =
      flags.threads != 0 ? flags.threads : std::max(1u, std::thread::hardware_concurrency());
  options.exact = flags.exact;
  options.agent = StrCat("shoal ", kVersion, " (native)");
  options.platform = Platform();
  return {};
}

}  // namespace shoal::cli
