// A volunteer at a coordinator that says things it should not: every one is answered with an error
// that names what was meant, and the volunteer goes on.
#include <gtest/gtest.h>

#include <deque>
#include <functional>

#include "base/str_cat.h"
#include "net/server.h"
#include "net/test_support.h"
#include "packer/testing.h"
#include "store/sha256.h"
#include "volunteer/node.h"
#include "wire/codec.h"

namespace shoal::volunteer {
namespace {

constexpr NodeId kNode{7};

class HostileTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listening =
        net::Server::Listen(loop_, {}, [this](net::Request request, net::Responder responder) {
          if (!request.wants_websocket) {
            ++asked_[request.path];
            return responder.Send(net::TextResponse(200, files_[request.path]));
          }
          socket_ = responder.Upgrade({});
          socket_->Start({.on_open = [] {},
                          .on_message =
                              [this](const std::shared_ptr<ByteVector>& message) {
                                auto frame = wire::Decode(*message);
                                ASSERT_TRUE(frame) << frame.error().ToString();
                                frames_.push_back(*std::move(frame));
                              },
                          .on_closed = [](uint16_t, const std::string&) {}});
        });
    ASSERT_TRUE(listening);
    server_ = *std::move(listening);
    auto node = Node::Start(loop_,
                            {.url = StrCat("ws://127.0.0.1:", server_->port(), "/lend"),
                             .memory_bytes = 1 << 20,
                             .cache = {.folder = folder_.path()}},
                            {});
    ASSERT_TRUE(node) << node.error().ToString();
    node_ = *std::move(node);
  }

  void Send(wire::Body body, NodeId to = kNode) {
    socket_->Send(std::make_shared<ByteVector>(
        wire::Encode({.to = to, .from = kCoordinator, .body = std::move(body)})));
  }

  // The next frame of that kind; others before it are passed over.
  template <typename T>
  T Next() {
    T found;
    const bool came = net::RunUntil(loop_, [&] {
      while (!frames_.empty()) {
        const wire::Frame frame = std::move(frames_.front());
        frames_.pop_front();
        if (const T* body = std::get_if<T>(&frame.body)) return found = *body, true;
      }
      return false;
    });
    EXPECT_TRUE(came) << "no " << wire::KindName(T::kKind) << " frame came";
    return found;
  }

  // Awaits hello, unless that was done.
  void Welcome(bool said_hello = false) {
    if (!said_hello) EXPECT_EQ(Next<wire::Hello>().node, kCoordinator);
    Send(wire::Hello{.node = kNode});
    EXPECT_EQ(Next<wire::Profile>().executor, "shoal");
  }

  wire::ErrorFrame NextError() { return Next<wire::ErrorFrame>(); }

  // A file that this server has.
  wire::StageFile File(const std::string& content) {
    const store::Blob blob = store::HashBlob(AsBytes(content));
    const std::string name = store::Hex(blob.sha);
    files_["/blobs/" + name] = content;
    return {name, "/blobs/" + name, blob.bytes, blob.chunks};
  }

  wire::Assign GoodAssign() {
    return {.generation = ++generation_,
            .first = 0,
            .last = 1,
            .hidden = 8,
            .vocab = 16,
            .positions = 64,
            .max_rows = 32,
            .graph = File("no graph at all")};
  }

  packer::ScratchFolder folder_;
  net::EventLoop loop_;
  std::map<std::string, std::string> files_;
  std::map<std::string, int> asked_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<net::WebSocket> socket_;
  std::deque<wire::Frame> frames_;
  std::unique_ptr<Node> node_;
  uint32_t generation_ = 0;
};

