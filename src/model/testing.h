// For tests: golden files, and models and tensors that must be readable.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/safetensors.h"
#include "tensor/convert.h"

namespace shoal::model {

inline const std::filesystem::path kGolden =
    std::filesystem::path(SHOAL_SOURCE_DIR) / "tests" / "golden";

inline Architecture MustParse(const std::string& json) {
  auto arch = ParseArchitecture(json);
  EXPECT_TRUE(arch) << arch.error().ToString();
  return arch.value_or(Architecture{});
}

// All values of the tensor, stored as they are or encoded.
inline std::vector<float> Floats(const TensorView& tensor) {
  uint64_t count = 1;
  for (const uint64_t dim : tensor.shape) count *= dim;
  std::vector<float> values(count);
  if (tensor.encoding != nullptr) {
    tensor.encoding->Read(0, values);
  } else {
    ToF32(tensor.type, tensor.data, values);
  }
  return values;
}

}  // namespace shoal::model
