// An existing ONNX decoder -> pack: the weights as the model stores them.
#pragma once

#include "base/result.h"
#include "packer/packer.h"

namespace shoal::packer {

// Of variants made of ONNX models: each weight is stored as it was.
inline constexpr std::string_view kOnnxWeights = "onnx";

// Whether a path is that of an ONNX model.
bool IsOnnx(const std::filesystem::path& path);

// As PackCheckpoint, of options.checkpoint, a .onnx file. options.weights must be empty: weights
// stay as they are. kUnimplemented says why a model cannot be cut.
Result<PackOutcome> PackOnnx(const PackOptions& options);

}  // namespace shoal::packer
