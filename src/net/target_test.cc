#include <gtest/gtest.h>

#include "net/client.h"
#include "net/http.h"

namespace shoal::net {
namespace {

std::string PathOf(std::string_view target) {
  const auto parsed = ParseTarget(target);
  return parsed ? parsed->path : "refused";
}

TEST(Target, DecodesAndNormalisesPaths) {
  EXPECT_EQ(PathOf("/"), "/");
  EXPECT_EQ(PathOf("/a%20b/%e2%82%ac"), "/a b/\xe2\x82\xac");
  EXPECT_EQ(PathOf("/a//b///c"), "/a/b/c");
  EXPECT_EQ(PathOf("/a/./b/../c"), "/a/c");
  EXPECT_EQ(PathOf("/a/"), "/a/");
  EXPECT_EQ(PathOf("/a/.."), "/");
  EXPECT_EQ(PathOf("/a+b"), "/a+b");
  EXPECT_EQ(PathOf("/..."), "/...");
  EXPECT_EQ(PathOf("/a?b=/../.."), "/a");
  EXPECT_EQ(PathOf("/a#b"), "/a");
}

TEST(Target, RefusesWhatCouldDeceive) {
  for (const char* target :
       {"", "a", "*", "/..", "/../a", "/a/../../b", "/%2e%2e/a", "/%2E%2e%2f%2e%2e/etc/passwd",
        "/%2f../..", "/%", "/%2", "/%zz", "/a%00b", "/?x=%0", "/?x=%00"}) {
    EXPECT_EQ(PathOf(target), "refused") << target;
  }
}

TEST(Target, ReadsQueryParametersInOrder) {
  const auto target = ParseTarget("/x?a=1&b=%26+c&&d&a=2&e==");
  ASSERT_TRUE(target);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"a", "1"}, {"b", "& c"}, {"d", ""}, {"a", "2"}, {"e", "="}};
  EXPECT_EQ(target->query, expected);
  Request request;
  request.query = target->query;
  EXPECT_EQ(request.Query("a"), "1");
  EXPECT_EQ(request.Query("d"), "");
  EXPECT_EQ(request.Query("z"), std::nullopt);
}

TEST(Url, TakesItsPartsApart) {
  const auto url = ParseUrl("http://example.org:8080/a/b?c=d#e");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(url->authority(), "example.org:8080");
  EXPECT_FALSE(url->is_secure());
  const auto bracketed = ParseUrl("wss://[::1]");
  ASSERT_TRUE(bracketed);
  EXPECT_EQ(bracketed->host, "::1");
  EXPECT_EQ(bracketed->port, 443);
  EXPECT_EQ(bracketed->target, "/");
  EXPECT_EQ(bracketed->authority(), "[::1]");
  EXPECT_TRUE(bracketed->is_secure());
  EXPECT_EQ(ParseUrl("http://a?b")->target, "/?b");
}

TEST(Url, RefusesOthers) {
  for (const char* text :
       {"", "a", "ftp://a/", "http://", "http:///a", "http://a:0/", "http://a:x", "http://a:70000/",
        "http://a b/", "http://u@a/", "http://[::1/", "http://a\r\nb", "http://a:"}) {
    EXPECT_FALSE(ParseUrl(text)) << text;
  }
}

}  // namespace
}  // namespace shoal::net
