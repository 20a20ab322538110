// For benches: a stage of decoder layers with random weights, as graph and bytes.
#pragma once

#include <map>
#include <string>

#include "engine/stage.h"
#include "onnx/model.h"

namespace shoal::volunteer {

struct RandomStageOptions {
  // The weights: "q4", "q8" (MatMulNBits), "f32" (MatMul) or "int8" (DynamicQuantizeMatMul, which
  // the engine does not run).
  std::string format = "q4";
  size_t layers = 4;
  size_t hidden = 2048;
  size_t ffn = 8192;
  size_t heads = 32;
  size_t kv_heads = 8;
  size_t head_size = 64;
  size_t positions = 2048;
  // Of MatMulNBits, for ONNX Runtime: 4 rounds activations to int8, 1 does not.
  int64_t accuracy_level = 4;
  uint64_t seed = 7;
};

// Blocks [1, layers + 1) under the graph contract (engine/io.h); every weight in the one blob.
struct RandomStage : public engine::WeightSource {
  static constexpr const char* kBlob = "weights.bin";

  explicit RandomStage(const RandomStageOptions& options);
  Result<Bytes> Map(const onnx::ExternalData& range) override;

  onnx::Model model;
  ByteVector blob;
};

}  // namespace shoal::volunteer
