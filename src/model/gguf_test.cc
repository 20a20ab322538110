// GGUF files against the checkpoints of which they were made (tests/golden/gguf/generate.py), and
// blocks against ggml's formulas.
#include "model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/str_cat.h"
#include "model/checkpoint.h"
#include "model/gguf_blocks.h"
#include "model/gguf_model.h"
#include "model/testing.h"
#include "model/weight_reader.h"

namespace shoal::model {
namespace {

std::map<std::string, std::vector<float>> Expected(const MappedFile& file) {
  std::map<std::string, std::vector<float>> values;
  const auto tensors = *ParseSafetensors(file.bytes(), "expected");
  for (const TensorView& tensor : tensors) {
    values[tensor.name] = Floats(tensor);
  }
  return values;
}

TEST(GgufBlocks, GiveTheFloatsOfTheFormulas) {
  const auto file = *MappedFile::Open(kGolden / "gguf" / "blocks.gguf");
  const auto gguf = Gguf::Parse(file.bytes(), "blocks.gguf");
  ASSERT_TRUE(gguf) << gguf.error().ToString();
  const auto expected = Expected(*MappedFile::Open(kGolden / "gguf" / "blocks.safetensors"));
  ASSERT_EQ(gguf->tensors().size(), expected.size());
  Random random(3);
  for (const GgufTensor& tensor : gguf->tensors()) {
    const auto view = ReadGgufTensor(tensor, "blocks.gguf");
    ASSERT_TRUE(view) << view.error().ToString();
    const std::vector<float>& values = expected.at(tensor.name);
    EXPECT_TRUE(Floats(*view) == values) << tensor.name;
    if (view->encoding == nullptr) continue;
    for (int round = 0; round < 50; ++round) {
      const uint64_t first = random.Below(values.size());
      std::vector<float> part(1 + random.Below(values.size() - first));
      view->encoding->Read(first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), values.begin() + static_cast<long>(first)));
    }
    const bool coded = tensor.name == "type2" || tensor.name == "type8";
    EXPECT_EQ(view->encoding->coded() != nullptr, coded) << tensor.name;
  }
}

class GgufTwins : public testing::TestWithParam<const char*> {};

