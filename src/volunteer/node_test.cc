// Native volunteers at a real coordinator, all in one process and on one event loop.
#include "volunteer/node.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "base/str_cat.h"
#include "coordinator/coordinator.h"
#include "model/file.h"
#include "model/json.h"
#include "net/client.h"
#include "net/test_support.h"
#include "packer/packer.h"
#include "packer/testing.h"

namespace shoal::volunteer {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::seconds;

constexpr uint64_t kMemory = uint64_t{512} << 20;

json::object ReadJson(const std::string& text) {
  return model::ParseJson(text, "answer")->as_object();
}

// The first prompt of the reference implementation, and its greedy answer as far as it is certain.
struct Reference {
  json::array prompt;
  json::array greedy;
};
Reference ReadReference() {
  const auto text =
      model::ReadFile(SHOAL_SOURCE_DIR "/tests/golden/storyteller-7m/reference.json", 1 << 20);
  const json::object all = ReadJson(*text);
  const json::object& first = all.at("prompts").as_array().at(0).as_object();
  Reference reference{first.at("prompt_ids").as_array(), {}};
  const json::array& ids = first.at("greedy_ids").as_array();
  const json::array& margins = first.at("greedy_margin").as_array();
  for (size_t i = 0; i < std::min<size_t>(ids.size(), 24); ++i) {
    if (margins[i].to_number<double>() < 1e-3) break;
    reference.greedy.push_back(ids[i]);
  }
  return reference;
}

// A volunteer and what it has told.
struct Lender {
  std::unique_ptr<Node> node;
  std::vector<NodeState> states;
  std::vector<std::string> details;
  std::vector<Error> problems;
  uint64_t fetched_bytes = 0;
  uint64_t holding_bytes = 0;

  NodeState state() const { return states.empty() ? NodeState::kConnecting : states.back(); }
};

class NodeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new packer::ScratchFolder;
    for (const std::string weights : {"f32", "q4"}) {
      const auto packed =
          packer::PackCheckpoint({.checkpoint = SHOAL_SOURCE_DIR "/tests/golden/storyteller-7m",
                                  .pack = folder_->path() / weights,
                                  .weights = weights});
      ASSERT_TRUE(packed) << packed.error().ToString();
    }
    const auto packed =
        packer::PackCheckpoint({.checkpoint = SHOAL_SOURCE_DIR "/tests/golden/hf/qwen3_moe",
                                .pack = folder_->path() / "mixture",
                                .weights = "f32"});
    ASSERT_TRUE(packed) << packed.error().ToString();
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  void Serve(CoordinatorOptions options = {}, const std::string& weights = "f32") {
    options.pack = folder_->path() / weights;
    options.port = port_;
    auto started = Coordinator::Start(loop_, options);
    ASSERT_TRUE(started) << started.error().ToString();
    coordinator_ = *std::move(started);
    port_ = coordinator_->port();
  }

  NodeOptions OptionsOf(const std::string& cache) {
    return {.url = StrCat("http://127.0.0.1:", port_),
            .memory_bytes = kMemory,
            .threads = 2,
            .cache = {.folder = scratch_.path() / cache}};
  }

  // `cache`: the name of its folder.
  std::unique_ptr<Lender> Lend(const std::string& cache) { return Lend(OptionsOf(cache)); }
  std::unique_ptr<Lender> Lend(NodeOptions options) {
    auto lender = std::make_unique<Lender>();
    Lender* const told = lender.get();
    auto node = Node::Start(
        loop_, std::move(options),
        {.on_state =
             [told](NodeState state, const std::string& detail) {
               told->states.push_back(state);
               told->details.push_back(detail);
             },
         .on_progress =
             [told](const LoadProgress& progress) { told->fetched_bytes = progress.bytes_fetched; },
         .on_holding = [told](uint32_t, uint32_t, uint64_t bytes) { told->holding_bytes = bytes; },
         .on_problem = [told](const Error& error) { told->problems.push_back(error); }});
    EXPECT_TRUE(node) << node.error().ToString();
    if (node) lender->node = *std::move(node);
    return lender;
  }

