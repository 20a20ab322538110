// The command line as people and scripts meet it: output, messages, exit codes.
#include "cli/command.h"

#include <gtest/gtest.h>

#include "cli/npy.h"
#include "cli/numbers.h"
#include "cli/testing.h"
#include "packer/testing.h"

namespace shoal::cli {
namespace {

namespace fs = std::filesystem;

class CommandTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) { return (folder_.path() / name).string(); }
  void PackLlama3() {
    const CommandResult packed = RunShoal({"pack", GoldenFolder("llama3"), "-o", Path("pack")});
    ASSERT_EQ(packed.exit_code, 0) << packed.err;
  }

  packer::ScratchFolder folder_;
};

TEST_F(CommandTest, EvalPrintsIdsAndWritesLogits) {
  PackLlama3();
  const Reference reference = GoldenReference("llama3");
  const CommandResult result =
      RunShoal({"eval", Path("pack"), "--ids", JoinNumbers(reference.prompt_ids), "--cuts", "2,4",
                "--executor", "shoal", "--greedy", "24", "--logits", Path("logits.npy")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, JoinNumbers(reference.greedy_ids) + "\n");
  EXPECT_EQ(result.err, "");
  EXPECT_LT(RelativeError(ReadNpy(Path("logits.npy")),
                          ReadNpy(GoldenFolder("llama3") + "/ref_logits.npy")),
            3e-6);
}

TEST_F(CommandTest, WrongUsageIsTwo) {
  PackLlama3();
  const std::string pack = Path("pack");
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "subcommand is required"},
      {{"pakc"}, "pakc"},
      {{"pack"}, "expected CHECKPOINT -o PACK"},
      {{"pack", "x", "-o", "y", "--weights", "q5"}, "not a weight format"},
      {{"pack", "x", "--verify", pack}, "takes neither"},
      {{"pack", "x", "-o"}, "output"},
      {{"eval", pack, "--ids", "1,2"}, "expected --logits FILE, --greedy N, or both"},
      {{"eval", pack, "--greedy", "3"}, "--ids"},
      {{"eval", pack, "--ids", "", "--greedy", "3"}, "--ids"},
      {{"eval", pack, "--ids", "1,,2", "--greedy", "3"}, "not a whole number"},
      {{"eval", pack, "--ids", "1,256", "--greedy", "3"}, "from 0 to 255"},
      {{"eval", pack, "--ids", "1", "--greedy", "-3"}, "greedy"},
      {{"eval", pack, "--ids", "1", "--greedy", "513"}, "the model's context has 512"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--cuts", "6"}, "--cuts"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--cuts", "3,2"}, "--cuts"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--cuts", "a"}, "--cuts"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--hop", "f8"}, "--hop"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--executor", "cuda"}, "--executor"},
      {{"eval", pack, "--ids", "1", "--greedy", "3", "--kv", "q4"}, "--kv"},
      {{"bench", "engine", pack, "--kv", "f8"}, "--kv"},
      {{"join"}, "url"},
      {{"join", "ftp://example.org"}, "ftp"},
      {{"join", "http://127.0.0.1:1", "--memory", "1M"}, "lending 1.0 MiB is too little"},
      {{"join", "http://127.0.0.1:1", "--memory", "much"}, "much"},
      {{"join", "http://127.0.0.1:1", "--threads", "0"}, "threads"},
      {{"join", "http://127.0.0.1:1", "--kv", "q5"}, "--kv"},
      {{"join", "http://127.0.0.1:1/#secret=a", "--join-secret", "b"}, "different secrets"},
      {{"stage", pack, "2", "2", "-o", "x"}, "no stage [2, 2)"},
      {{"stage", pack, "0", "7", "-o", "x"}, "no stage [0, 7)"},
      {{"stage", pack, "0", "3", "-o", "x", "--context", "513"}, "no context of 513"},
  };
  for (const auto& [arguments, detail] : cases) {
    const CommandResult result = RunShoal(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_TRUE(result.err.starts_with("shoal: ")) << result.err;
    EXPECT_NE(result.err.find(detail), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(CommandTest, FailureIsOne) {
  PackLlama3();
  EXPECT_EQ(RunShoal({"pack", "--verify", Path("pack")}).exit_code, 0);
  fs::create_directories(Path("mamba"));
  packer::WriteText(Path("mamba/config.json"), R"({"model_type": "mamba"})");
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"pack", Path("absent"), "-o", Path("other")}, "no such checkpoint folder"},
      {{"pack", Path("mamba"), "-o", Path("other")}, "model_type: \"mamba\" is not supported"},
      {{"pack", GoldenFolder("qwen2"), "-o", Path("pack")}, "--force replaces it"},
      {{"pack", "--verify", Path("absent")}, "no pack there"},
      {{"eval", Path("absent"), "--ids", "1", "--greedy", "1"}, "no pack there"},
      {{"stage", Path("absent"), "0", "1", "-o", Path("stage")}, "no pack there"},
  };
  for (const auto& [arguments, detail] : cases) {
    const CommandResult result = RunShoal(arguments);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("shoal: ")) << result.err;
    EXPECT_NE(result.err.find(detail), std::string::npos) << result.err;
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / "pack" / "blobs")) {
    if (!entry.is_regular_file() || entry.file_size() < 100000) continue;
    std::string content = *model::ReadFile(entry.path(), 1 << 24);
    content[5000] ^= 1;
    packer::WriteText(entry.path(), content);
    break;
  }
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"pack", "--verify", Path("pack")},
        {"eval", Path("pack"), "--ids", "1", "--greedy", "1"},
        {"stage", Path("pack"), "0", "6", "-o", Path("stage")}}) {
    const CommandResult result = RunShoal(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("does not have the hash it is named by"), std::string::npos);
  }
}

