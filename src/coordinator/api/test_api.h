// For tests: the API behind a real server, with a generator that does as it is told.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "coordinator/api/api.h"
#include "net/client.h"
#include "net/server.h"
#include "net/test_support.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace shoal::api {

inline constexpr const char* kChat = "/v1/chat/completions";
inline constexpr const char* kCompletions = "/v1/completions";
// What Qwen2.5 writes to call a tool.
inline constexpr const char* kCall =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>";

class ScriptedGenerator final : public Generator {
 public:
  struct Session {
    GenerationRequest request;
    std::function<void(GenerationEvent)> on_event;
  };

  explicit ScriptedGenerator(net::EventLoop& loop) : loop_(loop) {}

  Result<SessionId> Start(GenerationRequest request,
                          std::function<void(GenerationEvent)> on_event) override {
    if (refusal && started.size() >= refuse_after) return std::unexpected(*refusal);
    const SessionId session{++last_};
    started.push_back(request);
    running[session.value] = {std::move(request), std::move(on_event)};
    if (script) loop_.Post([this, session] { Continue(session.value, 0); });
    return session;
  }
  void Cancel(SessionId session) override {
    if (running.erase(session.value) > 0) cancelled.push_back(session.value);
  }
  Status Availability() const override { return {}; }

  void Emit(uint64_t session, GenerationEvent event) {
    const auto at = running.find(session);
    if (at == running.end()) return;
    const auto listener = at->second.on_event;
    if (!std::holds_alternative<GeneratedToken>(event)) running.erase(at);
    listener(std::move(event));
  }
  void EmitToken(uint64_t session, int32_t token) {
    Emit(session, GeneratedToken{token, -0.5f, {}});
  }

  // When set: what every session answers, one token at a time.
  std::function<std::vector<int32_t>(const GenerationRequest&)> script;
  std::function<std::vector<wire::TokenProbability>(int32_t token)> alternatives;
  std::optional<Error> refusal;
  size_t refuse_after = 0;  // So many starts succeed.
  std::vector<GenerationRequest> started;
  std::map<uint64_t, Session> running;
  std::vector<uint64_t> cancelled;

 private:
  // Keeps the Generator's contract: end ids and max_tokens end the generation.
  void Continue(uint64_t session, size_t at) {
    const auto found = running.find(session);
    if (found == running.end()) return;
    const GenerationRequest request = found->second.request;
    const std::vector<int32_t> tokens = script(request);
    if (at == tokens.size() || at == request.max_tokens) {
      return Emit(session, GenerationDone{FinishReason::kLength});
    }
    GeneratedToken token{tokens[at], -0.25f, {}};
    if (alternatives) token.top = alternatives(tokens[at]);
    Emit(session, std::move(token));
    for (const int32_t end : request.end_ids) {
      if (tokens[at] == end) return Emit(session, GenerationDone{FinishReason::kStop});
    }
    loop_.Post([this, session, at] { Continue(session, at + 1); });
  }

  net::EventLoop& loop_;
  uint64_t last_ = 0;
};

class ApiTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = std::string(SHOAL_SOURCE_DIR) + "/models/storyteller/";
    auto loaded = tokenizer::Tokenizer::Load(ReadFile(folder + "tokenizer.json"));
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    tokenizer_ = *std::move(loaded);
    const auto config = boost::json::parse(ReadFile(folder + "tokenizer_config.json"));
    const auto chat = tokenizer::ChatTemplate::Load(config.at("chat_template").as_string());
    ASSERT_TRUE(chat) << chat.error().ToString();
    chat_template_.emplace(*chat);
    facts_.id = "storyteller";
    facts_.created = 1'700'000'000;
    facts_.context_tokens = 512;
    facts_.vocab_size = static_cast<uint32_t>(tokenizer_->vocab_size());
    facts_.end_ids = {*tokenizer_->TokenToId("<|end|>")};
    facts_.fingerprint = "fp_1";
    Serve(tokenizer_.get(), &*chat_template_);
  }

  void Serve(const tokenizer::Tokenizer* tokenizer, const tokenizer::ChatTemplate* chat_template) {
    server_.reset();
    Environment environment;
    environment.unix_seconds = [] { return int64_t{1'800'000'000}; };
    environment.now = [this] { return loop_.NowUs(); };
    environment.on_answer = [this](const AnswerRecord& record) { records_.push_back(record); };
    environment.random = [next = uint64_t{0}]() mutable { return ++next; };
    api_ =
        std::make_unique<Api>(generator_, facts_, tokenizer, chat_template, environment, limits_);
    net::ServerOptions options;
    options.refusal = RefusalResponse;
    auto listening =
        net::Server::Listen(loop_, options, [this](net::Request request, net::Responder responder) {
          std::string client = request.peer_address;
          api_->Handle(std::move(request), std::move(responder), std::move(client));
        });
    ASSERT_TRUE(listening);
    server_ = *std::move(listening);
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  net::ClientRequest To(const std::string& path, const std::string& body) const {
    net::ClientRequest request;
    request.method = body.empty() ? "GET" : "POST";
    request.url = StrCat("http://127.0.0.1:", server_->port(), path);
    request.body = body;
    return request;
  }
  net::ClientResponse Call(const std::string& path, const std::string& body = "") {
    auto response = net::Fetch(loop_, To(path, body));
    EXPECT_TRUE(response) << response.error().ToString();
    return response.value_or(net::ClientResponse());
  }
  boost::json::value CallJson(const std::string& path, const std::string& body = "",
                              int status = 200) {
    const net::ClientResponse response = Call(path, body);
    EXPECT_EQ(response.status, status) << response.body;
    return boost::json::parse(response.body);
  }
  // The events of a streamed answer; "[DONE]" is a string.
  std::vector<boost::json::value> CallStream(const std::string& path, const std::string& body) {
    const net::ClientResponse response = Call(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_TRUE(response.headers.Get("Content-Type").starts_with("text/event-stream"));
    return Events(response.body);
  }
  static std::vector<boost::json::value> Events(std::string_view body) {
    std::vector<boost::json::value> out;
    while (!body.empty()) {
      const size_t end = body.find("\n\n");
      EXPECT_TRUE(body.starts_with("data: ") && end != std::string_view::npos) << body;
      if (end == std::string_view::npos) break;
      const std::string_view data = body.substr(6, end - 6);
      out.push_back(data == "[DONE]" ? boost::json::value("[DONE]")
                                     : boost::json::parse({data.data(), data.size()}));
      body.remove_prefix(end + 2);
    }
    return out;
  }

  std::vector<int32_t> Ids(std::string_view text) const { return *tokenizer_->Encode(text, false); }
  // Every session answers so; `ended`: with the end token.
  void Script(std::string_view text, bool ended = true) {
    std::vector<int32_t> ids = Ids(text);
    if (ended) ids.push_back(facts_.end_ids[0]);
    generator_.script = [ids](const GenerationRequest&) { return ids; };
  }

  net::EventLoop loop_;
  ScriptedGenerator generator_{loop_};
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::optional<tokenizer::ChatTemplate> chat_template_;
  ModelFacts facts_;
  std::vector<AnswerRecord> records_;
  Limits limits_ = {.answers = 64, .answers_per_client = 64};
  std::unique_ptr<Api> api_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace shoal::api
