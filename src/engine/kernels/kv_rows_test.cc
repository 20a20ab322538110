// What a cache gives back of what it stores, and attention over it.
#include "engine/kernels/kv_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "engine/kernels/attention.h"
#include "engine/testing/inputs.h"
#include "tensor/convert.h"

namespace shoal::engine {
namespace {

using testing::kKvFormats;
using testing::Noise;

struct Stored {
  Stored(KvFormat format, const std::vector<float>& values, size_t width)
      : bytes(values.size() / width * KvRowBytes(format, width)) {
    rows = {format, bytes.data(), width, KvRowBytes(format, width)};
    for (size_t r = 0; r < values.size() / width; ++r) {
      StoreKvRow(format, std::span(values).subspan(r * width, width),
                 bytes.data() + r * rows.row_bytes);
    }
  }
  std::vector<uint8_t> bytes;
  KvRows rows;
};

TEST(KvRows, GiveBackWithinTheirPromise) {
  for (const size_t width : {1, 16, 31, 33, 96, 576}) {
    const std::vector<float> values = Noise(3 * width, width, 4);
    for (const KvFormat format : kKvFormats) {
      const Stored stored(format, values, width);
      std::vector<float> scratch(width);
      for (size_t r = 0; r < 3; ++r) {
        // In pieces that begin and end within blocks.
        for (size_t from = 0; from < width; from += 20) {
          const size_t count = std::min<size_t>(20, width - from);
          const float* const read = stored.rows.Read(r, from, count, scratch.data());
          for (size_t i = from; i < from + count; ++i) {
            const float exact = values[r * width + i];
            float bound = 0;
            if (format == KvFormat::kF16) bound = std::abs(exact) / 2048;
            if (format == KvFormat::kQ8) {
              for (size_t j = i / 32 * 32; j < std::min(width, i / 32 * 32 + 32); ++j) {
                bound = std::max(bound, std::abs(values[r * width + j]) / 254 * 1.0001f);
              }
            }
            ASSERT_NEAR(read[i - from], exact, bound) << width << " " << i;
          }
        }
      }
    }
  }
}

TEST(KvRows, F16IsWhatTheConversionSays) {
  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;  // Not finite.
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(KvF16ToF32(half), F16ToF32(half)) << bits;
  }
  const Stored far(KvFormat::kF16, {1e9f, -1e9f}, 2);
  float scratch[2];
  EXPECT_EQ(far.rows.Read(0, 0, 2, scratch)[0], 65'504.0f);
  EXPECT_EQ(far.rows.Read(0, 0, 2, scratch)[1], -65'504.0f);
}

// Attention over rounded rows is attention over floats of the rounded values, to the bit.
TEST(KvRows, AreAttendedToAsTheFloatsThatTheyGive) {
  const AttentionShape shape{
      .heads = 4, .kv_heads = 2, .head_size = 48, .scale = 0.3f, .window = 7};
  constexpr size_t kPositions = 9;
  const std::vector<float> query = Noise(shape.QueryWidth(), 1, 4);
  const std::vector<float> noise = Noise(2 * kPositions * shape.KvWidth(), 2, 4);
  for (const KvFormat format : kKvFormats) {
    const Stored stored(format, noise, shape.KvWidth());
    std::vector<float> rounded;
    std::vector<float> scratch(shape.KvWidth());
    for (size_t r = 0; r < 2 * kPositions; ++r) {
      const float* const row = stored.rows.Read(r, 0, shape.KvWidth(), scratch.data());
      rounded.insert(rounded.end(), row, row + shape.KvWidth());
    }
    const Stored floats(KvFormat::kF32, rounded, shape.KvWidth());
    const auto attend = [&](const KvRows& rows) {
      KvRows values = rows;
      values.data += kPositions * rows.row_bytes;
      std::vector<float> scores(AttentionScratch(shape, kPositions));
      std::vector<float> out(shape.QueryWidth());
      AttendHeads(shape, query.data(), rows, values, kPositions, 0, shape.heads, scores.data(),
                  out.data());
      return out;
    };
    EXPECT_EQ(attend(stored.rows), attend(floats.rows));
  }
}

}  // namespace
}  // namespace shoal::engine
