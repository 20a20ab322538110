// The whole engine: against a float64 forward pass (testing/tiny_llama.h), whole against cut,
// prefill against step by step, alone against among others; and every refusal.
#include "engine/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "base/str_cat.h"
#include "engine/kernels/block_kernels.h"
#include "engine/testing/inputs.h"
#include "engine/testing/tiny_llama.h"

namespace shoal::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kBlockFormats;
using testing::TinyConfig;
using testing::TinyLlama;

constexpr SessionId kA{1};
constexpr SessionId kB{2};

std::unique_ptr<Stage> Load(TinyLlama& llama, size_t from, size_t to, StageOptions options = {}) {
  auto stage = Stage::Load(llama.Join(from, to), llama.source(), options);
  EXPECT_TRUE(stage) << stage.error().ToString();
  return stage ? *std::move(stage) : nullptr;
}

std::vector<int32_t> Tokens(size_t count, uint64_t seed, size_t vocabulary = 32) {
  Random random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.Below(vocabulary));
  return tokens;
}

std::vector<Row> Rows(SessionId session, uint32_t from, size_t count, bool want_logits = true) {
  std::vector<Row> rows;
  for (uint32_t i = 0; i < count; ++i) rows.push_back({session, from + i, want_logits});
  return rows;
}

std::vector<float> RunOk(Stage& stage, std::span<const Row> rows, const Input& input) {
  const Result<Output> output = stage.Run(rows, input);
  EXPECT_TRUE(output) << output.error().ToString();
  if (!output) return {};
  return {output->values.begin(), output->values.end()};
}

std::string RunError(Stage& stage, std::span<const Row> rows, const Input& input) {
  const Result<Output> output = stage.Run(rows, input);
  return output ? "no error" : output.error().ToString();
}

// Largest difference over largest reference logit.
double RelativeError(std::span<const float> logits,
                     const std::vector<std::vector<double>>& reference) {
  double difference = 0;
  double largest = 0;
  size_t at = 0;
  for (const auto& row : reference) {
    for (const double expected : row) {
      difference = std::max(difference, std::abs(logits[at++] - expected));
      largest = std::max(largest, std::abs(expected));
    }
  }
  EXPECT_EQ(at, logits.size());
  return difference / largest;
}

// One prefill through the whole model.
std::vector<float> Prefill(TinyLlama& llama, const std::vector<int32_t>& tokens) {
  const auto stage = Load(llama, 0, llama.blocks().size());
  EXPECT_TRUE(stage->Open(kA, 24));
  return RunOk(*stage, Rows(kA, 0, tokens.size()), Input::Tokens(tokens));
}

TEST(Stage, AgreesWithTheReference) {
  const TinyConfig configs[] = {
      {},
      {.is_tied = true},
      {.layers = 1, .heads = 6, .kv_heads = 1, .head_size = 8, .rotary_pairs = 4},
      {.kv_heads = 4, .rotary_pairs = 2},
      {.interleaved = true},
      {.rotary_pairs = 1, .interleaved = true},
      {.scale = 0.9f},
      {.softcap = 0.5f},
      {.weight_type = DType::kF16},
      {.is_tied = true, .weight_type = DType::kBF16},
      {.layers = 3, .hidden = 520, .ffn = 1027, .vocabulary = 32},
      {.epsilon = 0.25f},
  };
  for (size_t i = 0; i < std::size(configs); ++i) {
    TinyLlama llama(configs[i], 7 + i);
    const std::vector<int32_t> tokens = Tokens(17, i);
    EXPECT_LT(RelativeError(Prefill(llama, tokens), llama.Reference(tokens)), 2e-6) << i;
  }
}

TEST(Stage, SaysWhatItIs) {
  TinyLlama llama({}, 1);
  const StageShape whole = Load(llama, 0, 4)->shape();
  EXPECT_TRUE(whole.takes_tokens);
  EXPECT_TRUE(whole.gives_logits);
  EXPECT_EQ(whole.vocab_size, 32u);
  EXPECT_EQ(whole.output_width, 32u);
  EXPECT_EQ(whole.layers, 2u);
  EXPECT_EQ(whole.positions_max, 24u);
  EXPECT_EQ(whole.kv_bytes_per_position, 2u * 2 * 12 * 4);
  const StageShape middle = Load(llama, 1, 2)->shape();
  EXPECT_FALSE(middle.takes_tokens);
  EXPECT_FALSE(middle.gives_logits);
  EXPECT_EQ(middle.input_width, 12u);
  EXPECT_EQ(middle.output_width, 12u);
  const StageShape head = Load(llama, 3, 4)->shape();
  EXPECT_EQ(head.layers, 0u);
  EXPECT_EQ(head.kv_bytes_per_position, 0u);
  EXPECT_EQ(head.positions_max, StageOptions().positions_max);
}

