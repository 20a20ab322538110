#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/str_cat.h"

namespace shoal {
namespace {

TEST(StrCat, JoinsWhatIsGiven) {
  const char* pointer = "p";
  EXPECT_EQ(StrCat("a ", std::string("b"), ' ', pointer, -3, true), "a b p-3true");
}

TEST(ParseSize, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*ParseSize("65536"), 65536u);
  EXPECT_EQ(*ParseSize("512M"), 512u << 20);
  EXPECT_EQ(*ParseSize("1.5g"), 3ull << 29);
  for (const char* bad : {"", "M", "12X", "1.5", "4GB", "-1", "99999999T"}) {
    EXPECT_FALSE(ParseSize(bad)) << bad;
  }
}

TEST(ByteReader, StaysFailedPastTheEnd) {
  const ByteVector bytes = {1, 0, 0};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Read<uint16_t>(), 1);
  EXPECT_EQ(reader.Read<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Read<uint8_t>(), 0);
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

Result<int> Half(int value) {
  if (value % 2 != 0) return Fail(Code::kInvalidArgument, "odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(Result, MacrosPassErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().ToString(), "invalid_argument: odd");
}

TEST(Hex, RoundTripsAndRefuses) {
  EXPECT_EQ(ToHex(*FromHex("00fFa1")), "00ffa1");
  EXPECT_FALSE(FromHex("0"));
  EXPECT_FALSE(FromHex("zz"));
}

}  // namespace
}  // namespace shoal
