#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/link_control.h"
#include "cli/testing.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal::cli {
namespace {

TEST(Link, NamesTheFlagAtFault) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"link"}, "--to"},
      {{"link", "--to", "nowhere"}, "not HOST:PORT"},
      {{"link", "--to", "127.0.0.1:0"}, "not HOST:PORT"},
      {{"link", "--to", "127.0.0.1:1", "--listen", "8080"}, "not HOST:PORT"},
      {{"link", "--to", "127.0.0.1:1", "--delay", "20"}, "no time"},
      {{"link", "--to", "127.0.0.1:1", "--rate", "5M/fast"}, "no rate"},
      {{"link", "--to", "127.0.0.1:1", "--stall", "100%"}, "no share"},
      {{"link", "--to", "127.0.0.1:1", "--buffer", "1K"}, "--buffer"},
  };
  for (const auto& [arguments, expected] : cases) {
    const CommandResult result = RunShoal(arguments);
    EXPECT_EQ(result.exit_code, kUsage);
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  }
}

class LinkControlTest : public testing::Test {
 protected:
  void SetUp() override {
    proxy_ = *net::LinkProxy::Listen(loop_, {.to_host = "127.0.0.1", .to_port = target_.port()});
    server_ = *net::Server::Listen(loop_, {}, [this](net::Request request, net::Responder out) {
      out.Send(AnswerLinkControl(*proxy_, request));
    });
  }

  std::string Ask(const std::string& method, const std::string& target,
                  const std::string& fields = "") {
    net::RawClient client(loop_, server_->port());
    return client.Exchange(StrCat(method, " ", target, " HTTP/1.1\r\nHost: localhost\r\n", fields,
                                  "Content-Length: 0\r\n\r\n"));
  }
  boost::json::object Tell() {
    const std::string answer = Ask("GET", "/");
    return boost::json::parse(answer.substr(answer.find("\r\n\r\n") + 4)).as_object();
  }

  net::EventLoop loop_;
  net::RawListener target_{loop_};
  std::unique_ptr<net::LinkProxy> proxy_;
  std::unique_ptr<net::Server> server_;
};

TEST_F(LinkControlTest, CutsHealsAndChangesTheLink) {
  EXPECT_TRUE(Ask("POST", "/cut?way=up").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(Tell().at("up").at("cut").as_bool());
  EXPECT_FALSE(Tell().at("down").at("cut").as_bool());
  EXPECT_TRUE(Ask("POST", "/heal").starts_with("HTTP/1.1 200"));
  EXPECT_FALSE(Tell().at("up").at("cut").as_bool());
  EXPECT_TRUE(Ask("POST", "/set?delay=5ms/7ms&rate=8M&loss=1%25").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(Tell().at("up").at("delay_us").as_int64(), 5000);
  EXPECT_EQ(Tell().at("down").at("delay_us").as_int64(), 7000);
  EXPECT_EQ(proxy_->shaper(net::Way::kDown).traits().bytes_per_second, 1e6);
  EXPECT_DOUBLE_EQ(proxy_->shaper(net::Way::kUp).traits().loss, 0.01);
}

TEST_F(LinkControlTest, ResetsConnections) {
  net::RawClient client(loop_, proxy_->port());
  ASSERT_NE(target_.Accept(), nullptr);
  EXPECT_EQ(Tell().at("connections").as_int64(), 1);
  Ask("POST", "/reset");
  EXPECT_TRUE(client.IsClosed());
  EXPECT_EQ(Tell().at("connections").as_int64(), 0);
}

TEST_F(LinkControlTest, RefusesWhatItCannotDo) {
  EXPECT_TRUE(Ask("POST", "/cut?way=sideways").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask("POST", "/set?delay=fast").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask("POST", "/set?colour=red").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(Ask("POST", "/explode").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(Ask("DELETE", "/").starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(Ask("POST", "/cut", "Origin: http://x.example\r\n").starts_with("HTTP/1.1 403"));
  EXPECT_FALSE(Tell().at("up").at("cut").as_bool());
}

}  // namespace
}  // namespace shoal::cli