// The bits of a float32 result may not depend on where the stage was cut.
TEST(Stage, AnyCutGivesTheSameBits) {
  TinyLlama llama({}, 2);
  const std::vector<int32_t> tokens = Tokens(9, 3);
  const std::vector<float> whole = Prefill(llama, tokens);
  const size_t blocks = llama.blocks().size();
  for (size_t first = 1; first < blocks; ++first) {
    for (size_t second = first + 1; second <= blocks; ++second) {
      std::vector<float> values;
      size_t from = 0;
      for (const size_t to : {first, second, blocks}) {
        if (from == to) continue;
        const auto stage = Load(llama, from, to);
        ASSERT_TRUE(stage->Open(kA, 24));
        const Input input = from == 0 ? Input::Tokens(tokens) : Input::Hidden(values);
        values = RunOk(*stage, Rows(kA, 0, tokens.size()), input);
        from = to;
      }
      EXPECT_EQ(values, whole) << first << " " << second;
    }
  }
}

TEST(Stage, StepsGiveTheBitsOfThePrefill) {
  for (const DType type : {DType::kF32, DType::kF16}) {
    TinyLlama llama({.weight_type = type}, 4);
    const std::vector<int32_t> tokens = Tokens(21, 5);
    const std::vector<float> whole = Prefill(llama, tokens);
    const auto stage = Load(llama, 0, 4);
    ASSERT_TRUE(stage->Open(kA, 24));
    std::vector<float> steps;
    for (uint32_t p = 0; p < tokens.size(); ++p) {
      const auto logits = RunOk(*stage, Rows(kA, p, 1), Input::Tokens({&tokens[p], 1}));
      steps.insert(steps.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(steps, whole);
    EXPECT_EQ(*stage->Position(kA), tokens.size());
  }
}

TinyConfig BlockConfig(BlockFormat format, bool is_tied) {
  return {.hidden = 96,
          .head_size = 16,
          .rotary_pairs = 8,
          .ffn = 172,
          .vocabulary = 72,
          .is_tied = is_tied,
          .blocks = format};
}

TEST(Stage, MultipliesBlocksAsTheReference) {
  for (const BlockFormat format : kBlockFormats) {
    for (const bool is_tied : {false, true}) {
      TinyLlama llama(BlockConfig(format, is_tied), 21);
      const std::vector<int32_t> tokens = Tokens(17, 5, 72);
      const auto reference = llama.Reference(tokens);
      const auto exact = Load(llama, 0, 4, {.exact = true});
      ASSERT_TRUE(exact->Open(kA, 24));
      const auto logits = RunOk(*exact, Rows(kA, 0, 17), Input::Tokens(tokens));
      EXPECT_LT(RelativeError(logits, reference), 2e-6);
      // Activations in int8 differ by at most 1/254 of their block's largest; over these sums that
      // comes to about 2 % of the largest logit.
      EXPECT_LT(RelativeError(Prefill(llama, tokens), reference), 0.03);
    }
  }
}

TEST(Stage, ReleasesTheViewsOfBlocks) {
  TinyLlama llama(BlockConfig(BlockFormat::kQ4, true), 22);
  const auto stage = Load(llama, 0, 4);
  // What stays are the views of the five norms' float scales.
  EXPECT_EQ(llama.source().views, 5);
}

// One result, whatever runs it: rows alone or together, threads, instruction sets.
TEST(Stage, BlocksHaveTheSameBitsOnEveryPath) {
  for (const BlockFormat format : kBlockFormats) {
    TinyLlama llama(BlockConfig(format, false), 23);
    const std::vector<int32_t> tokens = Tokens(23, 6, 72);
    const std::vector<float> whole = Prefill(llama, tokens);
    for (const BlockKernels* kernels : BlockKernelsHere()) {
      for (const size_t step : {1, 2, 3, 8, 23}) {
        const auto stage = Load(llama, 0, 4, {.block_kernels = kernels});
        ASSERT_TRUE(stage->Open(kA, 24));
        std::vector<float> steps;
        for (uint32_t p = 0; p < tokens.size(); p += static_cast<uint32_t>(step)) {
          const size_t count = std::min<size_t>(step, tokens.size() - p);
          const auto logits =
              RunOk(*stage, Rows(kA, p, count), Input::Tokens(std::span(tokens).subspan(p, count)));
          steps.insert(steps.end(), logits.begin(), logits.end());
        }
        EXPECT_EQ(steps, whole) << kernels->name << " " << step;
      }
    }
  }
}

// FNV-1a of the logits' bytes. The constants came out of this test's model natively, with SSE2,
// AVX2 and AVX-512, and in WebAssembly, with and without relaxed SIMD: two volunteers' results are
// compared by hash, so a kernel that sums in another order is a new variant, not an optimisation.
TEST(Stage, HasTheSameBitsEverywhere) {
  struct Case {
    DType type;
    std::optional<BlockFormat> blocks;
    uint64_t hash;
  };
  for (const Case& expected :
       {Case{DType::kF32, {}, 0xa68eb22e083e096f}, Case{DType::kF16, {}, 0xfffeb8731ed35f09},
        Case{DType::kBF16, {}, 0xc8a99988e510dbf0},
        Case{DType::kF32, BlockFormat::kQ4, 0x6099a2da19e50727},
        Case{DType::kF32, BlockFormat::kQ8, 0xf0eb0e8ce0f749bf}}) {
    TinyLlama llama({.layers = 4,
                     .hidden = 96,
                     .heads = 6,
                     .kv_heads = 2,
                     .head_size = 16,
                     .rotary_pairs = 8,
                     .ffn = 251,
                     .vocabulary = 300,
                     .positions = 64,
                     .softcap = 3,
                     .weight_type = expected.type,
                     .blocks = expected.blocks},
                    1);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 60; ++i) tokens.push_back(i * 37 % 300);
    const auto stage = Load(llama, 0, 6);
    ASSERT_TRUE(stage->Open(kA, 64));
    const std::vector<float> logits = RunOk(*stage, Rows(kA, 0, 60), Input::Tokens(tokens));
    uint64_t hash = 0xcbf29ce484222325;
    for (const float logit : logits) {
      const uint32_t bits = std::bit_cast<uint32_t>(logit);
      for (int shift = 0; shift < 32; shift += 8) {
        hash = (hash ^ (bits >> shift & 0xff)) * 0x100000001b3;
      }
    }
    EXPECT_EQ(hash, expected.hash) << std::hex << hash << " " << DTypeName(expected.type) << " "
                                   << expected.blocks.has_value();
  }
}

TEST(Stage, RowsDoNotDependOnTheirNeighbours) {
  TinyLlama llama({}, 6);
  const auto stage = Load(llama, 0, 4);
  // Twenty sessions of their own tokens, alone and then all mixed, in uneven pieces.
  constexpr size_t kMixed = 20;
  constexpr size_t kPositions = 12;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> alone;
  for (size_t s = 0; s < kMixed; ++s) {
    tokens.push_back(Tokens(kPositions, 100 + s));
    alone.push_back(Prefill(llama, tokens.back()));
    ASSERT_TRUE(stage->Open(SessionId{s}, kPositions));
  }
  std::vector<std::vector<float>> mixed(kMixed);
  std::vector<uint32_t> next(kMixed, 0);
  Random random(9);
  for (size_t left = kMixed * kPositions; left > 0;) {
    std::vector<Row> rows;
    std::vector<int32_t> ids;
    for (size_t turn = 0; turn < 40; ++turn) {
      const size_t s = random.Below(kMixed);
      if (next[s] == kPositions) continue;
      ids.push_back(tokens[s][next[s]]);
      rows.push_back({SessionId{s}, next[s]++, true});
    }
    if (rows.empty()) continue;
    const Result<Output> output = stage->Run(rows, Input::Tokens(ids));
    ASSERT_TRUE(output) << output.error().ToString();
    left -= rows.size();
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(output->rows[i], i);
      auto& values = mixed[rows[i].session.value];
      values.insert(values.end(), output->Values(i).begin(), output->Values(i).end());
    }
  }
  for (size_t s = 0; s < kMixed; ++s) {
    EXPECT_EQ(mixed[s], alone[s]) << s;
  }
}

