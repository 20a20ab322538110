// For tests: the golden ONNX models, read as the packer reads them.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "onnx/read.h"
#include "partition/reading.h"
#include "partition/slim.h"

namespace shoal::partition {

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

struct TestModel {
  onnx::Model model;
  TensorBytes bytes;
};

// tests/golden/onnx/{name}/model.onnx
inline TestModel ReadGolden(const std::string& name) {
  const std::string folder = std::string(SHOAL_SOURCE_DIR) + "/tests/golden/onnx/" + name + "/";
  const auto file = std::make_shared<std::string>(ReadWhole(folder + "model.onnx"));
  const auto slim = Slim(AsBytes(*file), "model.onnx");
  EXPECT_TRUE(slim) << slim.error().ToString();
  auto model = onnx::Parse(*slim);
  EXPECT_TRUE(model) << model.error().ToString();
  const auto data = std::make_shared<std::string>();
  if (std::ifstream(folder + "model.onnx.data")) *data = ReadWhole(folder + "model.onnx.data");
  return {std::move(*model), [file, data](const onnx::Tensor& tensor) -> Result<Bytes> {
            const bool inside = tensor.external->location == "model.onnx";
            return AsBytes(inside ? *file : *data)
                .subspan(tensor.external->offset, tensor.external->length);
          }};
}

}  // namespace shoal::partition
