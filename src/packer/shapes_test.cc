#include "packer/shapes.h"

#include <gtest/gtest.h>

#include "model/weights.h"
#include "packer/packer.h"
#include "packer/testing.h"
#include "store/pack.h"

namespace shoal::packer {
namespace {

std::string Golden(const std::string& folder) {
  return StrCat(SHOAL_SOURCE_DIR "/tests/golden/", folder);
}

// What is said without weights is what a pack then has.
TEST(Shapes, AreThoseOfTheRealPack) {
  for (const char* kind : {"llama_tied", "gpt2", "gpt_oss", "deepseek_v3"}) {
    const ScratchFolder scratch;
    const auto arch = ReadShapes(Golden(StrCat("hf/", kind)));
    ASSERT_TRUE(arch) << arch.error().ToString();
    const auto format = Recipe::Named("f16");
    ASSERT_TRUE(format);
    const store::Manifest shapes = ShapesManifest(*arch, *format, kind);
    const auto packed = PackCheckpoint({.checkpoint = Golden(StrCat("hf/", kind)),
                                        .pack = scratch.path() / "pack",
                                        .weights = "f16",
                                        .name = kind});
    ASSERT_TRUE(packed) << packed.error().ToString();
    const auto pack = store::Pack::Open(scratch.path() / "pack");
    ASSERT_TRUE(pack) << pack.error().ToString();
    EXPECT_EQ(pack->manifest().model, shapes.model);
    const auto& blocks = pack->manifest().variants.front().blocks;
    ASSERT_EQ(blocks.size(), shapes.variants.front().blocks.size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      const store::Block& shape = shapes.variants.front().blocks[i];
      EXPECT_EQ(blocks[i].weight_bytes, shape.weight_bytes) << kind << " " << i;
      EXPECT_EQ(blocks[i].params, shape.params);
      EXPECT_EQ(blocks[i].kv, shape.kv);
    }
  }
}

TEST(Shapes, DivideTheExpertsOfLargeModels) {
  const auto format = Recipe::Named("f16");
  ASSERT_TRUE(format);
  for (const auto& [folder, layers] : {std::pair("deepseek-r1", 58u), {"kimi-k2", 60u}}) {
    const auto arch = ReadShapes(Golden(StrCat("configs/", folder)));
    ASSERT_TRUE(arch) << arch.error().ToString();
    uint64_t groups = 0;
    uint64_t bytes = 0;
    for (const ShapePiece& piece : ShapePieces(*arch, *format)) {
      groups += piece.experts ? 1 : 0;
      bytes += piece.bytes;
      // A table or a head of the vocabulary is the largest.
      EXPECT_LT(piece.bytes, uint64_t{3} << 30);
    }
    EXPECT_EQ(groups, layers * arch->mixture->expert_groups);
    // Two bytes a weight, but for the vectors, which have four.
    const auto expected = static_cast<double>(2 * model::TotalParams(*arch));
    EXPECT_NEAR(static_cast<double>(bytes), expected, expected * 1e-3);
    EXPECT_EQ(TabsNeeded(*arch, *format, {uint64_t{1} << 30, 4096}), 0u);
    const uint64_t tabs = TabsNeeded(*arch, *format, {uint64_t{8} << 30, 4096});
    EXPECT_GE(tabs, bytes >> 33);
    EXPECT_LE(tabs, (bytes >> 33) * 2);
  }
}

}  // namespace
}  // namespace shoal::packer
