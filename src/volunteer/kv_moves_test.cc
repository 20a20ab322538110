// KV on the move, against the layouts as they are written down.
#include "volunteer/kv_moves.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"

namespace shoal::volunteer {
namespace {

const std::vector<wire::KvSlot> kSlots = {{3, 2, 4}, {4, 1, 6}, {6, 3, 2}};
constexpr size_t kWidth = 2 * (2 * 4 + 1 * 6 + 3 * 2);

std::vector<float> Floats(Bytes bytes) {
  std::vector<float> floats(bytes.size() / 4);
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

ByteVector RandomKv(size_t positions) {
  Random random(7);
  ByteVector bytes;
  for (size_t i = 0; i < positions * kWidth; ++i) {
    ByteWriter(bytes).Write(static_cast<float>(random.NextDouble()));
  }
  return bytes;
}

TEST(KvMoves, APartHasOneBlocksKeysThenItsValues) {
  const ByteVector kv = RandomKv(5);
  const std::vector<float> all = Floats(kv);
  size_t offset = 0;
  for (size_t index = 0; index < kSlots.size(); ++index) {
    const wire::KvImport part = PartOf(kSlots, index, kv, 10, 15);
    const auto [block, heads, size] = kSlots[index];
    EXPECT_EQ(part.block, block);
    EXPECT_EQ(part.from, 10u);
    EXPECT_EQ(part.to, 15u);
    const std::vector<float> values = Floats(part.payload);
    ASSERT_EQ(values.size(), 2u * heads * size * 5);
    size_t at = 0;
    for (size_t which = 0; which < 2; ++which) {
      for (size_t head = 0; head < heads; ++head) {
        for (size_t position = 0; position < 5; ++position) {
          for (size_t i = 0; i < size; ++i) {
            const size_t from = position * kWidth + offset + which * heads * size + head * size + i;
            ASSERT_EQ(values[at++], all[from]);
          }
        }
      }
    }
    offset += 2 * heads * size;
  }
}

TEST(KvMoves, PartsOfAllBlocksInAnyOrderMakeTheWhole) {
  const ByteVector kv = RandomKv(5);
  KvAssembly assembly(kSlots);
  for (const size_t index : {2, 0}) {
    const auto some = assembly.Add(PartOf(kSlots, index, kv, 10, 15));
    ASSERT_TRUE(some);
    EXPECT_FALSE(*some);
  }
  const auto all = assembly.Add(PartOf(kSlots, 1, kv, 10, 15));
  ASSERT_TRUE(all);
  ASSERT_TRUE(*all);
  EXPECT_EQ(**all, kv);
}

TEST(KvMoves, APartOfAnotherRangeBeginsAnew) {
  KvAssembly assembly(kSlots);
  ASSERT_TRUE(assembly.Add(PartOf(kSlots, 0, RandomKv(5), 10, 15)));
  ASSERT_TRUE(assembly.Add(PartOf(kSlots, 1, RandomKv(4), 10, 14)));
  const auto third = assembly.Add(PartOf(kSlots, 2, RandomKv(4), 10, 14));
  ASSERT_TRUE(third);
  EXPECT_FALSE(*third);
}

TEST(KvMoves, RefusesWhatDoesNotFit) {
  KvAssembly assembly(kSlots);
  wire::KvImport part = PartOf(kSlots, 0, RandomKv(5), 10, 15);
  part.block = 5;
  EXPECT_EQ(assembly.Add(part).error().code, Code::kInvalidArgument);
  part = PartOf(kSlots, 0, RandomKv(5), 10, 15);
  part.payload.resize(part.payload.size() - 4);
  EXPECT_EQ(assembly.Add(part).error().code, Code::kInvalidArgument);
  part = PartOf(kSlots, 0, RandomKv(5), 10, 15);
  part.type = wire::HopType::kF16;
  EXPECT_EQ(assembly.Add(part).error().code, Code::kInvalidArgument);
}

TEST(KvMoves, WidensHalfPrecision) {
  KvAssembly assembly({{3, 1, 1}});
  wire::KvImport part{.block = 3, .from = 0, .to = 1, .type = wire::HopType::kF16};
  part.payload = {0x00, 0x3c, 0x00, 0xc0};  // 1, -2
  const auto all = assembly.Add(part);
  ASSERT_TRUE(all && *all);
  EXPECT_EQ(Floats(**all), (std::vector<float>{1, -2}));
}

}  // namespace
}  // namespace shoal::volunteer
