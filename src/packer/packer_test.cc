#include "packer/packer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/file.h"
#include "onnx/read.h"
#include "packer/journal.h"
#include "packer/testing.h"
#include "store/blob_writer.h"
#include "store/pack.h"
#include "store/stage_graph.h"
#include "store/stage_weights.h"

namespace shoal::packer {
namespace {

namespace fs = std::filesystem;

class PackerTest : public testing::Test {
 protected:
  void SetUp() override {
    arch_ = *model::ParseArchitecture(kTinyConfig);
    tensors_ = RandomTensors(arch_, 1);
    WriteCheckpoint(options_.checkpoint, kTinyConfig, tensors_);
  }

  Result<PackOutcome> Pack() { return PackCheckpoint(options_); }
  PackOutcome MustPack() {
    const auto outcome = Pack();
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    return outcome.value_or(PackOutcome{});
  }
  std::string PackError() {
    const auto outcome = Pack();
    return outcome ? "packed" : outcome.error().ToString();
  }
  // Packs until about `share` of the bytes are done, then stops.
  void Interrupt(double share) {
    options_.progress = [share](const Progress& progress) {
      return progress.what != "packing" || progress.done_bytes < share * progress.total_bytes;
    };
    EXPECT_EQ(Pack().error().code, Code::kCancelled);
    options_.progress = PackOptions().progress;
  }
  std::string ManifestText() {
    return model::ReadFile(options_.pack / "manifest.json", 1 << 20).value_or("none");
  }

