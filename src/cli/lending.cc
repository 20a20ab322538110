#include "cli/lending.h"

#include <sys/utsname.h>

#include <algorithm>
#include <thread>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "cli/version.h"
#include "coordinator/hub/resume_token.h"
#include "engine/kernels/block_kernels.h"
#include "model/file.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMemoryMin = uint64_t{16} << 20;

// "Linux x86_64, avx512-vnni": for people.
std::string Platform() {
  utsname system = {};
  if (uname(&system) != 0) return "unknown";
  return StrCat(system.sysname, " ", system.machine, ", ", engine::BlockKernelsHere().back()->name);
}

}  // namespace

Result<engine::KvFormat> ParseKvFormat(std::string_view name) {
  if (name == "f32") return engine::KvFormat::kF32;
  if (name == "f16") return engine::KvFormat::kF16;
  if (name == "q8") return engine::KvFormat::kQ8;
  return Fail(Code::kInvalidArgument,
              StrCat("--kv: \"", name, "\" is unknown; use f32, f16 or q8"));
}

void AddLendFlags(CLI::App& command, LendFlags& flags) {
  command.add_option("--threads", flags.threads, "of the lent engine; default: one a processor")
      ->check(CLI::Range(1, 256));
  command.add_flag("--exact", flags.exact, "float activations for q4 and q8 weights: slower");
  command.add_option("--kv", flags.kv, "keys and values in f32, f16 or q8: smaller, less exact")
      ->capture_default_str();
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
  options.engine.exact = flags.exact;
  ASSIGN_OR_RETURN(options.engine.kv_format, ParseKvFormat(flags.kv));
  options.agent = StrCat("shoal ", kVersion, " (native)");
  options.platform = Platform();
  return {};
}

Result<std::string> KeepResumeToken(const fs::path& folder) {
  const fs::path file = folder / "resume-token";
  std::error_code error;
  if (fs::exists(file, error)) {
    ASSIGN_OR_RETURN(std::string kept, model::ReadFile(file, kResumeTokenDigits));
    if (kept.size() == kResumeTokenDigits) return kept;
  }
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) {
    return Fail(Code::kPermissionDenied, StrCat(folder.string(), ": ", error.message()));
  }
  const std::string token = NewResumeToken();
  RETURN_IF_ERROR(model::WriteFileAtomically(file, AsBytes(token)));
  return token;
}

}  // namespace shoal::cli
