// A Hugging Face checkpoint folder: config.json, weights in one safetensors file or in shards with
// an index, and the files that go with them; or a GGUF file, which holds all that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/architecture.h"
#include "model/file.h"
#include "model/gguf.h"
#include "model/safetensors.h"

namespace shoal::model {

inline constexpr uint64_t kMaxConfigBytes = 1u << 20;  // Of config.json and its like.

// The weights are mapped, not read. Tensor views live as long as the checkpoint.
class Checkpoint {
 public:
  // Reads config.json, generation_config.json if there is one, the index and every safetensors
  // header. The files named by an index must lie in the folder itself, and hold what it says.
  // `path` may also name a GGUF file (model/gguf_model.h), or the first of several.
  static Result<Checkpoint> Open(const std::filesystem::path& path);

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& config_json() const { return config_json_; }
  // Empty when there is no such file.
  const std::string& generation_json() const { return generation_json_; }
  const Architecture& architecture() const { return architecture_; }
  const GenerationDefaults& generation() const { return generation_; }
  // By name, without the prefix that some files of a family have (Family::optional_prefix), or that
  // a decoder has beside other parts (wrapped.h).
  // Quantised ones are there as what they stand for (model/quantised.h).
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

  // Of a GGUF file its metadata, among them the tokenizer; null for a folder.
  const Gguf* gguf() const { return ggufs_.empty() ? nullptr : &ggufs_.front(); }

  // The weight files, whole, by file name.
  struct WeightFile {
    std::string name;
    MappedFile file;
  };
  const std::vector<WeightFile>& weight_files() const { return files_; }
  // Gives a tensor's pages back to the system.
  void Forget(const TensorView& tensor) const;
  void Forget(Bytes part) const;

 private:
  std::string KeyOf(const std::string& name) const;
  static Result<Checkpoint> OpenGguf(const std::filesystem::path& file);
  Status AddFile(const std::string& name);
  Status AddShards(const std::string& index_json);

  std::filesystem::path folder_;
  std::string config_json_;
  std::string generation_json_;
  Architecture architecture_;
  GenerationDefaults generation_;
  std::vector<WeightFile> files_;
  std::vector<Gguf> ggufs_;  // Of each file.
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace shoal::model