TEST(Stage, GivesLogitsOnlyWhereTheyAreWanted) {
  TinyLlama llama({}, 10);
  const std::vector<int32_t> tokens = Tokens(5, 11);
  const std::vector<float> all = Prefill(llama, tokens);
  const auto stage = Load(llama, 0, 4);
  ASSERT_TRUE(stage->Open(kA, 24));
  std::vector<Row> rows = Rows(kA, 0, 5, false);
  rows[1].want_logits = rows[4].want_logits = true;
  const Result<Output> output = stage->Run(rows, Input::Tokens(tokens));
  ASSERT_TRUE(output);
  EXPECT_THAT(output->rows, ElementsAre(1u, 4u));
  for (const size_t i : {0, 1}) {
    const auto expected = std::span(all).subspan(output->rows[i] * 32, 32);
    EXPECT_TRUE(std::ranges::equal(output->Values(i), expected));
  }
  const int32_t next = 3;
  const Result<Output> none = stage->Run(Rows(kA, 5, 1, false), Input::Tokens({&next, 1}));
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->rows.empty());
  EXPECT_TRUE(none->values.empty());
  EXPECT_EQ(*stage->Position(kA), 6u);
}

TEST(Stage, RollsBack) {
  TinyLlama llama({}, 12);
  const std::vector<int32_t> tokens = Tokens(10, 13);
  const std::vector<float> whole = Prefill(llama, tokens);
  const auto stage = Load(llama, 0, 4);
  ASSERT_TRUE(stage->Open(kA, 24));
  std::vector<int32_t> wrong = tokens;
  wrong[6] ^= 1;
  RunOk(*stage, Rows(kA, 0, 10), Input::Tokens(wrong));
  ASSERT_TRUE(stage->Rollback(kA, 6));
  EXPECT_EQ(*stage->Position(kA), 6u);
  const auto rest = RunOk(*stage, Rows(kA, 6, 4), Input::Tokens(std::span(tokens).subspan(6)));
  EXPECT_EQ(rest, std::vector(whole.begin() + 6 * 32, whole.end()));
  EXPECT_THAT(stage->Rollback(kA, 11).error().ToString(),
              HasSubstr("out_of_range: session 1 cannot roll back to 11 from 10"));
  EXPECT_EQ(stage->Rollback(kB, 0).error().code, Code::kNotFound);
}