  ScratchFolder folder_;
  model::Architecture arch_;
  TestTensors tensors_;
  PackOptions options_{.checkpoint = folder_.path() / "tiny", .pack = folder_.path() / "pack"};
};

size_t CountFiles(const fs::path& folder) {
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    count += entry.is_regular_file() ? 1 : 0;
  }
  return count;
}

TEST_F(PackerTest, TheSameAgainIsNothingToDo) {
  const PackOutcome first = MustPack();
  EXPECT_FALSE(first.unchanged);
  const auto written = fs::last_write_time(options_.pack / "manifest.json");
  const PackOutcome again = MustPack();
  EXPECT_TRUE(again.unchanged);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(fs::last_write_time(options_.pack / "manifest.json"), written);

  // The same content elsewhere, under the same name, is the same input.
  WriteCheckpoint(folder_.path() / "copy" / "tiny", kTinyConfig, tensors_);
  options_.checkpoint = folder_.path() / "copy" / "tiny/";
  EXPECT_TRUE(MustPack().unchanged);
}

TEST_F(PackerTest, AnotherPackIsInTheWayWithoutForce) {
  const PackOutcome first = MustPack();
  options_.weights = "f16";
  EXPECT_NE(PackError().find("already_exists"), std::string::npos) << PackError();
  options_.weights = "f32";
  options_.name = "other";
  EXPECT_NE(PackError().find("called \"tiny\""), std::string::npos) << PackError();
  options_.name.clear();
  // One bit of one weight.
  tensors_["model.norm.weight"].data[0] ^= 1;
  WriteCheckpoint(options_.checkpoint, kTinyConfig, tensors_);
  EXPECT_NE(PackError().find("another checkpoint"), std::string::npos) << PackError();

  options_.force = true;
  const PackOutcome second = MustPack();
  EXPECT_NE(second.id, first.id);
  // Nothing of the first is left: manifest, two blocks' and two ends' blobs, four graphs.
  EXPECT_EQ(CountFiles(options_.pack), 9u);
}

TEST_F(PackerTest, ForceRepairsADamagedPack) {
  const PackOutcome first = MustPack();
  const auto pack = store::Pack::Open(options_.pack);
  ASSERT_TRUE(pack);
  const store::Blob blob = pack->manifest().blobs.begin()->second;
  fs::remove(store::BlobPath(options_.pack, blob.sha));
  EXPECT_NE(PackError().find("damaged"), std::string::npos) << PackError();
  options_.force = true;
  EXPECT_EQ(MustPack().id, first.id);
  EXPECT_TRUE(store::Pack::Open(options_.pack));
}

TEST_F(PackerTest, ForeignFilesAreInTheWayAndSurviveForce) {
  fs::create_directories(options_.pack);
  EXPECT_FALSE(MustPack().unchanged);  // An empty folder is fine.
  fs::remove_all(options_.pack);
  fs::create_directories(options_.pack);
  WriteText(options_.pack / "thesis.txt", "years of work");
  EXPECT_NE(PackError().find("neither empty nor a pack"), std::string::npos) << PackError();
  options_.force = true;
  MustPack();
  EXPECT_TRUE(fs::exists(options_.pack / "thesis.txt"));

  options_.pack = folder_.path() / "file";
  options_.force = false;
  WriteText(options_.pack, "a file");
  EXPECT_NE(PackError().find("in the way"), std::string::npos) << PackError();
}

TEST_F(PackerTest, GoesOnAfterAnInterruption) {
  MustPack();
  const std::string expected = ManifestText();
  for (const double share : {0.0, 0.3, 0.6, 0.99}) {
    fs::remove_all(options_.pack);
    Interrupt(share);
    EXPECT_FALSE(fs::exists(options_.pack / "manifest.json"));
    EXPECT_EQ(store::Pack::Open(options_.pack).error().code, Code::kNotFound);
    EXPECT_EQ(MustPack().blobs_reused > 0, share > 0.2) << share;
    EXPECT_EQ(ManifestText(), expected);
    EXPECT_EQ(CountFiles(options_.pack), 9u);
  }
}

TEST_F(PackerTest, DoesNotTrustATornOrForeignJournal) {
  MustPack();
  const std::string expected = ManifestText();
  fs::remove_all(options_.pack);
  Interrupt(0.6);
  const fs::path journal = options_.pack / kJournalFile;
  const std::string text = *model::ReadFile(journal, 1 << 20);
  WriteText(journal, text.substr(0, text.size() - 20));
  MustPack();
  EXPECT_EQ(ManifestText(), expected);

  fs::remove_all(options_.pack);
  Interrupt(0.6);
  options_.weights = "f16";
  EXPECT_NE(PackError().find("unfinished pack of something else"), std::string::npos);
  options_.weights = "f32";
  {
    const auto other = Journal::Open(options_.pack);
    ASSERT_TRUE(other);
    EXPECT_NE(PackError().find("another shoal pack"), std::string::npos) << PackError();
  }
  // A blob whose file vanished is made again.
  for (const auto& entry : fs::recursive_directory_iterator(options_.pack / "blobs")) {
    if (entry.is_regular_file()) fs::resize_file(entry.path(), 3);
  }
  EXPECT_EQ(MustPack().blobs_reused, 0u);
  EXPECT_EQ(ManifestText(), expected);
}

TEST_F(PackerTest, NamesTheTensorThatIsWrong) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const TestTensor good = tensors_[name];
  const auto error_with = [&](const TestTensors& tensors) {
    WriteCheckpoint(options_.checkpoint, kTinyConfig, tensors);
    const std::string error = PackError();
    EXPECT_EQ(fs::exists(options_.pack / "manifest.json"), error == "packed");
    fs::remove_all(options_.pack);
    return error;
  };
  const auto expect = [&](const TestTensors& tensors, const std::string& detail) {
    const std::string error = error_with(tensors);
    EXPECT_NE(error.find(detail), std::string::npos) << error;
  };
  TestTensors wrong = tensors_;
  wrong.erase(name);
  expect(wrong, "\"" + name + "\" is missing");
  wrong = tensors_;
  wrong["model.layers.2.mlp.up_proj.weight"] = good;
  expect(wrong, "does not have: \"model.layers.2.mlp.up_proj.weight\"");
  wrong = tensors_;
  wrong[name].shape = {32, 50};
  expect(wrong, "\"" + name + "\" has shape [32, 50]; config.json asks for [50, 32]");
  for (const uint16_t bits : {0x7f80, 0xffc0}) {  // Infinity, NaN.
    wrong = tensors_;
    std::memcpy(wrong[name].data.data() + 100, &bits, 2);
    expect(wrong, "\"" + name + "\" holds a value that is not finite");
  }
  wrong = tensors_;
  wrong[name] = {"I8", {50, 32}, ByteVector(50 * 32)};
  expect(wrong, "\"" + name + "\" is i8");