TEST_P(GgufTwins, HoldTheSameModel) {
  const auto folder = Checkpoint::Open(kGolden / "hf" / GetParam());
  const auto file = Checkpoint::Open(kGolden / "gguf" / StrCat(GetParam(), ".gguf"));
  ASSERT_TRUE(folder) << folder.error().ToString();
  ASSERT_TRUE(file) << file.error().ToString();
  Architecture expected = folder->architecture();
  expected.norm.minus_one = false;
  Architecture got = file->architecture();
  // The file has floats where config.json has doubles.
  EXPECT_FLOAT_EQ(static_cast<float>(got.norm.epsilon), static_cast<float>(expected.norm.epsilon));
  got.norm.epsilon = expected.norm.epsilon;
  EXPECT_EQ(got, expected);
  EXPECT_EQ(file->generation().eos_ids, folder->generation().eos_ids);
  EXPECT_EQ(file->generation().bos_id, folder->generation().bos_id);
  for (uint32_t block = 0; block < expected.block_count(); ++block) {
    const auto specs = BlockWeights(file->architecture(), block);
    const auto expected_specs = BlockWeights(folder->architecture(), block);
    ASSERT_EQ(specs.size(), expected_specs.size());
    for (size_t i = 0; i < specs.size(); ++i) {
      auto reader = WeightReader::Open(*file, specs[i]);
      auto expected_reader = WeightReader::Open(*folder, expected_specs[i]);
      ASSERT_TRUE(reader) << reader.error().ToString();
      ASSERT_TRUE(expected_reader) << expected_reader.error().ToString();
      for (uint64_t slice = 0; slice < reader->slice_count(); ++slice) {
        ASSERT_TRUE(Floats(reader->Slice(slice)) == Floats(expected_reader->Slice(slice)))
            << "block " << block << " " << specs[i].role << " " << slice;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgufTwins,
                         testing::Values("llama3", "qwen2", "gemma3", "phi3", "qwen3_moe"));

// Queries and keys lie in another order in the file, also as codes.
TEST(Gguf, RowsOfQ4AreCodes) {
  const auto file = Checkpoint::Open(kGolden / "gguf" / "llama3_q4_0.gguf");
  ASSERT_TRUE(file) << file.error().ToString();
  const auto expected = Expected(*MappedFile::Open(kGolden / "gguf" / "llama3_q4_0.safetensors"));
  size_t coded_rows = 0;
  for (const WeightSpec& spec : BlockWeights(file->architecture(), 1)) {
    auto reader = WeightReader::Open(*file, spec);
    ASSERT_TRUE(reader) << reader.error().ToString();
    const std::vector<float>& values = expected.at(spec.pieces[0].tensor);
    EXPECT_TRUE(Floats(reader->Slice(0)) == values) << spec.role;
    if (spec.kind != WeightKind::kMatrix) continue;
    const uint64_t columns = spec.shape[1];
    std::vector<uint8_t> codes(columns), zeros(columns / 32);
    std::vector<float> scales(columns / 32);
    for (uint64_t row = 0; row < spec.shape[0]; ++row) {
      const auto coded = reader->FindCodedRow(0, row);
      ASSERT_TRUE(coded) << spec.role;
      coded->matrix->ReadCodes(coded->row, codes);
      coded->matrix->ReadScales(coded->row, scales, zeros);
      for (uint64_t column = 0; column < columns; ++column) {
        ASSERT_EQ(scales[column / 32] * static_cast<float>(codes[column] - zeros[column / 32]),
                  values[row * columns + column])
            << spec.role << " " << row << " " << column;
      }
      ++coded_rows;
    }
  }
  EXPECT_GT(coded_rows, 400u);
}

TEST(Gguf, RefusesWhatIsCutOffAnywhere) {
  const auto whole = *ReadFile(kGolden / "gguf" / "phi3.gguf", 1 << 22);
  const auto gguf = Gguf::Parse(AsBytes(whole), "whole");
  ASSERT_TRUE(gguf);
  for (size_t size = 0; size < whole.size(); size += size < 4000 ? 1 : 4099) {
    std::vector<Gguf> files;
    auto parsed = Gguf::Parse(AsBytes(whole).first(size), "cut");
    if (!parsed) continue;
    files.push_back(*std::move(parsed));
    EXPECT_FALSE(ReadGgufModel(files)) << size;
  }
}

ByteVector HeaderOf(uint32_t version, uint64_t tensors, uint64_t values) {
  ByteVector bytes;
  ByteWriter writer(bytes);
  writer.WriteBytes(AsBytes("GGUF"));
  writer.Write(version);
  writer.Write(tensors);
  writer.Write(values);
  return bytes;
}

TEST(Gguf, SaysWhatIsWrong) {
  using testing::HasSubstr;
  const auto error = [](const ByteVector& bytes) {
    const auto parsed = Gguf::Parse(bytes, "x.gguf");
    return parsed ? "parsed" : parsed.error().ToString();
  };
  EXPECT_THAT(error({}), HasSubstr("not a GGUF file"));
  EXPECT_THAT(error(HeaderOf(1, 0, 0)), HasSubstr("version 1"));
  EXPECT_THAT(error(HeaderOf(3, uint64_t{1} << 60, 0)), HasSubstr("at most"));
  EXPECT_THAT(error(HeaderOf(3, 0, 1)), HasSubstr("ends in the middle"));
  ByteVector twice = HeaderOf(3, 0, 2);
  ByteWriter writer(twice);
  for (int i = 0; i < 2; ++i) {
    writer.Write<uint64_t>(1);
    writer.WriteBytes(AsBytes("k"));
    writer.Write<uint32_t>(0);
    writer.Write<uint8_t>(7);
  }
  EXPECT_THAT(error(twice), HasSubstr("occurs twice"));
  ByteVector list = HeaderOf(3, 0, 1);
  ByteWriter list_writer(list);
  list_writer.Write<uint64_t>(1);
  list_writer.WriteBytes(AsBytes("k"));
  list_writer.Write<uint32_t>(9);
  list_writer.Write<uint32_t>(8);
  list_writer.Write<uint64_t>(uint64_t{1} << 40);
  EXPECT_THAT(error(list), HasSubstr("a list of"));
}

}  // namespace
}  // namespace shoal::model