TEST(Stage, MovesItsCache) {
  TinyLlama llama({}, 14);
  const std::vector<int32_t> tokens = Tokens(10, 15);
  const std::vector<float> whole = Prefill(llama, tokens);
  const auto stage = Load(llama, 0, 4);
  ASSERT_TRUE(stage->Open(kA, 24) && stage->Open(kB, 10));
  RunOk(*stage, Rows(kA, 0, 8), Input::Tokens(std::span(tokens).first(8)));
  const ByteVector first = *stage->ExportKv(kA, 0, 3);
  const ByteVector second = *stage->ExportKv(kA, 3, 8);
  EXPECT_EQ(first.size(), 3 * stage->shape().kv_bytes_per_position);
  ByteVector both = first;
  both.insert(both.end(), second.begin(), second.end());
  EXPECT_EQ(both, *stage->ExportKv(kA, 0, 8));
  ASSERT_TRUE(stage->ImportKv(kB, 0, 3, first));
  ASSERT_TRUE(stage->ImportKv(kB, 3, 8, second));
  const auto rest = RunOk(*stage, Rows(kB, 8, 2), Input::Tokens(std::span(tokens).subspan(8)));
  EXPECT_EQ(rest, std::vector(whole.begin() + 8 * 32, whole.end()));

  EXPECT_EQ(stage->ExportKv(kA, 0, 9).error().code, Code::kOutOfRange);
  EXPECT_EQ(stage->ExportKv(kA, 5, 4).error().code, Code::kOutOfRange);
  EXPECT_EQ(stage->ImportKv(kA, 7, 8, {}).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(stage->ImportKv(kB, 10, 11, {}).error().code, Code::kOutOfRange);
  EXPECT_EQ(stage->ImportKv(kA, 8, 9, first).error().code, Code::kInvalidArgument);
  ByteVector damaged(first.begin(), first.begin() + static_cast<ptrdiff_t>(first.size()) / 3);
  for (size_t i = damaged.size() - 4; i < damaged.size(); ++i) damaged[i] = 0xff;
  EXPECT_THAT(stage->ImportKv(kA, 8, 9, damaged).error().ToString(),
              HasSubstr("invalid_argument: the cache of position 8 holds a value that is not"));
  EXPECT_EQ(*stage->Position(kA), 8u);
}

// The documented layout, from a layer whose keys and values can be told apart.
TEST(Stage, ExportsPositionsThenLayersThenKeyAndValue) {
  TinyLlama llama({.layers = 2}, 16);
  const std::vector<int32_t> tokens = Tokens(3, 17);
  const auto whole = Load(llama, 0, 4);
  const auto front = Load(llama, 0, 2);
  ASSERT_TRUE(whole->Open(kA, 24) && front->Open(kA, 24));
  RunOk(*whole, Rows(kA, 0, 3), Input::Tokens(tokens));
  RunOk(*front, Rows(kA, 0, 3), Input::Tokens(tokens));
  const ByteVector of_whole = *whole->ExportKv(kA, 1, 2);
  const ByteVector of_front = *front->ExportKv(kA, 1, 2);
  ASSERT_EQ(of_whole.size(), 2 * of_front.size());
  EXPECT_TRUE(std::equal(of_front.begin(), of_front.end(), of_whole.begin()));
}

TEST(Stage, GrowsACacheBeyondItsFirstTier) {
  TinyLlama llama({.layers = 1, .positions = 1500}, 18);
  const std::vector<int32_t> tokens = Tokens(1100, 19);
  const auto stage = Load(llama, 0, 3);
  ASSERT_TRUE(stage->Open(kA, 1200));
  const auto whole = RunOk(*stage, Rows(kA, 0, 1100), Input::Tokens(tokens));
  ASSERT_TRUE(stage->Open(kB, 1200));
  std::vector<float> pieces;
  for (const uint32_t from : {0u, 500u, 600u}) {
    const size_t count = from == 0 ? 500 : from == 500 ? 100 : 500;
    const auto some =
        RunOk(*stage, Rows(kB, from, count), Input::Tokens(std::span(tokens).subspan(from, count)));
    pieces.insert(pieces.end(), some.begin(), some.end());
  }
  EXPECT_EQ(pieces, whole);
  EXPECT_LT(RelativeError(whole, llama.Reference(tokens)), 1e-5);
}

TEST(Stage, RefusesBadRows) {
  TinyLlama llama({}, 20);
  const auto stage = Load(llama, 0, 4, {.rows_max = 6});
  ASSERT_TRUE(stage->Open(kA, 5));
  const std::vector<int32_t> tokens = Tokens(8, 21);
  const auto ids = [&](size_t count) { return Input::Tokens(std::span(tokens).first(count)); };
  RunOk(*stage, Rows(kA, 0, 2), ids(2));

  EXPECT_THAT(RunError(*stage, {}, ids(0)),
              HasSubstr("invalid_argument: a run needs at least one"));
  EXPECT_THAT(RunError(*stage, Rows(kA, 2, 7), ids(7)),
              HasSubstr("resource_exhausted: 7 rows in one run, more than 6"));
  EXPECT_THAT(RunError(*stage, Rows(kA, 2, 2), ids(3)),
              HasSubstr("2 values for 2 rows, not 3 tokens"));
  const std::vector<float> hidden(12, 0.0f);
  EXPECT_THAT(RunError(*stage, Rows(kA, 2, 1), Input::Hidden(hidden)),
              HasSubstr("takes a token per row"));
  EXPECT_THAT(RunError(*stage, Rows(kB, 0, 1), ids(1)),
              HasSubstr("not_found: row 0: session 2 is not open"));
  EXPECT_THAT(RunError(*stage, Rows(kA, 3, 1), ids(1)),
              HasSubstr("failed_precondition: row 0: session 1 is at position 2, the row at 3"));
  EXPECT_THAT(RunError(*stage, Rows(kA, 1, 1), ids(1)), HasSubstr("at position 2, the row at 1"));
  std::vector<Row> gap = Rows(kA, 2, 2);
  gap[1].position = 4;
  EXPECT_THAT(RunError(*stage, gap, ids(2)), HasSubstr("row 1: session 1 is at position 3"));
  EXPECT_THAT(RunError(*stage, Rows(kA, 2, 4), ids(4)),
              HasSubstr("out_of_range: row 3: session 1 was opened for 5 positions"));
  for (const int32_t token : {-1, 32, std::numeric_limits<int32_t>::max()}) {
    EXPECT_THAT(RunError(*stage, Rows(kA, 2, 1), Input::Tokens({&token, 1})),
                HasSubstr(StrCat("row 0: token ", token, " is outside of the vocabulary of 32")));
  }
  EXPECT_EQ(*stage->Position(kA), 2u);
  RunOk(*stage, Rows(kA, 2, 3), ids(3));
}

TEST(Stage, RefusesHiddenStatesThatAreNotFinite) {
  TinyLlama llama({}, 22);
  const auto stage = Load(llama, 1, 3);
  ASSERT_TRUE(stage->Open(kA, 24));
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> hidden(36, 0.5f);
    hidden[17] = bad;
    EXPECT_THAT(RunError(*stage, Rows(kA, 0, 3), Input::Hidden(hidden)),
                HasSubstr("invalid_argument: row 1: its hidden states hold a NaN"));
  }
  EXPECT_EQ(*stage->Position(kA), 0u);
}