  json::object Get(const std::string& path) {
    const auto answer = net::Fetch(loop_, {.url = StrCat("http://127.0.0.1:", port_, path)});
    EXPECT_TRUE(answer) << answer.error().ToString();
    return answer ? ReadJson(answer->body) : json::object{};
  }

  bool UntilReady() {
    for (int tries = 0; tries < 600; ++tries) {
      if (Get("/status.json").at("ready").as_bool()) return true;
      loop_.RunFor(std::chrono::milliseconds(50));
    }
    return false;
  }

  // The ids of a greedy completion.
  json::array Complete(const json::array& prompt, size_t count) {
    const json::object body = {
        {"prompt", prompt}, {"max_tokens", count}, {"temperature", 0}, {"return_token_ids", true}};
    const auto answer =
        net::Fetch(loop_, {.method = "POST",
                           .url = StrCat("http://127.0.0.1:", port_, "/v1/completions"),
                           .headers = {{"Content-Type", "application/json"}},
                           .body = json::serialize(body)});
    EXPECT_TRUE(answer) << answer.error().ToString();
    if (!answer || answer->status != 200) {
      ADD_FAILURE() << (answer ? answer->body : "");
      return {};
    }
    const json::object all = ReadJson(answer->body);
    return all.at("choices").as_array().at(0).as_object().at("token_ids").as_array();
  }

  void StopServing() {
    bool stopped = false;
    coordinator_->Stop([&] { stopped = true; });
    EXPECT_TRUE(net::RunUntil(loop_, [&] { return stopped; }, seconds(60)));
    coordinator_ = nullptr;
  }

  static packer::ScratchFolder* folder_;
  packer::ScratchFolder scratch_;
  net::EventLoop loop_;
  uint16_t port_ = 0;
  std::unique_ptr<Coordinator> coordinator_;
};
packer::ScratchFolder* NodeTest::folder_ = nullptr;

TEST_F(NodeTest, TwoGiveTheReferenceAnswerAndLeave) {
  Serve({.stages_min = 2});
  const auto first = Lend("a");
  const auto second = Lend("b");
  ASSERT_TRUE(UntilReady());
  const Reference reference = ReadReference();
  EXPECT_EQ(Complete(reference.prompt, reference.greedy.size()), reference.greedy);
  for (const auto* lender : {first.get(), second.get()}) {
    EXPECT_EQ(lender->state(), NodeState::kConnected);
    EXPECT_GT(lender->node->counters().steps, 5u);
    EXPECT_GT(lender->holding_bytes, 1u << 20);
    EXPECT_TRUE(lender->problems.empty()) << lender->problems[0].ToString();
  }
  bool left = false;
  second->node->Leave("enough", [&] { left = true; });
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return left; }));
  EXPECT_EQ(second->state(), NodeState::kStopped);
  EXPECT_EQ(Get("/status.json").at("volunteers").as_array().size(), 1u);
}

TEST_F(NodeTest, FetchesOnceAndAgainWhatIsDamaged) {
  Serve();
  auto lender = Lend("cache");
  ASSERT_TRUE(UntilReady());
  EXPECT_GE(lender->fetched_bytes, lender->holding_bytes);
  lender = nullptr;
  lender = Lend("cache");
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return lender->holding_bytes > 0; }, seconds(60)));
  EXPECT_EQ(lender->fetched_bytes, 0u);

  lender = nullptr;
  uint64_t damaged = 0;
  for (const auto& entry : fs::recursive_directory_iterator(scratch_.path() / "cache")) {
    if (!entry.is_regular_file() || entry.file_size() < 100'000) continue;
    damaged = entry.file_size();
    std::fstream(entry.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(777).put('!');
    break;
  }
  ASSERT_GT(damaged, 0u);
  lender = Lend("cache");
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return lender->holding_bytes > 0; }, seconds(60)));
  EXPECT_EQ(lender->fetched_bytes, damaged);
  const Reference reference = ReadReference();
  ASSERT_TRUE(UntilReady());
  EXPECT_EQ(Complete(reference.prompt, 8).size(), 8u);
}

