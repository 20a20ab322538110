// An ONNX decoder on disk: the graph, the data files that lie beside it, and what configurations
// say of its context and its special ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "model/architecture.h"
#include "model/file.h"
#include "onnx/model.h"
#include "packer/packer.h"
#include "packer/source.h"
#include "partition/reading.h"
#include "store/sha256.h"

namespace shoal::packer {

struct OnnxSource {
  onnx::Model model;  // Large initialisers are external.
  // The model file itself and all that it names, mapped, by location.
  std::shared_ptr<std::map<std::string, model::MappedFile>> data;
  PackedFiles files;
  std::string configs;             // All that was read of them, for the fingerprint.
  std::string family = "onnx";     // config.json's or genai_config.json's model type.
  uint32_t positions = 0;          // Longest context; 0 where nothing says it.
  std::string config_json = "{}";  // With the special ids.

  // The bytes of an external initialiser; they stay as long as `data` does.
  partition::TensorBytes bytes() const;
};

// `path`: a .onnx file. Data files must lie in its folder or below. config.json and
// genai_config.json, tokenizer and chat template may lie beside it or in the folder above, as
// "onnx/model.onnx" has it.
Result<OnnxSource> OpenOnnx(const std::filesystem::path& path);

// A hash of everything that was opened.
Result<store::Sha256> Fingerprint(const OnnxSource& source,
                                  const std::function<bool(const Progress&)>& progress);

}  // namespace shoal::packer