TEST_F(CommandTest, SaysWhatAPackWouldBe) {
  const std::string folder = SHOAL_SOURCE_DIR "/tests/golden/configs/deepseek-r1";
  const CommandResult shapes = RunShoal({"pack", folder, "--shapes-only", "--weights", "f16"});
  EXPECT_EQ(shapes.exit_code, 0) << shapes.err;
  EXPECT_NE(shapes.out.find("671.03 B parameters (671026419200), 63 blocks"), std::string::npos)
      << shapes.out;
  EXPECT_NE(shapes.out.find("blocks 4 to 61: "), std::string::npos) << shapes.out;
  EXPECT_EQ(RunShoal({"pack", folder, "--shapes-only", "-o", Path("pack")}).exit_code, 2);
}

TEST_F(CommandTest, StageWritesWhatAnExecutorNeeds) {
  PackLlama3();
  const CommandResult result =
      RunShoal({"stage", Path("pack"), "1", "3", "-o", Path("stage"), "--context", "128"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string text = *model::ReadFile(Path("stage/stage.json"), 1 << 20);
  const auto json = model::ParseJson(text, "stage.json");
  ASSERT_TRUE(json);
  const auto& stage = json->as_object();
  EXPECT_EQ(stage.at("first").as_int64(), 1);
  EXPECT_EQ(stage.at("last").as_int64(), 3);
  EXPECT_EQ(stage.at("kv").as_array().size(), 2u);
  EXPECT_EQ(stage.at("weights").as_array().size(), 3u);  // Two layers and the rotary tables.
  EXPECT_EQ(stage.at("inputs").as_array().front().at("name").as_string(), "hidden.1");
  for (const auto& weights : stage.at("weights").as_array()) {
    const fs::path file = Path("stage") + "/" + weights.at("location").as_string().c_str();
    EXPECT_EQ(fs::file_size(file), weights.at("bytes").to_number<uint64_t>());
  }
  EXPECT_TRUE(fs::exists(Path("stage/model.onnx")));
  // Again, into the same folder.
  EXPECT_EQ(RunShoal({"stage", Path("pack"), "1", "3", "-o", Path("stage")}).exit_code, 0);
}

TEST_F(CommandTest, HelpAndVersionAreDone) {
  EXPECT_EQ(RunShoal({"--help"}).exit_code, 0);
  EXPECT_EQ(RunShoal({"pack", "--help"}).exit_code, 0);
  EXPECT_NE(RunShoal({"--version"}).out.find("shoal 0.1.0"), std::string::npos);
}

TEST(ParseNumbers, ReadsListsAndRefusesTheRest) {
  EXPECT_EQ(ParseNumbers("5,17,290", 300), (std::vector<uint32_t>{5, 17, 290}));
  EXPECT_EQ(ParseNumbers("", 300), std::vector<uint32_t>{});
  for (const char* bad : {",", "1,", "1 ,2", "+1", "-1", "0x1", "301", "99999999999"}) {
    EXPECT_FALSE(ParseNumbers(bad, 300)) << bad;
  }
}

TEST(Npy, WritesWhatNumpyReads) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const ByteVector bytes = SerializeNpy(values, 2, 3);
  ASSERT_EQ(bytes.size(), 128u + 24);
  const std::string_view text = AsText(bytes);
  EXPECT_EQ(text.substr(10, 58), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), ");
  EXPECT_EQ(text[127], '\n');
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values.data(), 24), 0);
}

}  // namespace
}  // namespace shoal::cli