TEST(Stage, DamagedWeightsFailTheRunAndLeaveTheCache) {
  TinyLlama llama({}, 23);
  const std::vector<int32_t> tokens = Tokens(4, 24);
  const std::vector<float> good = Prefill(llama, tokens);
  const auto stage = Load(llama, 0, 4);
  ASSERT_TRUE(stage->Open(kA, 24));
  RunOk(*stage, Rows(kA, 0, 2), Input::Tokens(std::span(tokens).first(2)));
  ByteVector& blob = llama.source().blobs.at("block.2.down.weight");
  const uint8_t kept[] = {blob[64 + 2], blob[64 + 3]};
  blob[64 + 2] = 0x80;
  blob[64 + 3] = 0x7f;
  const auto rest = Input::Tokens(std::span(tokens).subspan(2));
  EXPECT_THAT(RunError(*stage, Rows(kA, 2, 2), rest), HasSubstr("data_loss: row 0 came out"));
  EXPECT_EQ(*stage->Position(kA), 2u);
  blob[64 + 2] = kept[0];
  blob[64 + 3] = kept[1];
  EXPECT_EQ(RunOk(*stage, Rows(kA, 2, 2), rest), std::vector(good.begin() + 64, good.end()));
}

TEST(Stage, LimitsSessions) {
  TinyLlama llama({}, 25);
  const uint64_t position_bytes = 2 * 2 * 12 * 4;
  const auto stage = Load(llama, 1, 3, {.sessions_max = 2, .kv_bytes_max = 30 * position_bytes});
  EXPECT_THAT(stage->Open(kA, 25).error().ToString(),
              HasSubstr("out_of_range: a session of 25 positions; this stage has 1 to 24"));
  EXPECT_EQ(stage->Open(kA, 0).error().code, Code::kOutOfRange);
  ASSERT_TRUE(stage->Open(kA, 20));
  EXPECT_EQ(stage->Open(kA, 5).error().code, Code::kAlreadyExists);
  EXPECT_THAT(stage->Open(kB, 11).error().ToString(), HasSubstr("resource_exhausted: 11 more"));
  ASSERT_TRUE(stage->Open(kB, 10));
  EXPECT_THAT(stage->Open(SessionId{3}, 1).error().ToString(),
              HasSubstr("all 2 sessions of this stage are in use"));
  ASSERT_TRUE(stage->Release(kA));
  EXPECT_EQ(stage->Release(kA).error().code, Code::kNotFound);
  EXPECT_EQ(stage->Position(kA).error().code, Code::kNotFound);
  EXPECT_TRUE(stage->Open(SessionId{3}, 20));
}

TEST(Stage, LimitsWorkingMemory) {
  TinyLlama llama({}, 26);
  const auto stage = Load(llama, 0, 4, {.scratch_bytes_max = 4096});
  ASSERT_TRUE(stage->Open(kA, 24));
  const std::vector<int32_t> tokens = Tokens(24, 27);
  EXPECT_THAT(RunError(*stage, Rows(kA, 0, 24), Input::Tokens(tokens)),
              HasSubstr("of working memory, more than 4.0 KiB"));
  EXPECT_EQ(*stage->Position(kA), 0u);
  RunOk(*stage, Rows(kA, 0, 2), Input::Tokens(std::span(tokens).first(2)));
}

}  // namespace
}  // namespace shoal::engine
