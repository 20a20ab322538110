#include "net/address.h"

#include <gtest/gtest.h>

namespace shoal::net {
namespace {

bool InRange(std::string_view range, std::string_view address) {
  const auto parsed = AddressRange::Parse(range);
  const auto bytes = ParseAddress(address);
  EXPECT_TRUE(parsed) << range;
  EXPECT_TRUE(bytes) << address;
  return parsed && bytes && parsed->Contains(*bytes);
}

TEST(AddressRangeTest, ContainsWhatItsPrefixSays) {
  EXPECT_TRUE(InRange("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(InRange("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(InRange("10.1.2.3", "10.1.2.3"));
  EXPECT_FALSE(InRange("10.1.2.3", "10.1.2.4"));
  EXPECT_TRUE(InRange("192.168.4.128/25", "192.168.4.200"));
  EXPECT_FALSE(InRange("192.168.4.128/25", "192.168.4.127"));
  EXPECT_TRUE(InRange("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(InRange("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(InRange("::1", "::1"));
  EXPECT_TRUE(InRange("0.0.0.0/0", "8.8.8.8"));
  EXPECT_FALSE(InRange("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(InRange("::/0", "8.8.8.8"));
}

TEST(AddressRangeTest, KnowsAMappedAddressForTheSame) {
  EXPECT_TRUE(InRange("10.0.0.0/8", "::ffff:10.1.1.1"));
  EXPECT_FALSE(InRange("10.0.0.0/8", "::10.1.1.1"));
}

TEST(AddressRangeTest, SaysWhatIsWrong) {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "host", "10.0.0.0/33", "10.0.0.0/-1",
                           "10.0.0.0/", "10.0.0.0/8x", "::/129", "10.0.0.0/8/8", "10.0.0.1%eth0"}) {
    const auto parsed = AddressRange::Parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  }
  EXPECT_NE(AddressRange::Parse("10.1.0.0/8").error().detail.find("begins at 10.0.0.0"),
            std::string::npos);
}

TEST(PeerKeyTest, CountsASubscriberOnce) {
  EXPECT_EQ(PeerKey("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(PeerKey("::ffff:10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(PeerKey("2001:db8:1:2:3:4:5:6"), PeerKey("2001:db8:1:2::1"));
  EXPECT_NE(PeerKey("2001:db8:1:2::1"), PeerKey("2001:db8:1:3::1"));
  EXPECT_EQ(PeerKey("not an address"), "not an address");
}

TEST(IsLoopbackHostTest, KnowsItsNames) {
  for (const char* host : {"localhost", "LocalHost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1",
                           "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"", "localhost.example", ".localhost", "127.0.0.1.example", "10.0.0.1",
                           "::2", "xlocalhost"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

TEST(HostOfAuthorityTest, LeavesThePortOut) {
  EXPECT_EQ(HostOfAuthority("example.org:80"), "example.org");
  EXPECT_EQ(HostOfAuthority("example.org"), "example.org");
  EXPECT_EQ(HostOfAuthority("[::1]:80"), "::1");
  EXPECT_EQ(HostOfAuthority("[::1"), "[::1");
}

TEST(LocalAddressesTest, BeginWithLoopback) {
  const auto addresses = LocalAddresses();
  ASSERT_FALSE(addresses.empty());
  EXPECT_TRUE(IsLoopbackHost(addresses.front()));
}

}  // namespace
}  // namespace shoal::net