TEST_F(NodeTest, UsesThePackWhereItLies) {
  Serve();
  NodeOptions options = OptionsOf("cache");
  options.cache.pack = folder_->path() / "f32";
  const auto lender = Lend(std::move(options));
  ASSERT_TRUE(UntilReady());
  // Only the graph and the rotary tables, which the server makes.
  EXPECT_LT(lender->fetched_bytes, 1u << 20);
  const Reference reference = ReadReference();
  EXPECT_EQ(Complete(reference.prompt, reference.greedy.size()), reference.greedy);
}

TEST_F(NodeTest, ComesBackWhenTheCoordinatorDoes) {
  Serve();
  const auto lender = Lend("cache");
  ASSERT_TRUE(UntilReady());
  StopServing();
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return lender->state() == NodeState::kReconnecting; }));
  EXPECT_NE(lender->details.back().find("next attempt in"), std::string::npos);
  Serve();
  ASSERT_TRUE(UntilReady());
  const Reference reference = ReadReference();
  EXPECT_EQ(Complete(reference.prompt, reference.greedy.size()), reference.greedy);
}

TEST_F(NodeTest, APrivateSwarmAsksForItsSecret) {
  Serve({.join_secret = "open sesame, and so on"});
  const auto stranger = Lend("a");
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return stranger->state() == NodeState::kRefused; }));
  EXPECT_NE(stranger->details.back().find("secret"), std::string::npos) << stranger->details.back();
  NodeOptions options = OptionsOf("b");
  options.join_secret = "open sesame, and so on";
  const auto member = Lend(std::move(options));
  EXPECT_TRUE(UntilReady());
}

TEST_F(NodeTest, RefusesOptionsThatCannotBe) {
  Serve();
  const auto code = [&](NodeOptions options) {
    const auto node = Node::Start(loop_, std::move(options), {});
    return node ? Code::kInternal : node.error().code;
  };
  NodeOptions options = OptionsOf("cache");
  options.url = "ftp://example.org";
  EXPECT_EQ(code(options), Code::kInvalidArgument);
  options = OptionsOf("cache");
  options.threads = 0;
  EXPECT_EQ(code(options), Code::kInvalidArgument);
  options = OptionsOf("cache");
  options.cache.folder = "/proc/shoal";
  EXPECT_EQ(code(options), Code::kPermissionDenied);
}

TEST_F(NodeTest, Q4IsTheSameExactlyOnAnyThreads) {
  Serve({.stages_min = 2}, "q4");
  const Reference reference = ReadReference();
  std::optional<json::array> first;
  for (const size_t threads : {1, 3}) {
    std::vector<std::unique_ptr<Lender>> lenders;
    for (const std::string cache : {"a", "b"}) {
      NodeOptions options = OptionsOf(cache);
      options.threads = threads;
      lenders.push_back(Lend(std::move(options)));
    }
    ASSERT_TRUE(net::RunUntil(
        loop_, [&] { return lenders[0]->holding_bytes > 0 && lenders[1]->holding_bytes > 0; },
        seconds(60)));
    ASSERT_TRUE(UntilReady());
    const json::array ids = Complete(reference.prompt, 32);
    EXPECT_EQ(ids.size(), 32u);
    if (first) EXPECT_EQ(ids, *first);
    first = ids;
    lenders.clear();
    loop_.RunFor(std::chrono::milliseconds(200));
  }
}

// A prompt of `count` ids that differs from others with another `end` in its last ids alone.
json::array LongPrompt(size_t count, int end) {
  json::array prompt;
  for (size_t i = 0; i < count; ++i) prompt.push_back(10 + static_cast<int>(i * 7 % 200));
  for (int i = 0; i < 3; ++i) prompt.push_back(20 + end + i);
  return prompt;
}

auto Find(const std::vector<std::unique_ptr<Lender>>& lenders, uint32_t node) {
  return std::ranges::find(lenders, node,
                           [](const auto& lender) { return lender->node->number(); });
}

// The stages of the last route in a trace.
json::array LastRoute(const fs::path& trace) {
  std::ifstream file(trace);
  json::array stages;
  for (std::string line; std::getline(file, line);) {
    const json::object event = ReadJson(line);
    if (event.at("event") == "routed") stages = event.at("stages").as_array();
  }
  return stages;
}

