// Packs a checkpoint of 640 MB in a process of its own and looks at how much memory that took.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "packer/packer.h"
#include "packer/testing.h"

namespace shoal::packer {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

constexpr const char* kConfig = R"({"model_type": "llama", "hidden_size": 2048,
    "num_hidden_layers": 6, "vocab_size": 16384, "num_attention_heads": 32,
    "intermediate_size": 4096, "max_position_embeddings": 512})";

// All weights are zero: holes in the file, which cost no disk, but memory when they are mapped.
uint64_t WriteLargeCheckpoint(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  WriteText(folder / "config.json", kConfig);
  const model::Architecture arch = *model::ParseArchitecture(kConfig);
  boost::json::object header;
  uint64_t offset = 0;
  uint64_t largest = 0;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    for (const model::WeightSpec& spec : model::BlockWeights(arch, block)) {
      const uint64_t bytes = 2 * spec.element_count();
      largest = std::max(largest, bytes);
      header[spec.pieces[0].tensor] =
          boost::json::object{{"dtype", "BF16"},
                              {"shape", boost::json::array(spec.shape.begin(), spec.shape.end())},
                              {"data_offsets", boost::json::array{offset, offset + bytes}}};
      offset += bytes;
    }
  }
  const std::string text = boost::json::serialize(header);
  ByteVector start;
  ByteWriter writer(start);
  writer.Write<uint64_t>(text.size());
  writer.WriteBytes(AsBytes(text));
  WriteText(folder / "model.safetensors", AsText(start));
  std::filesystem::resize_file(folder / "model.safetensors", start.size() + offset);
  EXPECT_GT(offset, 600u << 20);
  return largest;
}

class PackerMemory : public testing::TestWithParam<std::string> {};

TEST_P(PackerMemory, StaysNearTheLargestTensor) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const ScratchFolder folder;
  PackOptions options{
      .checkpoint = folder.path() / "large", .pack = folder.path() / "pack", .weights = GetParam()};
  const uint64_t largest = WriteLargeCheckpoint(options.checkpoint);
  const auto outcome = PackCheckpoint(options);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  struct rusage usage{};
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
  const uint64_t peak = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  RecordProperty("peak", FormatSize(peak));
  EXPECT_LE(peak, 3 * largest + (256u << 20))
      << FormatSize(peak) << " for a largest tensor of " << FormatSize(largest);
}

INSTANTIATE_TEST_SUITE_P(Weights, PackerMemory, testing::Values("q4", "f32"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace shoal::packer
