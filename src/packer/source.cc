#include "packer/source.h"

#include <algorithm>
#include <set>

#include "base/str_cat.h"
#include "model/json.h"
#include "model/weight_reader.h"
#include "tokenizer/convert/convert.h"

namespace shoal::packer {

namespace {

constexpr uint64_t kMaxFileBytes = 64u << 20;
constexpr uint64_t kReadBytes = 16u << 20;
constexpr size_t kMaxNamed = 5;

// What text <-> ids and chats need, where a checkpoint has it.
constexpr std::string_view kPackedFiles[] = {"tokenizer.json", "tokenizer_config.json",
                                             "chat_template.jinja", "generation_config.json"};

Status CheckTensors(const model::Checkpoint& checkpoint) {
  const model::Architecture& arch = checkpoint.architecture();
  std::set<std::string, std::less<>> used;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    for (const model::WeightSpec& spec : model::BlockWeights(arch, block)) {
      RETURN_IF_ERROR(model::WeightReader::Open(checkpoint, spec));
      for (const model::WeightPiece& piece : spec.pieces) used.insert(piece.tensor);
    }
  }
  std::string unknown;
  size_t unknown_count = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (used.contains(name) || model::IsIgnorableTensor(arch, name)) continue;
    if (std::ranges::find(tensor.shape, 0u) != tensor.shape.end())
      continue;  // Of a part that a model goes without.
    if (++unknown_count <= kMaxNamed)
      unknown += StrCat(unknown.empty() ? "" : ", ", "\"", name, "\"");
  }
  if (unknown_count == 0) return {};
  if (unknown_count > kMaxNamed) unknown += StrCat(" and ", unknown_count - kMaxNamed, " more");
  return Fail(Code::kInvalidArgument, StrCat("the checkpoint holds tensors that a ", arch.family,
                                             " model does not have: ", unknown));
}

// Makes a tokenizer.json of the first file that can stand for it.
Status AddTokenizer(const std::filesystem::path& folder, PackedFiles& files) {
  const auto config = files.find("tokenizer_config.json");
  for (const std::string_view name : tokenizer::TokenizerModelFiles()) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder / name, ignored)) continue;
    ASSIGN_OR_RETURN(const std::string content, model::ReadFile(folder / name, kMaxFileBytes));
    ASSIGN_OR_RETURN(
        files["tokenizer.json"],
        tokenizer::TokenizerJsonOf(name, content, config == files.end() ? "" : config->second));
    return {};
  }
  return {};
}

// A GGUF file need not hold a tokenizer.
Status AddFilesOfGguf(const model::Gguf& gguf, Source& source) {
  source.files["generation_config.json"] = source.checkpoint.generation_json();
  if (!gguf.Has("tokenizer.ggml.model")) return {};
  ASSIGN_OR_RETURN(source.files["tokenizer.json"], tokenizer::TokenizerJsonOfGguf(gguf));
  ASSIGN_OR_RETURN(source.files["tokenizer_config.json"], tokenizer::TokenizerConfigOfGguf(gguf));
  return {};
}

}  // namespace

Result<PackedFiles> FilesOfFolder(const std::filesystem::path& folder) {
  PackedFiles files;
  for (const std::string_view name : kPackedFiles) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder / name, ignored)) continue;
    ASSIGN_OR_RETURN(std::string content, model::ReadFile(folder / name, kMaxFileBytes));
    if (name.ends_with(".json")) RETURN_IF_ERROR(model::ParseJson(content, name));
    files.emplace(name, std::move(content));
  }
  if (!files.contains("tokenizer.json")) RETURN_IF_ERROR(AddTokenizer(folder, files));
  return files;
}

Result<Source> OpenSource(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(model::Checkpoint checkpoint, model::Checkpoint::Open(path));
  Source source{std::move(checkpoint), {}};
  RETURN_IF_ERROR(CheckTensors(source.checkpoint));
  if (source.checkpoint.gguf() != nullptr) {
    RETURN_IF_ERROR(AddFilesOfGguf(*source.checkpoint.gguf(), source));
  } else {
    ASSIGN_OR_RETURN(source.files, FilesOfFolder(path));
  }
  return source;
}

Result<store::Sha256> HashFile(const model::MappedFile& file, uint64_t total, uint64_t& done,
                               const std::function<bool(const Progress&)>& progress) {
  store::Sha256Hasher hasher;
  for (uint64_t at = 0; at < file.bytes().size(); at += kReadBytes) {
    const Bytes part =
        file.bytes().subspan(at, std::min<uint64_t>(kReadBytes, file.bytes().size() - at));
    hasher.Update(part);
    file.Forget(part);
    done += part.size();
    if (!progress({"reading", done, total})) return Fail(Code::kCancelled, "packing was stopped");
  }
  return hasher.Finish();
}

Result<store::Sha256> Fingerprint(const Source& source,
                                  const std::function<bool(const Progress&)>& progress) {
  std::map<std::string, store::Sha256> hashes;
  hashes["config.json"] = store::HashBytes(AsBytes(source.checkpoint.config_json()));
  for (const auto& [name, content] : source.files) {
    hashes[name] = store::HashBytes(AsBytes(content));
  }
  uint64_t total = 0;
  for (const auto& weights : source.checkpoint.weight_files()) total += weights.file.bytes().size();
  uint64_t done = 0;
  for (const auto& [name, file] : source.checkpoint.weight_files()) {
    ASSIGN_OR_RETURN(hashes[name], HashFile(file, total, done, progress));
  }
  std::string list;
  for (const auto& [name, sha] : hashes) list += StrCat(store::Hex(sha), "  ", name, "\n");
  return store::HashBytes(AsBytes(list));
}

}  // namespace shoal::packer
