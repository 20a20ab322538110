// Keys, secrets and origins: what lets somebody in.
#include <gtest/gtest.h>

#include "coordinator/gate/api_keys.h"
#include "coordinator/gate/origins.h"
#include "coordinator/gate/secret.h"

namespace shoal {
namespace {

TEST(SecretTest, MatchesItselfOnly) {
  const Secret secret("correct horse");
  EXPECT_TRUE(secret.Matches("correct horse"));
  for (const char* wrong : {"", "correct hors", "correct horse ", "Correct horse"}) {
    EXPECT_FALSE(secret.Matches(wrong)) << wrong;
  }
  EXPECT_FALSE(secret.Matches(std::string_view("correct horse\0", 14)));
}

TEST(ApiKeysTest, FindsTheNameOfAKey) {
  ApiKeys keys;
  EXPECT_TRUE(keys.empty());
  ASSERT_TRUE(keys.Add("", "sk-first"));
  ASSERT_TRUE(keys.Add("alice", "sk-second"));
  EXPECT_FALSE(keys.empty());
  EXPECT_EQ(keys.Find("Bearer sk-first"), "key-1");
  EXPECT_EQ(keys.Find("bearer  sk-second "), "alice");
  for (const char* wrong : {"", "Bearer", "Bearer ", "sk-first", "Basic sk-first", "Bearer sk-firs",
                            "Bearer sk-first x", "Bearer key-1"}) {
    EXPECT_EQ(keys.Find(wrong), std::nullopt) << wrong;
  }
}

TEST(ApiKeysTest, ReadsLines) {
  ApiKeys keys;
  const Status added = keys.AddLines("# of the team\n\nalice sk-a\r\n  sk-unnamed  \nbob\tsk-b");
  ASSERT_TRUE(added) << added.error().ToString();
  EXPECT_EQ(keys.Find("Bearer sk-a"), "alice");
  EXPECT_EQ(keys.Find("Bearer sk-unnamed"), "key-2");
  EXPECT_EQ(keys.Find("Bearer sk-b"), "bob");
}

TEST(ApiKeysTest, SaysWhichLineIsWrong) {
  for (const char* text : {"ok\nalice two words", "ok\nalice sk-\x01", "ok\nalice a\nalice b"}) {
    ApiKeys keys;
    const Status added = keys.AddLines(text);
    ASSERT_FALSE(added) << text;
    EXPECT_TRUE(added.error().detail.starts_with("line ")) << added.error().detail;
  }
  EXPECT_FALSE(ApiKeys().Add("", ""));
  EXPECT_FALSE(ApiKeys().Add("", std::string(513, 'x')));
}

Origins::Kind Judge(const std::vector<std::string>& allowed, const char* host, const char* origin,
                    bool is_secure = false) {
  const auto origins = Origins::Parse(allowed);
  EXPECT_TRUE(origins) << origins.error().ToString();
  net::Request request;
  request.is_secure = is_secure;
  request.headers.Set("Host", host);
  if (origin != nullptr) request.headers.Set("Origin", origin);
  return origins->Judge(request);
}

TEST(OriginsTest, KnowsTheOwn) {
  using Kind = Origins::Kind;
  EXPECT_EQ(Judge({}, "a:1", nullptr), Kind::kNone);
  EXPECT_EQ(Judge({}, "a:1", "http://a:1"), Kind::kOwn);
  EXPECT_EQ(Judge({}, "A:1", "http://a:1"), Kind::kOwn);
  EXPECT_EQ(Judge({}, "a", "https://a"), Kind::kOwn);  // A proxy that nobody told us of.
  EXPECT_EQ(Judge({}, "a", "https://a", true), Kind::kOwn);
  EXPECT_EQ(Judge({}, "a", "http://a", true), Kind::kForeign);
  for (const char* foreign : {"http://a:2", "http://b:1", "http://a", "null", "", "http://a:1.b",
                              "http://xa:1", "ws://a:1", "http://a:1/", "a:1"}) {
    EXPECT_EQ(Judge({}, "a:1", foreign), Kind::kForeign) << foreign;
  }
  EXPECT_EQ(Judge({}, "", "http://"), Kind::kForeign);
}

TEST(OriginsTest, KnowsTheAllowed) {
  using Kind = Origins::Kind;
  const std::vector<std::string> list = {"https://Chat.example/", "http://10.0.0.1:3000"};
  EXPECT_EQ(Judge(list, "a", "https://chat.example"), Kind::kAllowed);
  EXPECT_EQ(Judge(list, "a", "http://10.0.0.1:3000"), Kind::kAllowed);
  EXPECT_EQ(Judge(list, "a", "http://chat.example"), Kind::kForeign);
  EXPECT_EQ(Judge(list, "a", "https://chat.example.evil"), Kind::kForeign);
  EXPECT_EQ(Judge({"*"}, "a", "null"), Kind::kAllowed);
  EXPECT_EQ(Judge({"*"}, "a", "http://a"), Kind::kOwn);
}

TEST(OriginsTest, SaysWhatIsNoOrigin) {
  for (const char* text : {"", "chat.example", "https://", "https://a/b", "https://*.example",
                           "file:///x", "https://user@a", "null"}) {
    EXPECT_FALSE(Origins::Parse({text})) << text;
  }
}

}  // namespace
}  // namespace shoal
