// The pack that `shoal serve MODEL` serves: MODEL itself where it is one, and otherwise the pack
// that is made of it at the first start and kept in the data folder.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::cli {

struct ServedPackOptions {
  std::filesystem::path model;  // A pack, a model folder, a GGUF or an ONNX file.
  std::filesystem::path data;   // Packs are kept below data/packs/.
  std::string weights;          // Of a pack that is made: sets as packer::Recipe::List has them.
  // Once before something is packed, with what and where to.
  std::function<void(const std::string& line)> on_packing = [](const std::string&) {};
  std::function<void(std::string_view what, uint64_t done_bytes, uint64_t total_bytes)>
      on_progress = [](std::string_view, uint64_t, uint64_t) {};
};

// The folder of the pack. A model that has not changed since it was packed (its files' names, sizes
// and times) is not read again; one that has is packed anew, in place of the old pack. Packing that
// was interrupted goes on where it stopped. kNotFound when `model` is not there.
Result<std::filesystem::path> PackToServe(const ServedPackOptions& options);

}  // namespace shoal::cli
