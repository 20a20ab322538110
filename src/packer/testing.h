// For tests: checkpoints made up on the spot, and a folder of their own that goes away.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "model/weights.h"
#include "tensor/convert.h"

namespace shoal::packer {

// A folder that exists for one test.
class ScratchFolder {
 public:
  ScratchFolder() {
    static int count = 0;
    path_ = std::filesystem::path(testing::TempDir()) / StrCat("shoal_", ::getpid(), "_", count++);
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct TestTensor {
  std::string type = "BF16";
  std::vector<uint64_t> shape;
  ByteVector data;
};
using TestTensors = std::map<std::string, TestTensor>;

inline constexpr const char* kTinyConfig = R"({"model_type": "llama", "hidden_size": 32,
    "num_hidden_layers": 2, "vocab_size": 41, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 50, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "eos_token_id": 2})";
inline constexpr const char* kTinyTiedConfig = R"({"model_type": "llama", "hidden_size": 32,
    "num_hidden_layers": 1, "vocab_size": 41, "num_attention_heads": 2, "head_dim": 16,
    "intermediate_size": 50, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": true})";

// Every tensor of the architecture, in bf16, with small random values.
inline TestTensors RandomTensors(const model::Architecture& arch, uint64_t seed) {
  Random random(seed);
  TestTensors tensors;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    for (const model::WeightSpec& spec : model::BlockWeights(arch, block)) {
      for (const model::WeightPiece& piece : spec.pieces) {
        TestTensor& tensor = tensors[piece.tensor];
        if (!tensor.data.empty()) continue;
        tensor.shape = piece.tensor_shape;
        uint64_t count = 1;
        for (const uint64_t dim : tensor.shape) count *= dim;
        ByteWriter writer(tensor.data);
        for (uint64_t i = 0; i < count; ++i) {
          writer.Write(F32ToBF16(static_cast<float>(random.NextDouble() - 0.5)));
        }
      }
    }
  }
  return tensors;
}

inline void WriteText(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<long>(text.size()));
}

inline void WriteCheckpoint(const std::filesystem::path& folder, std::string_view config,
                            const TestTensors& tensors) {
  std::filesystem::create_directories(folder);
  WriteText(folder / "config.json", config);
  boost::json::object header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data += AsText(tensor.data);
    header[name] =
        boost::json::object{{"dtype", tensor.type},
                            {"shape", boost::json::array(tensor.shape.begin(), tensor.shape.end())},
                            {"data_offsets", boost::json::array{begin, data.size()}}};
  }
  const std::string text = boost::json::serialize(header);
  ByteVector file;
  ByteWriter writer(file);
  writer.Write<uint64_t>(text.size());
  writer.WriteBytes(AsBytes(text));
  writer.WriteBytes(AsBytes(data));
  WriteText(folder / "model.safetensors", AsText(file));
}

}  // namespace shoal::packer
