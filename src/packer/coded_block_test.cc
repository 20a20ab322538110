// Codes of a checkpoint kept in q4 and q8: the very values, or not at all.
#include "packer/coded_block.h"

#include <gtest/gtest.h>

#include "base/str_cat.h"
#include "model/file.h"
#include "model/quantised.h"
#include "tensor/convert.h"

namespace shoal::packer {
namespace {

struct Kept {
  size_t blocks = 0;
  size_t kept = 0;
};

// Copies every block of a checkpoint in tests/golden/weights and compares its values.
Kept CopyAll(const std::string& name, std::string_view quantization, BlockFormat format) {
  const auto path = StrCat(SHOAL_SOURCE_DIR, "/tests/golden/weights/", name, ".safetensors");
  const auto file = *model::MappedFile::Open(path);
  auto views = *model::ParseSafetensors(file.bytes(), name);
  model::TensorMap tensors;
  for (model::TensorView& tensor : views) {
    const std::string key = tensor.name;
    tensors.emplace(key, std::move(tensor));
  }
  const Status read =
      model::ReadQuantised(StrCat("{\"quantization_config\": ", quantization, "}"), tensors);
  EXPECT_TRUE(read) << read.error().ToString();
  const model::CodedMatrix& matrix = *tensors.at("x.weight").encoding->coded();
  const Bytes expected = tensors.at("expected.x.weight").data;

  Kept result;
  for (uint64_t row = 0; row < matrix.rows(); ++row) {
    const CodedRow coded(matrix, row);
    for (uint64_t block = 0; block < matrix.columns() / kBlockValues; ++block) {
      ++result.blocks;
      std::vector<uint8_t> codes(BlockCodeBytes(format));
      uint16_t scale = 0;
      if (!coded.Copy(block, format, codes, scale)) continue;
      ++result.kept;
      float values[kBlockValues], wanted[kBlockValues];
      DequantizeRow(format, codes, {&scale, 1}, values);
      const uint64_t at = row * matrix.columns() + block * kBlockValues;
      ToF32(DType::kF32, expected.subspan(at * 4, kBlockValues * 4), wanted);
      for (size_t i = 0; i < kBlockValues; ++i) EXPECT_EQ(values[i], wanted[i]) << row << " " << i;
    }
  }
  return result;
}

TEST(CodedBlock, SymmetricCodesAreKept) {
  struct Case {
    const char* name;
    const char* quantization;
    bool in_q4;
  };
  for (const Case& one :
       {Case{"gptq4_symmetric", R"({"quant_method": "gptq", "bits": 4, "group_size": 32})", true},
        Case{"gptq8_symmetric", R"({"quant_method": "gptq", "bits": 8, "group_size": 32})", false},
        Case{"awq_symmetric", R"({"quant_method": "awq", "bits": 4, "group_size": 32})", true},
        Case{"packed4", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
              "config_groups": {"group_0": {"weights": {"num_bits": 4}}}})",
             true}}) {
    const Kept q8 = CopyAll(one.name, one.quantization, BlockFormat::kQ8);
    EXPECT_GT(q8.blocks, 0u);
    EXPECT_EQ(q8.kept, q8.blocks) << one.name;
    const Kept q4 = CopyAll(one.name, one.quantization, BlockFormat::kQ4);
    if (one.in_q4) EXPECT_EQ(q4.kept, q4.blocks) << one.name;
    if (!one.in_q4) EXPECT_LT(q4.kept, q4.blocks) << one.name;
  }
}

// Four bits around any zero point fit into eight, and into four where the codes are near it.
TEST(CodedBlock, ZeroPointsFitInQ8) {
  for (const auto& [name, quantization] :
       {std::pair("gptq4_zeros", R"({"quant_method": "gptq", "bits": 4, "group_size": 64})"),
        std::pair("awq", R"({"quant_method": "awq", "bits": 4, "group_size": 64})")}) {
    const Kept q8 = CopyAll(name, quantization, BlockFormat::kQ8);
    EXPECT_EQ(q8.kept, q8.blocks) << name;
    const Kept q4 = CopyAll(name, quantization, BlockFormat::kQ4);
    EXPECT_GT(q4.kept, 0u) << name;
    EXPECT_LT(q4.kept, q4.blocks) << name;
  }
}

}  // namespace
}  // namespace shoal::packer
