// config.json from the metadata of a GGUF file.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/gguf.h"

namespace shoal::model {

// The architectures that are read. `turned`: the rows of queries and keys are those of a rotation
// of neighbours.
struct GgufFamily {
  std::string_view architecture;  // general.architecture
  std::string_view model_type;    // config.json's.
  bool turned = false;
};
// kUnimplemented for another. LLaMA with experts is Mixtral.
Result<GgufFamily> FindGgufFamily(const Gguf& gguf);

// Tensors that say something about the configuration, null where there are none.
struct GgufConfigTensors {
  const GgufTensor* embedding = nullptr;      // [vocabulary, hidden]
  const GgufTensor* head = nullptr;           // Absent: tied.
  const GgufTensor* query_bias = nullptr;     // Of the first layer.
  const GgufTensor* mlp_bias = nullptr;       // Likewise.
  const GgufTensor* rope_freqs = nullptr;     // Llama 3.1: a divisor for each frequency.
  const GgufTensor* short_factors = nullptr;  // LongRoPE.
  const GgufTensor* long_factors = nullptr;
};

Result<boost::json::object> ConfigOfGguf(const Gguf& gguf, const GgufFamily& family,
                                         const GgufConfigTensors& tensors);
// generation_config.json: the first id of a text, and those that end one.
Result<boost::json::object> GenerationOfGguf(const Gguf& gguf);

}  // namespace shoal::model