TEST_F(NodeTest, APromptThatBeginsAlikeStartsFromTheKvThatIsThere) {
  CoordinatorOptions options;
  options.stages_min = 2;
  options.trace = scratch_.path() / "trace";
  Serve(options);
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  const json::array alone = Complete(LongPrompt(150, 1), 12);
  for (const json::value& stage : LastRoute(options.trace)) EXPECT_EQ(stage.at("copied"), 0);
  ASSERT_EQ(Complete(LongPrompt(150, 2), 12).size(), 12u);
  for (const json::value& stage : LastRoute(options.trace)) EXPECT_EQ(stage.at("copied"), 150);
  // All of it but for the last id, which makes the first token.
  EXPECT_EQ(Complete(LongPrompt(150, 1), 12), alone);
  for (const json::value& stage : LastRoute(options.trace)) EXPECT_EQ(stage.at("copied"), 152);
  for (const auto& lender : lenders) EXPECT_TRUE(lender->problems.empty());
}

TEST_F(NodeTest, WhoLeavesInTheMiddleOfAnAnswerHandsItOver) {
  CoordinatorOptions options;
  options.stages_min = 2;
  options.trace = scratch_.path() / "trace";
  Serve(options);
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b", "c", "d"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  loop_.RunFor(seconds(4));
  const json::array expected = Complete(LongPrompt(60, 1), 120);
  const json::array before = LastRoute(options.trace);
  // The one that runs the first stage of the next answer, most likely.
  const auto node = before.at(0).at("node").to_number<uint32_t>();
  const auto leaver = Find(lenders, node);
  ASSERT_NE(leaver, lenders.end());
  bool left = false;
  net::Timer timer(loop_);
  timer.After(std::chrono::milliseconds(60),
              [&] { (*leaver)->node->Leave("closing", [&] { left = true; }); });
  EXPECT_EQ(Complete(LongPrompt(60, 1), 120), expected);
  EXPECT_TRUE(net::RunUntil(loop_, [&] { return left; }, seconds(20)));
  for (const json::value& stage : LastRoute(options.trace)) {
    EXPECT_NE(stage.at("node").to_number<uint32_t>(), node);
  }
}

TEST_F(NodeTest, WithExpertsElsewhereKvIsCopiedInAllParts) {
  CoordinatorOptions options;
  options.expert_holders = 2;
  options.trace = scratch_.path() / "trace";
  Serve(options, "mixture");
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b", "c"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  const json::array alone = Complete(LongPrompt(150, 1), 12);
  ASSERT_EQ(Complete(LongPrompt(150, 2), 12).size(), 12u);
  EXPECT_EQ(Complete(LongPrompt(150, 1), 12), alone);
  const json::array route = LastRoute(options.trace);
  EXPECT_EQ(route.size(), 1u);
  for (const json::value& stage : route) EXPECT_EQ(stage.at("copied"), 152);
  for (const auto& lender : lenders) EXPECT_TRUE(lender->problems.empty());
}

TEST_F(NodeTest, WithExpertsElsewhereWhoLeavesHandsOver) {
  CoordinatorOptions options;
  options.expert_holders = 2;
  options.trace = scratch_.path() / "trace";
  Serve(options, "mixture");
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b", "c", "d", "e"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  loop_.RunFor(seconds(4));
  const json::array expected = Complete(LongPrompt(60, 1), 120);
  // First one that routes, then one that holds experts.
  for (const bool routes : {true, false}) {
    uint32_t node = LastRoute(options.trace).at(0).at("node").to_number<uint32_t>();
    const json::value status = Get("/status.json");
    for (const json::value& one : status.at("volunteers").as_array()) {
      if (!routes && one.at("expert_groups").to_number<int>() > 0) {
        node = one.at("id").to_number<uint32_t>();
      }
    }
    const auto leaver = Find(lenders, node);
    ASSERT_NE(leaver, lenders.end());
    bool left = false;
    net::Timer timer(loop_);
    timer.After(std::chrono::milliseconds(60),
                [&] { (*leaver)->node->Leave("closing", [&] { left = true; }); });
    EXPECT_EQ(Complete(LongPrompt(60, 1), 120), expected);
    EXPECT_TRUE(net::RunUntil(loop_, [&] { return left; }, seconds(20)));
    for (const auto& lender : lenders) {
      EXPECT_TRUE(lender->problems.empty()) << lender->problems[0].ToString();
    }
    lenders.erase(leaver);
  }
}

