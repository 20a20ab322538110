// Checkpoint -> pack.
//
// Streams tensor by tensor: resident memory stays below three times the largest tensor plus 256
// MiB. Blobs appear under their names only when they are whole; a run that was interrupted goes on
// after the last of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/sha256.h"

namespace shoal::packer {

inline constexpr std::string_view kPackerVersion = "shoal 0.1.3";

struct Progress {
  std::string_view what;  // "reading", "packing"
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
};

struct PackOptions {
  std::filesystem::path checkpoint;
  std::filesystem::path pack;
  std::string weights = "f32";  // Recipe::List; each becomes a variant of the pack.
  // Longest context of the pack; 0: as long as the model has it. ONNX models only, whose rotary
  // tables are as long as that.
  uint32_t context = 0;
  std::string name;    // Of the model; empty: the checkpoint folder's name.
  bool force = false;  // Replace whatever pack is there.
  // Called often. Packing stops with kCancelled when it gives false, and can be resumed.
  std::function<bool(const Progress&)> progress = [](const Progress&) { return true; };
};

struct PackOutcome {
  bool unchanged = false;     // The very same pack was there already.
  uint64_t blobs_reused = 0;  // Found finished from an interrupted run.
  store::Sha256 id{};         // Of the pack.
};

// kAlreadyExists when something other than this pack, whole or unfinished, is in the way. Errors of
// the checkpoint name the file, field or tensor.
Result<PackOutcome> PackCheckpoint(const PackOptions& options);

}  // namespace shoal::packer
