// A GGUF file as a checkpoint: what its metadata say as a config.json, and its tensors under the
// names that Hugging Face's checkpoints of the family use.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "model/stored_tensors.h"

namespace shoal::model {

struct GgufModel {
  std::string config_json;
  std::string generation_json;  // The ids that end a text.
  TensorMap tensors;            // By the names that the family asks for.
};

// `files` are the parts of one model, the first of which has the metadata. kUnimplemented names an
// architecture, a rotation or a type of tensor that is not supported; kInvalidArgument a key or a
// tensor that cannot be right. Architectures: llama (Mistral and Mixtral too), qwen2, qwen3,
// qwen3moe, gemma2, gemma3, phi3, olmo2, smollm3.
Result<GgufModel> ReadGgufModel(const std::vector<Gguf>& files);

}  // namespace shoal::model