  // Buffers that follow from the configuration are skipped.
  TestTensors fine = tensors_;
  fine["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {8}, ByteVector(32)};
  // So are tensors of no shared experts.
  fine["model.layers.0.mlp.shared_experts.up_proj.weight"] = {"BF16", {0, 32}, {}};
  EXPECT_EQ(error_with(fine), "packed");
}

TEST_F(PackerTest, RefusesValuesThatF16CannotHold) {
  const uint16_t large = F32ToBF16(70000);
  std::memcpy(tensors_["lm_head.weight"].data.data(), &large, 2);
  WriteCheckpoint(options_.checkpoint, kTinyConfig, tensors_);
  options_.weights = "f16";
  EXPECT_NE(PackError().find("\"lm_head.weight\" holds 7"), std::string::npos) << PackError();
  EXPECT_NE(PackError().find("--weights f32"), std::string::npos);
  options_.weights = "f32";
  options_.force = true;
  MustPack();
  options_.weights = "int3";
  EXPECT_EQ(Pack().error().code, Code::kInvalidArgument);
}

TEST_F(PackerTest, PacksTheTokenizerAlong) {
  WriteText(options_.checkpoint / "tokenizer.json", "{\"model\": {}}");
  WriteText(options_.checkpoint / "chat_template.jinja", "{{ messages }}");
  MustPack();
  const auto pack = store::Pack::Open(options_.pack);
  ASSERT_TRUE(pack) << pack.error().ToString();
  EXPECT_EQ(pack->ReadPackedFile("tokenizer.json"), "{\"model\": {}}");
  EXPECT_EQ(pack->ReadPackedFile("chat_template.jinja"), "{{ messages }}");
  EXPECT_EQ(pack->ReadPackedFile("vocab.txt").error().code, Code::kNotFound);
  EXPECT_EQ(pack->manifest().name, "tiny");
  EXPECT_EQ(pack->manifest().generation.eos_ids, std::vector<uint32_t>{2});

  fs::remove_all(options_.pack);
  WriteText(options_.checkpoint / "tokenizer.json", "{\"model\": ");
  EXPECT_NE(PackError().find("tokenizer.json: not valid JSON"), std::string::npos) << PackError();
}

// What a stage's graph names, read back, against the checkpoint.
void ExpectWeightsOfCheckpoint(const store::Pack& pack, const TestTensors& tensors,
                               const model::Architecture& arch, DType matrix_type) {
  const auto stage = JoinStage(pack, 0, arch.block_count(), 10);
  ASSERT_TRUE(stage) << stage.error().ToString();
  const auto graph = onnx::Parse(stage->onnx);
  ASSERT_TRUE(graph);
  auto weights = store::StageWeights::Open(pack, *stage);
  ASSERT_TRUE(weights);
  size_t compared = 0;
  for (const onnx::Tensor& tensor : graph->graph.initializers) {
    if (!tensor.external || tensor.name.ends_with("_cache")) continue;
    EXPECT_EQ(tensor.external->offset % 64, 0u);
    // The checkpoint's tensor: "block.1.up" is the role "up" of block 1.
    model::WeightSpec spec;
    for (uint32_t block = 0; block < arch.block_count(); ++block) {
      for (const model::WeightSpec& candidate : model::BlockWeights(arch, block)) {
        const bool shared = tensor.name == "shared.table" && candidate.role == "table";
        if (shared || tensor.name == StrCat("block.", block, ".", candidate.role)) spec = candidate;
      }
    }
    ASSERT_FALSE(spec.pieces.empty()) << tensor.name;
    const TestTensor& source = tensors.at(spec.pieces[0].tensor);
    const bool vector = spec.kind == model::WeightKind::kVector;
    EXPECT_EQ(tensor.type, vector ? DType::kF32 : matrix_type);
    const Bytes bytes = *(*weights)->Map(*tensor.external);
    std::vector<float> stored(bytes.size() / DTypeBytes(tensor.type));
    ToF32(tensor.type, bytes, stored);
    std::vector<float> expected(spec.element_count());
    ToF32(DType::kBF16, source.data, expected);
    ASSERT_EQ(stored.size(), expected.size());
    const bool transposed = !vector && (spec.kind == model::WeightKind::kMatrix || arch.tied);
    const uint64_t columns = spec.shape.back();
    const uint64_t rows = expected.size() / columns;
    for (uint64_t i = 0; i < expected.size(); ++i) {
      const uint64_t at = transposed ? i % columns * rows + i / columns : i;
      ASSERT_NEAR(stored[at], expected[i], 1e-7) << tensor.name << " " << i;
    }
    ++compared;
  }
  EXPECT_EQ(compared, tensors.size());
}

TEST_F(PackerTest, StoresEveryWeightWhereTheGraphSays) {
  for (const auto& [name, type] : {std::pair("f32", DType::kF32), std::pair("f16", DType::kF16)}) {
    options_.weights = name;
    options_.pack = folder_.path() / name;
    MustPack();
    const auto pack = store::Pack::Open(options_.pack);
    ASSERT_TRUE(pack);
    ExpectWeightsOfCheckpoint(*pack, tensors_, arch_, type);
  }
}

TEST_F(PackerTest, SeveralVariantsAreThoseOfPacksOfTheirOwn) {
  const auto stage_of = [&](const std::string& weights, size_t variant) {
    options_.weights = weights;
    options_.pack = folder_.path() / weights;
    MustPack();
    const auto pack = store::Pack::Open(options_.pack);
    EXPECT_TRUE(pack);
    return *JoinStage(*pack, 0, arch_.block_count(), 10, {.weights = variant});
  };
  EXPECT_EQ(stage_of("q8,f32", 0).graph, stage_of("q8", 0).graph);
  EXPECT_EQ(stage_of("q8,f32", 1).graph, stage_of("f32", 0).graph);
  const auto pack = store::Pack::Open(folder_.path() / "q8,f32");
  EXPECT_EQ(*store::FindWeights(pack->manifest(), "f32"), 1u);
  EXPECT_THAT(store::FindWeights(pack->manifest(), "q4").error().detail,
              testing::HasSubstr("it has q8, f32"));
  EXPECT_EQ(JoinStage(*pack, 0, 1, 10, {.weights = 2}).error().code, Code::kOutOfRange);
  options_.weights = "q8,q8";
  EXPECT_NE(PackError().find("named twice"), std::string::npos);
}

TEST_F(PackerTest, StoresATiedTableOnce) {
  const model::Architecture arch = *model::ParseArchitecture(kTinyTiedConfig);
  TestTensors tensors = RandomTensors(arch, 2);
  TestTensors with_copy = tensors;
  with_copy["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  WriteCheckpoint(options_.checkpoint, kTinyTiedConfig, with_copy);
  MustPack();
  const auto pack = store::Pack::Open(options_.pack);
  ASSERT_TRUE(pack);
  ExpectWeightsOfCheckpoint(*pack, tensors, arch, DType::kF32);
  const std::vector<store::Block>& blocks = pack->manifest().variants.front().blocks;
  EXPECT_EQ(blocks.front().weights.size(), 1u);
  EXPECT_EQ(blocks.front().weights[0], blocks.back().weights[0]);
  const auto whole = JoinStage(*pack, 0, 3, 10);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->weights.size(), 3u);  // The table, the layer, the final norm.
}

TEST_F(PackerTest, VerifyFindsWhatWasTamperedWith) {
  MustPack();
  const auto pack = store::Pack::Open(options_.pack);
  ASSERT_TRUE(pack);
  const auto verify = [&] { return pack->Verify([](uint64_t, uint64_t) {}); };
  EXPECT_TRUE(verify().empty());
  const store::Blob blob = pack->manifest().blobs.begin()->second;
  const fs::path path = store::BlobPath(options_.pack, blob.sha);
  std::string content = *model::ReadFile(path, 1 << 20);
  content[content.size() / 2] ^= 4;
  WriteText(path, content);
  const std::vector<Error> problems = verify();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].detail.find(store::Hex(blob.sha)), std::string::npos);
  EXPECT_NE(problems[0].detail.find("chunk 0 of 1 is damaged"), std::string::npos);

  WriteText(path, content.substr(1));
  EXPECT_EQ(verify().size(), 1u);
  EXPECT_EQ(store::Pack::Open(options_.pack).error().code, Code::kDataLoss);
  fs::remove(path);
  EXPECT_EQ(verify().size(), 1u);
  EXPECT_EQ(store::Pack::Open(options_.pack).error().code, Code::kDataLoss);
}

TEST_F(PackerTest, RefusesStagesThatThereAreNot) {
  MustPack();
  const auto pack = store::Pack::Open(options_.pack);
  ASSERT_TRUE(pack);
  for (const auto& [first, last, positions] :
       {std::array{0u, 0u, 10u}, {2u, 1u, 10u}, {0u, 5u, 10u}, {0u, 4u, 0u}, {0u, 4u, 65u}}) {
    EXPECT_EQ(JoinStage(*pack, first, last, positions).error().code, Code::kOutOfRange);
  }
  // A graph that was tampered with is not run.
  const store::Sha256 graph = pack->manifest().variants.front().blocks[1].graph;
  const fs::path path = store::BlobPath(options_.pack, graph);
  std::string content = *model::ReadFile(path, 1 << 20);
  content[content.size() / 2] ^= 1;
  WriteText(path, content);
  EXPECT_EQ(JoinStage(*pack, 0, 4, 10).error().code, Code::kDataLoss);
  EXPECT_TRUE(JoinStage(*pack, 2, 4, 10));
}

}  // namespace
}  // namespace shoal::packer
