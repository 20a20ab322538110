// A row's bits against everything that must not change them: how many rows run together (1, 8, 64),
// whose they are, how many threads there are, which kernels multiply, how keys and values are kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "engine/kernels/block_kernels.h"
#include "engine/stage.h"
#include "engine/testing/inputs.h"
#include "engine/testing/tiny_llama.h"

namespace shoal::engine {
namespace {

using testing::Backwards;
using testing::kKvFormats;
using testing::TinyConfig;
using testing::TinyLlama;

constexpr size_t kSessions = 8;
constexpr size_t kLength = 64;
constexpr size_t kVocabulary = 72;

TinyConfig Config(std::optional<BlockFormat> blocks) {
  return {.hidden = 96,
          .head_size = 16,
          .rotary_pairs = 8,
          .ffn = 172,
          .vocabulary = kVocabulary,
          .positions = kLength,
          .blocks = blocks};
}

std::vector<std::vector<int32_t>> Conversations() {
  Random random(3);
  std::vector<std::vector<int32_t>> all(kSessions);
  for (auto& tokens : all) {
    for (size_t i = 0; i < kLength; ++i) {
      tokens.push_back(static_cast<int32_t>(random.Below(kVocabulary)));
    }
  }
  return all;
}

// Logits [session][position * vocabulary]; `prefill` rows of one session at a time, or one row of
// each of all sessions if it is 0.
std::vector<std::vector<float>> RunAll(TinyLlama& llama, const StageOptions& options,
                                       size_t prefill) {
  auto loaded = Stage::Load(llama.Join(0, 4), llama.source(), options);
  EXPECT_TRUE(loaded) << loaded.error().ToString();
  Stage& stage = **loaded;
  const auto conversations = Conversations();
  std::vector<std::vector<float>> logits(kSessions);
  const auto run = [&](const std::vector<Row>& rows) {
    std::vector<int32_t> tokens;
    for (const Row& row : rows) tokens.push_back(conversations[row.session.value][row.position]);
    const auto output = stage.Run(rows, Input::Tokens(tokens));
    ASSERT_TRUE(output) << output.error().ToString();
    for (size_t i = 0; i < rows.size(); ++i) {
      auto& own = logits[rows[i].session.value];
      own.insert(own.end(), output->Values(i).begin(), output->Values(i).end());
    }
  };
  for (uint64_t s = 0; s < kSessions; ++s) EXPECT_TRUE(stage.Open(SessionId{s}, kLength));
  if (prefill == 0) {
    for (uint32_t p = 0; p < kLength; ++p) {
      std::vector<Row> rows;
      for (uint64_t s = 0; s < kSessions; ++s) rows.push_back({SessionId{s}, p, true});
      run(rows);
    }
    return logits;
  }
  for (uint64_t s = 0; s < kSessions; ++s) {
    for (uint32_t p = 0; p < kLength; p += static_cast<uint32_t>(prefill)) {
      std::vector<Row> rows;
      for (uint32_t i = 0; i < prefill; ++i) rows.push_back({SessionId{s}, p + i, true});
      run(rows);
    }
  }
  return logits;
}

TEST(StageRows, HaveTheSameBitsAloneInEightsInSixtyFoursOnAnyThreads) {
  for (const std::optional<BlockFormat> blocks :
       {std::optional<BlockFormat>(), std::optional(BlockFormat::kQ4),
        std::optional(BlockFormat::kQ8)}) {
    TinyLlama llama(Config(blocks), 31);
    for (const KvFormat kv : kKvFormats) {
      const auto alone = RunAll(llama, {.kv_format = kv}, 1);
      const auto expect_same = [&](size_t threads, size_t rows, const BlockKernels* kernels) {
        Backwards parallel(threads);
        const StageOptions options{
            .kv_format = kv, .parallel = &parallel, .block_kernels = kernels};
        EXPECT_EQ(RunAll(llama, options, rows), alone)
            << threads << " " << kernels->name << " " << rows;
      };
      for (const size_t threads : {1, 2, 7}) {
        expect_same(threads, 64, BlockKernelsHere().back());
        expect_same(threads, 0, BlockKernelsHere().back());
      }
      for (const BlockKernels* kernels : BlockKernelsHere()) {
        if (blocks && kv == KvFormat::kF32) expect_same(3, 8, kernels);
      }
    }
  }
}

double LargestError(const std::vector<std::vector<float>>& logits,
                    const std::vector<std::vector<float>>& expected) {
  double difference = 0, largest = 0;
  for (size_t s = 0; s < logits.size(); ++s) {
    for (size_t i = 0; i < logits[s].size(); ++i) {
      difference = std::max<double>(difference, std::abs(logits[s][i] - expected[s][i]));
      largest = std::max<double>(largest, std::abs(expected[s][i]));
    }
  }
  return difference / largest;
}

// f16 keeps eleven bits of every key and value, q8 is off by 1/254 of a block's largest at most.
TEST(StageRows, NarrowCachesAreCloseAndSmall) {
  TinyLlama llama(Config({}), 32);
  const auto exact = RunAll(llama, {}, 64);
  EXPECT_LT(LargestError(RunAll(llama, {.kv_format = KvFormat::kF16}, 64), exact), 1e-3);
  const auto q8 = RunAll(llama, {.kv_format = KvFormat::kQ8}, 64);
  EXPECT_LT(LargestError(q8, exact), 2e-2);
  EXPECT_NE(q8, exact);
  const auto bytes = [&](KvFormat kv) {
    return (*Stage::Load(llama.Join(0, 4), llama.source(), {.kv_format = kv}))
        ->shape()
        .kv_bytes_per_position;
  };
  constexpr uint64_t kRows = 2 * 2;  // Layers; keys and values.
  EXPECT_EQ(bytes(KvFormat::kF32), kRows * 32 * 4);
  EXPECT_EQ(bytes(KvFormat::kF16), kRows * 32 * 2);
  EXPECT_EQ(bytes(KvFormat::kQ8), kRows * (32 + 4));
}

// Exports are floats whatever the cache keeps; taken in again they are what they were.
TEST(StageRows, NarrowCachesMove) {
  TinyLlama llama(Config({}), 33);
  const auto tokens = Conversations()[0];
  for (const KvFormat kv : kKvFormats) {
    const auto stage = *Stage::Load(llama.Join(0, 4), llama.source(), {.kv_format = kv});
    ASSERT_TRUE(stage->Open(SessionId{1}, kLength) && stage->Open(SessionId{2}, kLength));
    std::vector<Row> rows;
    for (uint32_t p = 0; p < 40; ++p) rows.push_back({SessionId{1}, p, true});
    ASSERT_TRUE(stage->Run(rows, Input::Tokens(std::span(tokens).first(40))));
    const ByteVector floats = *stage->ExportKv(SessionId{1}, 0, 40);
    EXPECT_EQ(floats.size(), 40u * 2 * 2 * 32 * 4);
    ASSERT_TRUE(stage->ImportKv(SessionId{2}, 0, 40, floats));
    const ByteVector again = *stage->ExportKv(SessionId{2}, 0, 40);
    ASSERT_EQ(again.size(), floats.size());
    for (size_t i = 0; i < floats.size(); i += sizeof(float)) {
      float before = 0, after = 0;
      std::memcpy(&before, floats.data() + i, sizeof(float));
      std::memcpy(&after, again.data() + i, sizeof(float));
      // A block's scale may come out one rounding apart.
      if (kv == KvFormat::kQ8) {
        ASSERT_NEAR(after, before, std::abs(before) * 3e-7);
      } else {
        ASSERT_EQ(after, before);
      }
    }
  }
}

}  // namespace
}  // namespace shoal::engine
