// The certificate is judged by a real handshake, with the client's own verification.
#include "net/self_signed.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/str_cat.h"
#include "net/client.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDay = 86400;

int64_t Now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

class SelfSignedTest : public testing::Test {
 protected:
  SelfSignedTest() {
    std::string name = (fs::temp_directory_path() / "shoal-tls-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = fs::path(name) / "data" / "tls";
  }
  ~SelfSignedTest() override { fs::remove_all(folder_.parent_path().parent_path()); }

  fs::path folder_;
  EventLoop loop_;
};

TEST_F(SelfSignedTest, ServesWithWhatItMade) {
  const auto made = KeepSelfSigned(folder_, {"localhost", "127.0.0.1", "::1"}, Now());
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_TRUE(made->is_new);
  EXPECT_TRUE(made->missing_names.empty());
  EXPECT_EQ(made->fingerprint.size(), 32u * 3 - 1);
  EXPECT_NEAR(static_cast<double>(made->expires_unix_s), static_cast<double>(Now() + 824 * kDay),
              60);
  struct stat facts = {};
  ASSERT_EQ(::stat(made->key_file.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);

  ServerOptions options;
  options.tls_certificate = made->certificate_file;
  options.tls_key = made->key_file;
  bool was_secure = false;
  const auto server = Server::Listen(loop_, options, [&](Request request, Responder responder) {
    was_secure = request.is_secure;
    responder.Send(TextResponse(200, "hello"));
  });
  ASSERT_TRUE(server) << server.error().ToString();
  for (const char* host : {"127.0.0.1", "localhost"}) {
    ClientRequest request;
    request.url = StrCat("https://", host, ":", (*server)->port(), "/");
    request.tls.ca_file = made->certificate_file;
    const auto response = Fetch(loop_, request);
    ASSERT_TRUE(response) << host << ": " << response.error().ToString();
    EXPECT_EQ(response->body, "hello");
    EXPECT_TRUE(was_secure);
  }
  // A browser that was told "http://" is told what to do.
  RawClient plain(loop_, (*server)->port());
  plain.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = plain.ReadToEnd();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_TRUE(answer.ends_with("put https:// in front of it.\n")) << answer;
}

TEST_F(SelfSignedTest, KeepsItAndSaysWhichNamesItLacks) {
  const auto first = KeepSelfSigned(folder_, {"localhost", "10.0.0.1"}, Now());
  ASSERT_TRUE(first);
  const auto again = KeepSelfSigned(folder_, {"localhost", "10.0.0.2", "box.example"}, Now());
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->fingerprint, first->fingerprint);
  EXPECT_EQ(again->missing_names, (std::vector<std::string>{"10.0.0.2", "box.example"}));
}

TEST_F(SelfSignedTest, MakesAnotherBeforeTheEnd) {
  const auto first = KeepSelfSigned(folder_, {"localhost"}, Now());
  ASSERT_TRUE(first);
  const auto still = KeepSelfSigned(folder_, {"localhost"}, Now() + 790 * kDay);
  ASSERT_TRUE(still);
  EXPECT_FALSE(still->is_new);
  const auto renewed = KeepSelfSigned(folder_, {"localhost"}, Now() + 800 * kDay);
  ASSERT_TRUE(renewed);
  EXPECT_TRUE(renewed->is_new);
  EXPECT_NE(renewed->fingerprint, first->fingerprint);
}

TEST_F(SelfSignedTest, SaysWhatIsWrongWithWhatLiesThere) {
  const auto made = KeepSelfSigned(folder_, {"localhost"}, Now());
  ASSERT_TRUE(made);
  const auto other = KeepSelfSigned(folder_.parent_path() / "other", {"localhost"}, Now());
  ASSERT_TRUE(other);
  fs::copy_file(other->key_file, made->key_file, fs::copy_options::overwrite_existing);
  EXPECT_EQ(KeepSelfSigned(folder_, {"localhost"}, Now()).error().code, Code::kDataLoss);
  std::ofstream(made->certificate_file) << "nothing";
  EXPECT_EQ(KeepSelfSigned(folder_, {"localhost"}, Now()).error().code, Code::kDataLoss);
  std::ofstream(folder_.parent_path() / "file") << "x";
  EXPECT_FALSE(KeepSelfSigned(folder_.parent_path() / "file" / "tls", {"localhost"}, Now()));
}

}  // namespace
}  // namespace shoal::net
