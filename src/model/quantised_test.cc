// Readers of quantised checkpoints, against float twins of the same checkpoints
// (tests/golden/fp8_twins, mxfp4_twins) and published formulas (tests/golden/weights/generate.py).
#include "model/quantised.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "model/testing.h"

namespace shoal::model {
namespace {

struct Loaded {
  MappedFile file;
  TensorMap tensors;
};

Loaded Load(const std::filesystem::path& path) {
  Loaded loaded{*MappedFile::Open(path), {}};
  auto tensors = *ParseSafetensors(loaded.file.bytes(), path.string());
  for (TensorView& tensor : tensors) {
    const std::string name = tensor.name;
    loaded.tensors.emplace(name, std::move(tensor));
  }
  return loaded;
}

// Any part of the tensor reads as that part of the whole.
void CheckParts(const TensorView& tensor, const std::vector<float>& whole) {
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    const uint64_t first = random.Below(whole.size());
    std::vector<float> part(1 + random.Below(whole.size() - first));
    tensor.encoding->Read(first, part);
    ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first)))
        << tensor.name << " from " << first;
  }
}

// The codes, taken as the header says, give the same values.
void CheckCodes(const TensorView& tensor, const std::vector<float>& whole) {
  const CodedMatrix& coded = *tensor.encoding->coded();
  ASSERT_EQ(coded.rows() * coded.columns(), whole.size());
  std::vector<uint8_t> codes(coded.columns()), zeros(coded.groups_per_row());
  std::vector<float> scales(coded.groups_per_row());
  for (uint64_t row = 0; row < coded.rows(); ++row) {
    coded.ReadCodes(row, codes);
    coded.ReadScales(row, scales, zeros);
    for (uint64_t column = 0; column < coded.columns(); ++column) {
      const uint64_t group = column / coded.group();
      ASSERT_LT(codes[column], 1 << coded.bits());
      if (coded.symmetric()) ASSERT_EQ(zeros[group], 1 << (coded.bits() - 1));
      const float value = scales[group] * static_cast<float>(codes[column] - zeros[group]);
      ASSERT_EQ(value, whole[row * coded.columns() + column]);
    }
  }
}

class Twins : public testing::TestWithParam<const char*> {};

TEST_P(Twins, GiveTheSameFloats) {
  const std::filesystem::path folder = kGolden / GetParam();
  Loaded quantised = Load(folder / "quantised" / "model.safetensors");
  const Loaded twin = Load(folder / "float" / "model.safetensors");
  const auto config = ReadFile(folder / "quantised" / "config.json", 1 << 20);
  const Status read = ReadQuantised(*config, quantised.tensors);
  ASSERT_TRUE(read) << read.error().ToString();
  ASSERT_EQ(quantised.tensors.size(), twin.tensors.size());
  size_t encoded = 0;
  for (const auto& [name, expected] : twin.tensors) {
    const auto found = quantised.tensors.find(name);
    ASSERT_NE(found, quantised.tensors.end()) << name;
    EXPECT_EQ(found->second.shape, expected.shape) << name;
    const std::vector<float> values = Floats(found->second);
    EXPECT_TRUE(values == Floats(expected)) << name;
    if (found->second.encoding == nullptr) continue;
    ++encoded;
    CheckParts(found->second, values);
  }
  EXPECT_GE(encoded, 4u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Twins,
                         testing::Values("fp8_twins/deepseek_v3", "fp8_twins/kimi_k2",
                                         "mxfp4_twins/gpt_oss"));

struct Formula {
  const char* file;
  const char* quantization;
  bool coded = true;
  bool symmetric = false;
};

class Formulas : public testing::TestWithParam<Formula> {};

TEST_P(Formulas, GiveTheSameFloats) {
  Loaded loaded = Load(kGolden / "weights" / StrCat(GetParam().file, ".safetensors"));
  const auto expected = loaded.tensors.extract("expected.x.weight");
  const std::string config = StrCat("{\"quantization_config\": ", GetParam().quantization, "}");
  const Status read = ReadQuantised(config, loaded.tensors);
  ASSERT_TRUE(read) << read.error().ToString();
  ASSERT_EQ(loaded.tensors.size(), 1u);
  const TensorView& weight = loaded.tensors.at("x.weight");
  EXPECT_EQ(weight.shape, expected.mapped().shape);
  const std::vector<float> values = Floats(weight);
  EXPECT_TRUE(values == Floats(expected.mapped()));
  CheckParts(weight, values);
  ASSERT_EQ(weight.encoding->coded() != nullptr, GetParam().coded);
  if (!GetParam().coded) return;
  EXPECT_EQ(weight.encoding->coded()->symmetric(), GetParam().symmetric);
  CheckCodes(weight, values);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Formulas,
    testing::Values(
        Formula{"gptq4_symmetric", R"({"quant_method": "gptq", "bits": 4, "group_size": 32})", true,
                true},
        Formula{"gptq4_zeros", R"({"quant_method": "gptq", "bits": 4, "group_size": 64})"},
        Formula{"gptq4_act_order", R"({"quant_method": "gptq", "bits": 4, "group_size": 32})",
                false},
        Formula{"gptq4_v2", R"({"quant_method": "gptq", "bits": 4, "group_size": 64,
                                "checkpoint_format": "gptq_v2"})"},
        Formula{"gptq8_symmetric", R"({"quant_method": "gptq", "bits": 8, "group_size": 32})", true,
                true},
        Formula{"gptq8_whole", R"({"quant_method": "gptq", "bits": 8, "group_size": -1})"},
        Formula{"awq", R"({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "GEMM",
                           "zero_point": true})"},
        Formula{"awq_symmetric", R"({"quant_method": "awq", "bits": 4, "group_size": 32})", true,
                true},
        Formula{"packed4", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
                               "config_groups": {"group_0": {"weights": {"num_bits": 4}}}})",
                true, true},
        Formula{"packed8", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
                               "config_groups": {"group_0": {"weights": {"num_bits": 8}}}})",
                true, true}),
    [](const auto& param_info) { return std::string(param_info.param.file); });

