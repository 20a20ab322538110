// Every kernel against float64 or element-by-element definitions.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/math.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/move.h"
#include "engine/kernels/norm.h"
#include "engine/kernels/softmax.h"
#include "engine/kernels/sum.h"
#include "engine/kernels/widen.h"
#include "engine/testing/inputs.h"
#include "tensor/convert.h"

namespace shoal::engine {
namespace {

using testing::Noise;

const uint8_t* BytesOf(const std::vector<float>& values) {
  return reinterpret_cast<const uint8_t*>(values.data());
}

TEST(Exp, IsWithinTwoUnitsInTheLastPlace) {
  for (double x = -87; x < 88.7; x += 0.0009765) {
    const auto argument = static_cast<float>(x);
    const double expected = std::exp(static_cast<double>(argument));
    const double unit = static_cast<double>(
        std::nextafterf(static_cast<float>(expected), INFINITY) - static_cast<float>(expected));
    ASSERT_NEAR(Exp(argument), expected, 2 * unit) << argument;
  }
}

TEST(Exp, HasTheRightEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-infinity), 0.0f);
  EXPECT_EQ(Exp(-1e30f), 0.0f);
  EXPECT_EQ(Exp(89.0f), infinity);
  EXPECT_EQ(Exp(infinity), infinity);
  EXPECT_TRUE(std::isnan(Exp(std::nanf(""))));
  EXPECT_TRUE(std::isnan(Exp(-std::nanf(""))));
  EXPECT_NEAR(Exp(-100.0f), std::exp(-100.0), 2e-45);  // Subnormal.
}

TEST(Math, ErfIsAccurate) {
  for (double exact = -6; exact <= 6; exact += 1.0 / 512) {
    ASSERT_NEAR(Erf(static_cast<float>(exact)), std::erf(exact), 2.4e-7) << exact;
  }
}

TEST(Math, SigmoidTanhAndGeluAreAccurate) {
  for (double x = -30; x < 30; x += 0.00173) {
    const auto argument = static_cast<float>(x);
    const double exact = argument;
    ASSERT_NEAR(Sigmoid(argument), 1 / (1 + std::exp(-exact)), 2e-7 / (1 + std::exp(-exact)));
    ASSERT_NEAR(Tanh(argument), std::tanh(exact), 2e-7 * std::abs(std::tanh(exact)));
    const double inner = std::sqrt(2 / M_PI) * (exact + 0.044715 * exact * exact * exact);
    ASSERT_NEAR(GeluTanh(argument), 0.5 * exact * (1 + std::tanh(inner)),
                3e-7 * std::max(1.0, std::abs(exact)));
  }
}

TEST(Widen, GivesWhatTheTensorRoomGives) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const auto* bytes = reinterpret_cast<const uint8_t*>(halves.data());
  for (const DType type : {DType::kF16, DType::kBF16}) {
    std::vector<float> widened(halves.size());
    std::vector<float> expected(halves.size());
    Widen(type, bytes, halves.size(), widened.data());
    ToF32(type, Bytes(bytes, 2 * halves.size()), expected);
    for (size_t i = 0; i < halves.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(widened[i]), std::bit_cast<uint32_t>(expected[i])) << i;
    }
  }
  const std::vector<float> floats = {1, 2};
  EXPECT_EQ(Widen(DType::kF32, BytesOf(floats), 2, nullptr), floats.data());
}

TEST(Sum, DotIsTheSameSumForEveryCount) {
  for (size_t count = 0; count < 70; ++count) {
    const std::vector<float> a = Noise(count, count);
    const std::vector<float> b = Noise(count, count + 100);
    double expected = 0;
    for (size_t i = 0; i < count; ++i) expected += double{a[i]} * b[i];
    EXPECT_NEAR(Dot(a.data(), b.data(), count), expected, 1e-6 * static_cast<double>(count));
  }
}

// One float after the other: this order is promised to the last bit.
TEST(MatMul, SumsInThePromisedOrder) {
  Serial serial;
  struct Size {
    size_t rows, k, n;
  };
  for (const Size& size : {Size{1, 1, 1}, Size{1, 7, 513}, Size{17, 64, 40}, Size{33, 130, 1030},
                           Size{2, 1025, 3}, Size{0, 4, 4}}) {
    const std::vector<float> a = Noise(size.rows * size.k, 1);
    const std::vector<float> w = Noise(size.k * size.n, 2);
    std::vector<float> expected(size.rows * size.n, 0.0f);
    for (size_t r = 0; r < size.rows; ++r) {
      for (size_t j = 0; j < size.n; ++j) {
        volatile float sum = 0;
        for (size_t i = 0; i < size.k; ++i) {
          const volatile float product = a[r * size.k + i] * w[i * size.n + j];
          sum = sum + product;
        }
        expected[r * size.n + j] = sum;
      }
    }
    std::vector<float> out(expected.size(), NAN);
    MatMul(a.data(), {BytesOf(w), DType::kF32, size.k, size.n}, size.rows, out.data(), serial);
    EXPECT_EQ(out, expected) << size.rows << " " << size.k << " " << size.n;
  }
}