TEST_F(HostileTest, AssignmentsThatCannotBe) {
  Welcome();
  using Change = std::function<void(wire::Assign&)>;
  const std::pair<Change, const char*> cases[] = {
      {[](auto& a) { a.last = 5000; }, "blocks [0, 5000)"},
      {[](auto& a) { a.hidden = 0; }, "hidden width 0"},
      {[](auto& a) { a.vocab = 1 << 30; }, "vocabulary"},
      {[](auto& a) { a.positions = 0; }, "positions"},
      {[](auto& a) { a.max_rows = 65; }, "65 rows a step"},
      {[](auto& a) {
         a.hidden = 1 << 20;
         a.positions = a.max_rows = 4096;
       },
       "do not fit a frame"},
      {[](auto& a) { a.graph.location = "../../etc/passwd"; }, "file location"},
      {[](auto& a) { a.graph.path = "//elsewhere/x"; }, "file path"},
      {[](auto& a) { a.graph.path = "/blobs/../x"; }, "file path"},
      {[](auto& a) { a.graph.bytes = 0; }, "is empty"},
      {[](auto& a) { a.graph.bytes = UINT64_MAX; }, "chunk hashes"},
      {[](auto& a) { a.graph.chunks[0][0] ^= 1; }, "whose hash is another"},
      {[](auto& a) { a.weights = {a.graph, a.graph}; }, "named twice"},
      {[](auto& a) { a.kv = {{.block = 0, .heads = 5000, .head_size = 8}}; }, "KV shape 5000 x 8"},
      {[this](auto& a) { a.graph = File(std::string(2 << 20, 'x')); }, "are lent"},
  };
  for (const auto& [change, detail] : cases) {
    wire::Assign assign = GoodAssign();
    change(assign);
    Send(assign);
    const wire::ErrorFrame error = NextError();
    EXPECT_EQ(error.generation, generation_);
    EXPECT_NE(error.detail.find(detail), std::string::npos) << error.detail;
  }
  wire::Assign old = GoodAssign();
  old.generation = 1;
  Send(old);
  EXPECT_EQ(NextError().code, static_cast<uint8_t>(Code::kFailedPrecondition));
  Send(wire::Assign{.generation = 100, .first = 3, .last = 3});
  EXPECT_TRUE(Next<wire::Ready>().done);
}

TEST_F(HostileTest, FilesThatAreNotWhatWasPromised) {
  Welcome();
  wire::Assign assign = GoodAssign();
  Send(assign);
  EXPECT_EQ(NextError().generation, generation_);  // It is no graph.
  EXPECT_EQ(asked_[assign.graph.path], 1);

  assign = GoodAssign();
  assign.graph = File("one");
  files_[assign.graph.path] = "two";
  Send(assign);
  wire::ErrorFrame error = NextError();
  EXPECT_EQ(error.code, static_cast<uint8_t>(Code::kDataLoss));
  EXPECT_NE(error.detail.find("SHA-256 that was promised"), std::string::npos) << error.detail;
  EXPECT_EQ(asked_[assign.graph.path], 2);

  assign = GoodAssign();
  assign.graph = File("three");
  files_[assign.graph.path] = "three and much more";
  Send(assign);
  error = NextError();
  EXPECT_NE(error.detail.find("sent more than the 5 bytes"), std::string::npos) << error.detail;
}

TEST_F(HostileTest, FramesOutOfPlace) {
  Next<wire::Hello>();
  Send(wire::Release{.session = SessionId{1}});
  EXPECT_EQ(NextError().code, static_cast<uint8_t>(Code::kFailedPrecondition));
  Welcome(true);
  const wire::Step step{.rows = {{SessionId{3}, Epoch{2}, 0, 0}}, .payload = ByteVector(4)};
  Send(step);
  wire::ErrorFrame error = NextError();
  EXPECT_EQ(error.session, SessionId{3});
  EXPECT_EQ(error.epoch, Epoch{2});
  EXPECT_NE(error.detail.find("no stage is held"), std::string::npos) << error.detail;
  Send(step, NodeId{8});
  EXPECT_NE(NextError().detail.find("a frame for node 8"), std::string::npos);
  Send(wire::Open{.session = SessionId{3}, .epoch = Epoch{1}, .generation = 4, .capacity = 9});
  EXPECT_NE(NextError().detail.find("held is none"), std::string::npos);
  Send(wire::Rollback{.session = SessionId{3}, .epoch = Epoch{1}});
  EXPECT_EQ(NextError().code, static_cast<uint8_t>(Code::kNotFound));
  Send(wire::Token{.session = SessionId{3}});
  EXPECT_NE(NextError().detail.find("not for volunteers"), std::string::npos);
  socket_->Send(std::make_shared<ByteVector>(20, 0xee));
  EXPECT_EQ(NextError().code, static_cast<uint8_t>(Code::kInvalidArgument));
  Send(wire::Ping{.nonce = 5, .reply = false});
  EXPECT_EQ(Next<wire::Ping>().nonce, 5u);
}

TEST_F(HostileTest, ACoordinatorOfAnotherVersion) {
  Next<wire::Hello>();
  Send(wire::Hello{.version_min = 2, .version_max = 3, .node = kNode}, kCoordinator);
  EXPECT_EQ(NextError().code, static_cast<uint8_t>(Code::kUnimplemented));
}

}  // namespace
}  // namespace shoal::volunteer
