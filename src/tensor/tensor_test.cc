#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/convert.h"

namespace shoal {
namespace {

// The compiler's own half precision is the reference.
TEST(F16, AgreesWithTheCompilerOnEveryPattern) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = std::bit_cast<_Float16>(static_cast<uint16_t>(bits));
    const float expected = static_cast<float>(half);
    const float actual = F16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual));
      EXPECT_EQ(F32ToF16(actual) & 0x7c00, 0x7c00);
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(expected)) << bits;
      EXPECT_EQ(F32ToF16(actual), bits);
    }
  }
}

TEST(F16, RoundsAsTheCompilerDoes) {
  // Every exponent near the range of binary16, with mantissas around the rounding borders.
  for (uint32_t exponent = 95; exponent < 150; ++exponent) {
    for (uint32_t mantissa = 0; mantissa < 0x800000; mantissa += 0x3ff) {
      for (const uint32_t nudge : {0u, 1u, 2u}) {
        const float value = std::bit_cast<float>(exponent << 23 | ((mantissa + nudge) & 0x7fffff));
        const auto expected = std::bit_cast<uint16_t>(static_cast<_Float16>(value));
        ASSERT_EQ(F32ToF16(value), expected) << value;
        ASSERT_EQ(F32ToF16(-value), expected | 0x8000) << value;
      }
    }
  }
}

TEST(BF16, RoundsToNearestEven) {
  EXPECT_EQ(F32ToBF16(1.0f), 0x3f80);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, even below
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, even above
  EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(std::nanf("")))));
}

TEST(AllFinite, SeesEveryBadValue) {
  EXPECT_TRUE(AllFinite(std::vector<float>{0.0f, -1e38f}));
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_FALSE(AllFinite(std::vector<float>{0.0f, bad, 1.0f}));
  }
}

}  // namespace
}  // namespace shoal
