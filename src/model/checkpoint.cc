#include "model/checkpoint.h"

#include "base/check.h"
#include "base/str_cat.h"
#include "model/families.h"
#include "model/json.h"
#include "model/quantised.h"
#include "model/wrapped.h"

namespace shoal::model {

namespace {

constexpr uint64_t kMaxIndexBytes = 64u << 20;
constexpr size_t kMaxShards = 4096;
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// A plain file name: nothing that leads out of the folder.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (folder.extension() == ".gguf" && std::filesystem::is_regular_file(folder, ignored)) {
    return OpenGguf(folder);
  }
  if (!std::filesystem::is_directory(folder, ignored)) {
    return Fail(Code::kNotFound,
                StrCat(folder.string(), ": no such checkpoint folder or GGUF file"));
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  ASSIGN_OR_RETURN(checkpoint.config_json_, ReadFile(folder / "config.json", kMaxConfigBytes));
  ASSIGN_OR_RETURN(checkpoint.architecture_, ParseArchitecture(checkpoint.config_json_));
  const std::filesystem::path generation = folder / "generation_config.json";
  if (std::filesystem::exists(generation, ignored)) {
    ASSIGN_OR_RETURN(checkpoint.generation_json_, ReadFile(generation, kMaxConfigBytes));
  }
  ASSIGN_OR_RETURN(checkpoint.generation_,
                   ParseGenerationDefaults(checkpoint.config_json_, checkpoint.generation_json_,
                                           checkpoint.architecture_.vocab));
  if (std::filesystem::exists(folder / kSingleFile, ignored)) {
    RETURN_IF_ERROR(checkpoint.AddFile(std::string(kSingleFile)));
    RETURN_IF_ERROR(ReadQuantised(checkpoint.config_json_, checkpoint.tensors_));
    return checkpoint;
  }
  if (!std::filesystem::exists(folder / kIndexFile, ignored)) {
    return Fail(Code::kNotFound, StrCat(folder.string(), ": neither ", kSingleFile, " nor ",
                                        kIndexFile, " is there"));
  }
  ASSIGN_OR_RETURN(const std::string index, ReadFile(folder / kIndexFile, kMaxIndexBytes));
  RETURN_IF_ERROR(checkpoint.AddShards(index));
  RETURN_IF_ERROR(ReadQuantised(checkpoint.config_json_, checkpoint.tensors_));
  return checkpoint;
}

std::string Checkpoint::KeyOf(const std::string& name) const {
  if (architecture_.wrapped) return UnwrappedName(name);
  const Family* family = FindFamily(architecture_.family);
  CHECK(family != nullptr);
  const std::string_view prefix = family->optional_prefix;
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

Status Checkpoint::AddShards(const std::string& index_json) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(index_json, kIndexFile));
  ASSIGN_OR_RETURN(const JsonObject index, JsonObject::From(value, std::string(kIndexFile)));
  ASSIGN_OR_RETURN(const JsonObject map, index.Object("weight_map"));
  std::map<std::string, std::vector<std::string>> names_of_file;
  for (const auto& [key, unused] : map.object()) {
    const std::string name(key.data(), key.size());
    ASSIGN_OR_RETURN(const std::string file, map.Text(name, 255));
    if (!IsPlainName(file)) {
      return map.Wrong(name, StrCat("\"", file, "\" is not the name of a file in the folder"));
    }
    names_of_file[file].push_back(name);
  }
  if (names_of_file.size() > kMaxShards) {
    return Fail(Code::kResourceExhausted,
                StrCat(kIndexFile, ": ", names_of_file.size(), " files; at most ", kMaxShards));
  }
  for (const auto& [file, names] : names_of_file) {
    RETURN_IF_ERROR(AddFile(file));
    const Bytes bytes = files_.back().file.bytes();
    for (const std::string& name : names) {
      const auto found = tensors_.find(KeyOf(name));
      const bool here = found != tensors_.end() && found->second.data.data() >= bytes.data() &&
                        found->second.data.data() <= bytes.data() + bytes.size();
      if (!here) {
        return Fail(Code::kInvalidArgument, StrCat(kIndexFile, ": tensor \"", name,
                                                   "\" should be in ", file, ", but it is not"));
      }
    }
  }
  return {};
}

Status Checkpoint::AddFile(const std::string& name) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(folder_ / name));
  ASSIGN_OR_RETURN(std::vector<TensorView> tensors, ParseSafetensors(file.bytes(), name));
  for (TensorView& tensor : tensors) {
    if (tensors_.contains(KeyOf(tensor.name))) {
      return Fail(Code::kInvalidArgument,
                  StrCat(name, ": tensor \"", tensor.name, "\" is in another file too"));
    }
    std::string key = KeyOf(tensor.name);
    tensors_.emplace(std::move(key), std::move(tensor));
  }
  files_.push_back({name, std::move(file)});
  return {};
}

void Checkpoint::Forget(const TensorView& tensor) const {
  if (tensor.encoding == nullptr) {
    Forget(tensor.data);
  } else {
    for (const Bytes stored : tensor.encoding->stored()) Forget(stored);
  }
}

void Checkpoint::Forget(Bytes part) const {
  for (const WeightFile& weights : files_) {
    const Bytes bytes = weights.file.bytes();
    if (part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size()) {
      weights.file.Forget(part);
      return;
    }
  }
}

}  // namespace shoal::model