TEST(MatMul, TakesWeightsOf16Bits) {
  Serial serial;
  constexpr size_t kRows = 3, kK = 30, kN = 600;
  const std::vector<float> a = Noise(kRows * kK, 3);
  for (const DType type : {DType::kF16, DType::kBF16}) {
    const std::vector<float> exact = Noise(kK * kN, 4);
    ByteVector stored(exact.size() * 2);
    std::vector<float> rounded(exact.size());
    FromF32(type, exact, stored);
    ToF32(type, stored, rounded);
    std::vector<float> out(kRows * kN), expected(kRows * kN);
    MatMul(a.data(), {stored.data(), type, kK, kN}, kRows, out.data(), serial);
    MatMul(a.data(), {BytesOf(rounded), DType::kF32, kK, kN}, kRows, expected.data(), serial);
    EXPECT_EQ(out, expected);
  }
}

TEST(Softmax, AddsUpToOneAndIgnoresAnOffset) {
  std::vector<float> x = {1, 2, 3, 1000, 1001, 1002};
  Softmax(x.data(), 2, 3, x.data());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(x[i], x[3 + i]);
    EXPECT_NEAR(x[i], std::exp(double(i)) / (1 + M_E + M_E * M_E), 1e-7);
  }
}

TEST(RmsNorm, DividesByTheRootOfTheMeanSquare) {
  const std::vector<float> x = {3, 4, 0, 0};
  const std::vector<float> scale = {1, 10};
  std::vector<float> out(4);
  RmsNorm(x.data(), scale.data(), 0.5f, 2, 2, out.data());
  EXPECT_NEAR(out[0], 3 / std::sqrt(13.0), 1e-6);
  EXPECT_NEAR(out[1], 40 / std::sqrt(13.0), 1e-5);
  EXPECT_EQ(out[2], 0.0f);
}

TEST(Elementwise, RepeatsTheSecondOperand) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::vector<float> b = {10, 20, 30};
  std::vector<float> out(6);
  ApplyBinary(Binary::kAdd, a.data(), b.data(), 6, 3, out.data());
  EXPECT_EQ(out, (std::vector<float>{11, 22, 33, 14, 25, 36}));
  ApplyBinary(Binary::kMul, a.data(), b.data(), 6, 1, out.data());
  EXPECT_EQ(out, (std::vector<float>{10, 20, 30, 40, 50, 60}));
}

TEST(Rotate, TurnsPairsAndLeavesTheRest) {
  const float cos[] = {0, 1};
  const float sin[] = {1, 0};
  std::vector<float> halves = {1, 2, 3, 4, 5};
  Rotate({.heads = 1, .kv_heads = 1, .head_size = 5, .rotary_pairs = 2}, cos, sin, 1,
         halves.data());
  EXPECT_EQ(halves, (std::vector<float>{-3, 2, 1, 4, 5}));
  std::vector<float> pairs = {1, 2, 3, 4, 5};
  Rotate({.heads = 1, .kv_heads = 1, .head_size = 5, .rotary_pairs = 2, .interleaved = true}, cos,
         sin, 1, pairs.data());
  EXPECT_EQ(pairs, (std::vector<float>{-2, 1, 3, 4, 5}));
}

TEST(AttendHeads, WritesOverItsQuery) {
  const AttentionShape shape{.heads = 2, .kv_heads = 1, .head_size = 4, .scale = 0.5f};
  const std::vector<float> query = Noise(8, 1);
  const std::vector<float> floats = Noise(10 * 4, 2);
  const KvRows keys{KvFormat::kF32, BytesOf(floats), 4, 16};
  const KvRows values{KvFormat::kF32, BytesOf(floats) + size_t{5 * 16}, 4, 16};
  std::vector<float> scores(AttentionScratch(shape, 5)), apart(8), over = query;
  AttendHeads(shape, query.data(), keys, values, 5, 0, 2, scores.data(), apart.data());
  AttendHeads(shape, over.data(), keys, values, 5, 0, 2, scores.data(), over.data());
  EXPECT_EQ(apart, over);
}

TEST(Move, GathersAlongAnyAxis) {
  // [2, 3, 2]
  const std::vector<float> x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const int32_t indices[] = {2, 0, 2};
  std::vector<float> out(12);
  Gather(BytesOf(x), DType::kF32, 2, 3, 2, indices, out.data());
  EXPECT_EQ(out, (std::vector<float>{4, 5, 0, 1, 4, 5, 10, 11, 6, 7, 10, 11}));
  EXPECT_DEATH(Gather(BytesOf(x), DType::kF32, 2, 2, 3, indices, out.data()), "CHECK");
}

TEST(Move, TransposesSlicesAndPlaces) {
  // [2, 1, 3]
  const std::vector<float> x = {0, 1, 2, 3, 4, 5};
  const size_t dims[] = {2, 1, 3};
  const size_t order[] = {1, 2, 0};
  std::vector<float> out(6);
  Transpose(x.data(), dims, order, out.data());
  EXPECT_EQ(out, (std::vector<float>{0, 3, 1, 4, 2, 5}));
  const size_t begin[] = {0, 0, 1};
  const size_t size[] = {2, 1, 2};
  out.resize(4);
  Slice(x.data(), dims, begin, size, out.data());
  EXPECT_EQ(out, (std::vector<float>{1, 2, 4, 5}));
  std::vector<float> placed(8, -1.0f);
  Place(out.data(), 2, 2, 4, 1, placed.data());
  EXPECT_EQ(placed, (std::vector<float>{-1, 1, 2, -1, -1, 4, 5, -1}));
}

}  // namespace
}  // namespace shoal::engine
