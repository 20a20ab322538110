#include "model/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "model/checkpoint.h"

namespace shoal::model {
namespace {

namespace fs = std::filesystem;

ByteVector File(const std::string& header, size_t data_bytes) {
  ByteVector bytes;
  ByteWriter writer(bytes);
  writer.Write<uint64_t>(header.size());
  writer.WriteBytes(AsBytes(header));
  bytes.resize(bytes.size() + data_bytes, 7);
  return bytes;
}

TEST(Safetensors, ReadsAFileThatTransformersWrote) {
  const auto file = MappedFile::Open(SHOAL_SOURCE_DIR "/tests/golden/hf/llama3/model.safetensors");
  ASSERT_TRUE(file) << file.error().ToString();
  const auto tensors = ParseSafetensors(file->bytes(), "model.safetensors");
  ASSERT_TRUE(tensors) << tensors.error().ToString();
  EXPECT_EQ(tensors->size(), 4u * 9 + 3);
  for (const TensorView& tensor : *tensors) {
    EXPECT_EQ(tensor.type, DType::kBF16);
    if (tensor.name == "model.layers.2.mlp.up_proj.weight") {
      EXPECT_EQ(tensor.shape, (std::vector<uint64_t>{160, 64}));
    }
  }
}

TEST(Safetensors, RefusesHostileHeaders) {
  const std::string one = R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})";
  ASSERT_TRUE(ParseSafetensors(File(R"({"a": )" + one + "}", 8), "f"));
  ASSERT_TRUE(ParseSafetensors(File(R"({"__metadata__": {"format": "pt"}})", 0), "f"));
  const struct {
    std::string header;
    size_t data_bytes;
    const char* detail;
  } cases[] = {
      {R"({"a": )" + one + "}", 7, "truncated"},
      {R"({"a": )" + one + "}", 9, "belong to no tensor"},
      {R"({"a": )" + one + R"(, "a": )" + one + "}", 8, "occurs twice"},
      {R"({"a": )" + one + R"(, "b": )" + one + "}", 8, "overlap"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})", 12, "gap"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", 8, "begin <= end"},
      {R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})", 8, "cannot hold"},
      {R"({"a": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}})", 8, "F31"},
      {R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4294967296],
           "data_offsets": [0, 8]}})",
       8, "cannot hold"},
      {R"({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})", 8, "shape"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}})", 8, "data_offsets"},
      {R"({"a": {"shape": [2], "data_offsets": [0, 8]}})", 8, "dtype: is missing"},
      {R"({"a": 5})", 8, "expected an object"},
      {R"([])", 0, "expected an object"},
      {"{", 0, "not valid JSON"},
      {"", 0, "not valid JSON"},
      {R"({"a": )" + std::string(100000, '['), 0, "not valid JSON"},
  };
  for (const auto& [header, data_bytes, detail] : cases) {
    const auto tensors = ParseSafetensors(File(header, data_bytes), "f");
    ASSERT_FALSE(tensors) << header.substr(0, 200);
    EXPECT_NE(tensors.error().detail.find(detail), std::string::npos) << tensors.error().detail;
  }
  EXPECT_FALSE(ParseSafetensors({}, "f"));
  ByteVector lying = File("{}", 0);
  lying[1] = 1;  // A header of 258 bytes in a file of 10.
  EXPECT_EQ(ParseSafetensors(lying, "f").error().code, Code::kDataLoss);
  lying[7] = 0x7f;
  EXPECT_EQ(ParseSafetensors(lying, "f").error().code, Code::kInvalidArgument);
}

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("checkpoint_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(SHOAL_SOURCE_DIR "/tests/golden/hf/llama3/config.json", folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void Write(const std::string& name, Bytes bytes) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, bytes));
  }
  std::string OpenError() {
    const auto checkpoint = Checkpoint::Open(folder_);
    return checkpoint ? "opened" : checkpoint.error().detail;
  }

  fs::path folder_;
};

TEST_F(CheckpointTest, ReadsShardsByTheirIndex) {
  const std::string a = R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})";
  const std::string b = R"({"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})";
  Write("one.safetensors", File(a, 8));
  Write("two.safetensors", File(b, 4));
  EXPECT_NE(OpenError().find("neither"), std::string::npos);
  const auto index = [&](const std::string& map) {
    Write("model.safetensors.index.json", AsBytes(R"({"weight_map": )" + map + "}"));
  };
  index(R"({"a": "one.safetensors", "b": "two.safetensors"})");
  const auto checkpoint = Checkpoint::Open(folder_);
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->tensors().find("b")->second.data.size(), 4u);

  index(R"({"a": "one.safetensors", "b": "one.safetensors"})");
  EXPECT_NE(OpenError().find("\"b\" should be in one.safetensors"), std::string::npos);
  index(R"({"a": "../one.safetensors"})");
  EXPECT_NE(OpenError().find("not the name of a file"), std::string::npos);
  index(R"({"a": "three.safetensors"})");
  EXPECT_NE(OpenError().find("three.safetensors: cannot open"), std::string::npos);
  Write("two.safetensors", File(a, 8));
  index(R"({"a": "one.safetensors", "c": "two.safetensors"})");
  EXPECT_NE(OpenError().find("in another file too"), std::string::npos);
}

TEST_F(CheckpointTest, SaysWhatIsTruncated) {
  const auto whole =
      ReadFile(SHOAL_SOURCE_DIR "/tests/golden/hf/llama3/model.safetensors", 1 << 20);
  ASSERT_TRUE(whole);
  for (const size_t size : {0ul, 5ul, 100ul, whole->size() / 2, whole->size() - 1}) {
    Write("model.safetensors", AsBytes(whole->substr(0, size)));
    EXPECT_NE(OpenError().find("truncated"), std::string::npos) << OpenError();
  }
}

TEST_F(CheckpointTest, RefusesWhatIsNotAFolderOrFile) {
  fs::create_directory(folder_ / "model.safetensors");
  EXPECT_NE(OpenError().find("not a regular file"), std::string::npos) << OpenError();
  EXPECT_EQ(Checkpoint::Open(folder_ / "absent").error().code, Code::kNotFound);
  EXPECT_EQ(Checkpoint::Open(folder_ / "config.json").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace shoal::model