// The newcomer says of itself that it is slow: it is quicker to send it KV than to have it compute.
TEST_F(NodeTest, WithExpertsElsewhereKvIsSentInAllParts) {
  CoordinatorOptions options;
  options.expert_holders = 2;
  options.trace = scratch_.path() / "trace";
  Serve(options, "mixture");
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b", "c"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  const json::array expected = Complete(LongPrompt(60, 1), 200);
  const auto router = LastRoute(options.trace).at(0).at("node").to_number<uint32_t>();
  const auto leaver = Find(lenders, router);
  ASSERT_NE(leaver, lenders.end());
  std::unique_ptr<Lender> newcomer;
  bool left = false;
  net::Timer timer(loop_);
  timer.After(std::chrono::milliseconds(60), [&] {
    NodeOptions slow = OptionsOf("d");
    slow.measures = {{"probe.gflops", 0.05}};
    newcomer = Lend(std::move(slow));
    (*leaver)->node->Leave("closing", [&] { left = true; });
  });
  EXPECT_EQ(Complete(LongPrompt(60, 1), 200), expected);
  EXPECT_TRUE(net::RunUntil(loop_, [&] { return left; }, seconds(20)));
  const json::array route = LastRoute(options.trace);
  ASSERT_EQ(route.size(), 1u);
  EXPECT_EQ(route[0].at("node").to_number<uint32_t>(), newcomer->node->number());
  EXPECT_EQ(route[0].at("kept"), 0);
  EXPECT_GT(route[0].at("copied").to_number<int>(), 60) << json::serialize(route);
  EXPECT_TRUE(newcomer->problems.empty());
  for (const auto& lender : lenders) EXPECT_TRUE(lender->problems.empty());
}

TEST_F(NodeTest, AfterAnAbruptEndOfTheCoordinatorAllIsAsBefore) {
  CoordinatorOptions options;
  options.stages_min = 2;
  options.journal = scratch_.path() / "journal";
  Serve(options);
  auto lenders = std::vector<std::unique_ptr<Lender>>();
  for (const char* cache : {"a", "b"}) lenders.push_back(Lend(cache));
  ASSERT_TRUE(UntilReady());
  const json::array expected = Complete(LongPrompt(60, 1), 40);
  loop_.RunFor(std::chrono::milliseconds(600));  // The journal is written.
  // What each holds, and has done, by what it holds.
  const auto look = [&] {
    std::map<std::string, int64_t> work;
    const json::value status = Get("/status.json");
    for (const json::value& one : status.at("volunteers").as_array()) {
      work[json::serialize(one.at("blocks"))] = one.at("block_rows_done").to_number<int64_t>();
    }
    return work;
  };
  const auto before = look();
  net::Timer timer(loop_);
  timer.After(std::chrono::milliseconds(30), [&] { coordinator_ = nullptr; });
  const json::object body = {{"prompt", LongPrompt(60, 2)}, {"max_tokens", 150}};
  const auto cut = net::Fetch(loop_, {.method = "POST",
                                      .url = StrCat("http://127.0.0.1:", port_, "/v1/completions"),
                                      .headers = {{"Content-Type", "application/json"}},
                                      .body = json::serialize(body)});
  EXPECT_FALSE(cut && cut->status == 200);  // Never half an answer as if it were whole.
  ASSERT_EQ(coordinator_, nullptr);
  for (const auto& lender : lenders) lender->fetched_bytes = lender->holding_bytes = 0;
  Serve(options);
  ASSERT_TRUE(UntilReady());
  const auto after = look();
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [blocks, work] : before) {
    ASSERT_TRUE(after.contains(blocks)) << blocks;
    EXPECT_GE(after.at(blocks), work);
    EXPECT_GT(work, 0);
  }
  for (const auto& lender : lenders) {
    EXPECT_EQ(lender->fetched_bytes, 0u);
    EXPECT_GT(lender->holding_bytes, 0u);
  }
  EXPECT_EQ(Complete(LongPrompt(60, 1), 40), expected);
}

}  // namespace
}  // namespace shoal::volunteer