// A tensor of zeros that owns its bytes.
struct Made {
  ByteVector bytes;
  TensorView view;
};
Made Zeros(const std::string& name, DType type, std::vector<uint64_t> shape) {
  uint64_t count = 1;
  for (const uint64_t dim : shape) count *= dim;
  Made made{ByteVector(count * DTypeBytes(type)), {}};
  made.view = {.name = name, .type = type, .shape = std::move(shape), .data = made.bytes};
  return made;
}

std::string ErrorOf(const char* quantization, const std::vector<Made>& tensors) {
  TensorMap map;
  for (const Made& made : tensors) {
    // Of a copy, the view is still of the bytes that it was copied from.
    map.emplace(made.view.name, made.view).first->second.data = made.bytes;
  }
  const Status read = ReadQuantised(StrCat("{\"quantization_config\": ", quantization, "}"), map);
  return read ? "read" : read.error().detail;
}

TEST(Quantised, Fp8WithOneScaleOrOneForEachRow) {
  for (const std::vector<uint64_t>& shape : {std::vector<uint64_t>{}, {3, 1}, {3}, {1}}) {
    Made weight = Zeros("x.weight", DType::kF8E4M3, {3, 2});
    const uint8_t codes[] = {0x38, 0x40, 0xB8, 0x01, 0x7E, 0x00};  // 1, 2, -1, 2^-9, 448, 0
    std::ranges::copy(codes, weight.bytes.begin());
    Made scale = Zeros("x.weight_scale", DType::kF32, shape);
    std::vector<float> scales(scale.bytes.size() / 4);
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i + 2);
    std::memcpy(scale.bytes.data(), scales.data(), scale.bytes.size());
    TensorMap map{{"x.weight", weight.view}, {"x.weight_scale", scale.view}};
    ASSERT_TRUE(ReadQuantised(R"({"quantization_config": {"quant_method": "fp8"}})", map));
    const float b = scales.size() == 3 ? 3 : 2, c = scales.size() == 3 ? 4 : 2;
    EXPECT_THAT(Floats(map.at("x.weight")),
                testing::ElementsAre(2, 4, -b, b * std::ldexp(1.0f, -9), 448 * c, 0));
  }
}

TEST(Quantised, SaysWhatIsWrong) {
  using testing::HasSubstr;
  const Made fp8 = Zeros("x.weight", DType::kF8E4M3, {130, 256});
  EXPECT_THAT(ErrorOf(R"({"quant_method": "bitsandbytes"})", {fp8}),
              HasSubstr("\"bitsandbytes\" is not supported"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "fp8", "fmt": "e5m2"})", {fp8}), HasSubstr("e5m2"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "fp8"})", {fp8}), HasSubstr("x.weight_scale_inv"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "fp8"})",
                      {fp8, Zeros("x.weight_scale_inv", DType::kF32, {1, 2})}),
              HasSubstr("expected [2, 2]"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "fp8", "weight_block_size": [0, 8]})", {fp8}),
              HasSubstr("weight_block_size"));
  const Made blocks = Zeros("x_blocks", DType::kU8, {2, 4, 3, 16});
  EXPECT_THAT(ErrorOf(R"({"quant_method": "mxfp4"})", {blocks}), HasSubstr("x_scales"));
  EXPECT_THAT(
      ErrorOf(R"({"quant_method": "mxfp4"})", {blocks, Zeros("x_scales", DType::kU8, {2, 4, 2})}),
      HasSubstr("expected [2, 4, 3]"));
  EXPECT_THAT(
      ErrorOf(R"({"quant_method": "mxfp4"})",
              {blocks, Zeros("x_scales", DType::kU8, {2, 4, 3}), Zeros("x", DType::kF32, {1})}),
      HasSubstr("both"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "gptq", "bits": 3})", {}), HasSubstr("4 and 8"));
  const std::vector<Made> gptq = {Zeros("x.qweight", DType::kI32, {8, 16}),
                                  Zeros("x.qzeros", DType::kI32, {2, 2}),
                                  Zeros("x.scales", DType::kF16, {2, 16})};
  EXPECT_EQ(ErrorOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 32})", gptq), "read");
  EXPECT_THAT(ErrorOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 16})", gptq),
              HasSubstr("expected [4, 2]"));
  std::vector<Made> with_groups = gptq;
  with_groups.push_back(Zeros("x.g_idx", DType::kI32, {64}));
  with_groups.back().bytes[0] = 2;
  EXPECT_THAT(ErrorOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 32})", with_groups),
              HasSubstr("names group 2 of 2"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "awq", "version": "gemv"})", {}), HasSubstr("gemv"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "awq"})", {Zeros("x.qweight", DType::kI32, {64, 2})}),
              HasSubstr("x.qzeros"));
  EXPECT_THAT(ErrorOf(R"({"quant_method": "compressed-tensors", "format": "nvfp4"})", {}),
              HasSubstr("nvfp4"));
}

}  // namespace
}  // namespace shoal::model
