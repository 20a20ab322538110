#include "cli/served_pack.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "packer/onnx_packer.h"
#include "packer/packer.h"
#include "store/manifest.h"
#include "store/sha256.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kRecordBytesMax = 16u << 20;
constexpr size_t kHashCharacters = 12;

// What was packed, without reading it: a line for each file of the model.
Result<std::string> Describe(const fs::path& model, const std::string& weights) {
  std::vector<std::string> lines;
  std::error_code error;
  const auto add = [&](const fs::path& file) {
    const uint64_t bytes = fs::file_size(file, error);
    const auto written = fs::last_write_time(file, error).time_since_epoch().count();
    lines.push_back(StrCat(file.filename().string(), "\t", bytes, "\t", written, "\n"));
  };
  // The weights of an ONNX model may lie beside it.
  const fs::path folder = packer::IsOnnx(model) ? model.parent_path() : model;
  if (fs::is_directory(folder, error)) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.is_regular_file(error)) add(entry.path());
    }
  } else {
    add(model);
  }
  if (error) {
    return Fail(Code::kUnavailable, StrCat("cannot read ", model.string(), ": ", error.message()));
  }
  std::ranges::sort(lines);
  std::string text = StrCat(packer::kPackerVersion, "\t", weights, "\n");
  for (const std::string& line : lines) text += line;
  return text;
}

std::string NameOf(const fs::path& model) {
  std::error_code error;
  const bool is_file = fs::is_regular_file(model, error);
  return (is_file ? model.stem() : model.filename()).string();
}

// Two models of one name do not share a folder.
std::string FolderName(const fs::path& model, const std::string& weights) {
  const std::string place = store::Hex(store::HashBytes(AsBytes(model.string())));
  return StrCat(NameOf(model), "-", weights, "-", place.substr(0, kHashCharacters));
}

Status Pack(const ServedPackOptions& options, const std::string& weights, const fs::path& model,
            const fs::path& pack) {
  options.on_packing(
      StrCat("packing ", model.string(), " as ", weights, " into ", pack.string(), ", once"));
  const bool is_onnx = packer::IsOnnx(model);
  const auto make = is_onnx ? &packer::PackOnnx : &packer::PackCheckpoint;
  packer::PackOptions packing;
  packing.checkpoint = model;
  packing.pack = pack;
  packing.weights = is_onnx ? std::string() : weights;
  packing.name = NameOf(model);
  packing.progress = [&](const packer::Progress& progress) {
    options.on_progress(progress.what, progress.done_bytes, progress.total_bytes);
    return true;
  };
  auto outcome = make(packing);
  if (!outcome && outcome.error().code == Code::kAlreadyExists) {
    // Of an earlier state of the model: made here, and nobody else's.
    packing.force = true;
    outcome = make(packing);
  }
  RETURN_IF_ERROR(std::move(outcome));
  return {};
}

}  // namespace

Result<fs::path> PackToServe(const ServedPackOptions& options) {
  std::error_code error;
  const fs::path model = fs::canonical(options.model, error);
  if (error) {
    return Fail(Code::kNotFound, StrCat(options.model.string(),
                                        ": there is no such pack, model "
                                        "folder or GGUF file"));
  }
  if (fs::exists(model / store::kManifestFile, error)) return model;
  if (fs::is_directory(model, error) && !fs::exists(model / "config.json", error)) {
    return Fail(Code::kInvalidArgument, StrCat(options.model.string(),
                                               " is neither a pack (it has no manifest.json) nor a "
                                               "model folder (it has no config.json)"));
  }
  // An ONNX model's weights stay as they are.
  const std::string weights =
      packer::IsOnnx(model) ? std::string(packer::kOnnxWeights) : options.weights;
  ASSIGN_OR_RETURN(const std::string description, Describe(model, weights));
  const fs::path packs = options.data / "packs";
  const fs::path pack = packs / FolderName(model, weights);
  const fs::path record = pack.string() + ".source";
  const auto known = model::ReadFile(record, kRecordBytesMax);
  if (known && *known == description && fs::exists(pack / store::kManifestFile, error)) return pack;
  fs::create_directories(packs, error);
  if (error) {
    return Fail(Code::kUnavailable, StrCat("cannot make ", packs.string(), ": ", error.message()));
  }
  RETURN_IF_ERROR(Pack(options, weights, model, pack));
  RETURN_IF_ERROR(model::WriteFileAtomically(record, AsBytes(description)));
  return pack;
}

}  // namespace shoal::cli
