// Requests that cannot be answered, generators that fail, and clients that leave.
#include <gtest/gtest.h>

#include <string>

#include "coordinator/api/test_api.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr const char* kHello = R"({"messages": [{"role": "user", "content": "Hi"}]})";
constexpr const char* kHelloStreamed =
    R"({"messages": [{"role": "user", "content": "Hi"}], "stream": true})";

TEST_F(ApiTest, ErrorsHaveOpenAisShape) {
  const json::value answer = CallJson(kChat, R"({"messages": [], "x": 1})", 400);
  const json::object& error = answer.at("error").as_object();
  EXPECT_EQ(error.size(), 4u);
  EXPECT_EQ(error.at("type"), "invalid_request_error");
  EXPECT_EQ(error.at("param"), "messages");
  EXPECT_TRUE(error.at("code").is_null());
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_EQ(CallJson(kChat, "{", 400).at("error").at("type"), "invalid_request_error");
  EXPECT_EQ(CallJson("/v1/nothing", "{}", 404).at("error").at("code"), "not_found");
  EXPECT_EQ(CallJson(kChat, R"({"model": "gpt-4", "messages": []})", 404).at("error").at("code"),
            "model_not_found");
}

TEST_F(ApiTest, RefusesOtherMethods) {
  const net::ClientResponse get = Call(kChat);
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.headers.Get("Allow"), "POST");
  EXPECT_EQ(Call("/v1/models", "{}").status, 405);
}

TEST_F(ApiTest, WhatTheServerRefusesHasTheSameShape) {
  net::RawClient client(loop_, server_->port());
  client.Send("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n");
  const std::string answer = client.ReadToEnd();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
  const json::value body = json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  EXPECT_EQ(body.at("error").at("type"), "invalid_request_error");
}

TEST_F(ApiTest, CountsWhatDoesNotFitIntoTheContext) {
  std::string ids = "5";
  for (int at = 1; at < 600; ++at) ids += ",5";
  const json::value too_long = CallJson(kCompletions, StrCat(R"({"prompt": [)", ids, "]}"), 400);
  EXPECT_EQ(too_long.at("error").at("code"), "context_length_exceeded");
  EXPECT_EQ(too_long.at("error").at("param"), "prompt");
  const std::string message(too_long.at("error").at("message").as_string());
  EXPECT_NE(message.find("512"), std::string::npos) << message;
  EXPECT_NE(message.find("600"), std::string::npos) << message;
  const json::value too_much =
      CallJson(kCompletions, R"({"prompt": [1, 2], "max_tokens": 511})", 400);
  EXPECT_EQ(too_much.at("error").at("code"), "context_length_exceeded");
  EXPECT_EQ(too_much.at("error").at("param"), "max_tokens");
  EXPECT_NE(too_much.at("error").at("message").as_string().find("510"), std::string::npos);
  EXPECT_TRUE(generator_.started.empty());
  Script("x");
  CallJson(kCompletions, R"({"prompt": [1, 2], "max_tokens": 510})");
}

TEST_F(ApiTest, SaysWhatTheTemplateObjectsTo) {
  const auto strict = tokenizer::ChatTemplate::Load(
      "{{ raise_exception('roles must alternate') if messages|length > 0 }}");
  ASSERT_TRUE(strict);
  Serve(tokenizer_.get(), &*strict);
  const json::value answer = CallJson(kChat, kHello, 400);
  EXPECT_EQ(answer.at("error").at("param"), "messages");
  EXPECT_NE(answer.at("error").at("message").as_string().find("roles must alternate"),
            std::string::npos);
}

TEST_F(ApiTest, HandsVariablesToTheTemplate) {
  const auto open =
      tokenizer::ChatTemplate::Load("{{ bos_token }}{{ mood }}{{ messages[0].content }}");
  ASSERT_TRUE(open);
  facts_.template_variables = {{"bos_token", "<|endoftext|>"}};
  Serve(tokenizer_.get(), &*open);
  Script("ok");
  CallJson(kChat, R"({"messages": [{"role": "user", "content": "Hi"}],
                      "chat_template_kwargs": {"mood": "calm "}})");
  EXPECT_EQ(generator_.started.at(0).prompt, Ids("<|endoftext|>calm Hi"));
}

struct Failure {
  Code code;
  int status;
  const char* type;
  bool has_retry_after;
};
constexpr Failure kFailures[] = {
    {Code::kUnavailable, 503, "server_error", true},
    {Code::kResourceExhausted, 429, "rate_limit_error", true},
    {Code::kInvalidArgument, 400, "invalid_request_error", false},
    {Code::kInternal, 500, "server_error", false},
};

TEST_F(ApiTest, PassesOnWhyAGenerationDoesNotStart) {
  for (const Failure& failure : kFailures) {
    generator_.refusal = Error{failure.code, "blocks 3 to 5 are on no volunteer"};
    for (const char* body : {kHello, kHelloStreamed}) {
      const net::ClientResponse response = Call(kChat, body);
      EXPECT_EQ(response.status, failure.status);
      EXPECT_EQ(response.headers.Has("Retry-After"), failure.has_retry_after);
      const json::value error = json::parse(response.body).at("error");
      EXPECT_EQ(error.at("type"), failure.type);
      EXPECT_EQ(error.at("message"), "blocks 3 to 5 are on no volunteer");
    }
  }
}

TEST_F(ApiTest, CancelsTheChoicesThatHaveStartedWhenOneCannot) {
  generator_.refusal = Error{Code::kResourceExhausted, "full"};
  generator_.refuse_after = 2;
  EXPECT_EQ(Call(kCompletions, R"({"prompt": [1], "n": 3})").status, 429);
  EXPECT_EQ(generator_.cancelled.size(), 2u);
  EXPECT_TRUE(generator_.running.empty());
  EXPECT_EQ(api_->active(), 0u);
}

TEST_F(ApiTest, AFailureBeforeTheFirstTokenHasAStatus) {
  for (const char* body : {kHello, kHelloStreamed}) {
    std::optional<int> status;
    net::ClientCallbacks callbacks;
    callbacks.on_head = [&](int code, const net::Headers&) { status = code; };
    const auto call = net::StartCall(loop_, To(kChat, body), callbacks);
    ASSERT_TRUE(net::RunUntil(loop_, [&] { return !generator_.running.empty(); }));
    generator_.Emit(generator_.running.begin()->first, Error{Code::kUnavailable, "all have left"});
    ASSERT_TRUE(net::RunUntil(loop_, [&] { return status.has_value(); }));
    EXPECT_EQ(status, 503);
  }
}

TEST_F(ApiTest, AFailureInTheMiddleOfAStreamIsAnEvent) {
  std::string body;
  bool done = false;
  net::ClientCallbacks callbacks;
  callbacks.on_body = [&](std::string_view bytes) { body += bytes; };
  callbacks.on_done = [&](Status status) { done = status.has_value(); };
  const auto call = net::StartCall(
      loop_, To(kCompletions, R"({"prompt": [1], "n": 2, "stream": true})"), callbacks);
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return generator_.running.size() == 2; }));
  generator_.EmitToken(1, Ids("Once")[0]);
  generator_.Emit(2, Error{Code::kUnavailable, "all have left"});
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return done; }));
  const auto events = Events(body);
  EXPECT_EQ(events.back().at("error").at("message"), "all have left");
  EXPECT_EQ(generator_.cancelled, (std::vector<uint64_t>{1}));
  EXPECT_EQ(api_->active(), 0u);
}

TEST_F(ApiTest, CancelsWhenTheClientLeaves) {
  for (const char* body : {kHello, kHelloStreamed}) {
    for (const bool has_begun : {false, true}) {
      generator_.cancelled.clear();
      auto call = net::StartCall(loop_, To(kChat, body), {});
      ASSERT_TRUE(net::RunUntil(loop_, [&] { return !generator_.running.empty(); }));
      const uint64_t session = generator_.running.begin()->first;
      if (has_begun) generator_.EmitToken(session, Ids("Once")[0]);
      loop_.RunFor(std::chrono::milliseconds(5));
      EXPECT_EQ(api_->active(), 1u);
      call->reset();
      ASSERT_TRUE(net::RunUntil(loop_, [&] { return !generator_.cancelled.empty(); }));
      EXPECT_EQ(api_->active(), 0u);
    }
  }
}

TEST_F(ApiTest, EndsWhatRunsWhenItEnds) {
  std::optional<int> whole;
  std::string streamed;
  net::ClientCallbacks first;
  first.on_head = [&](int status, const net::Headers&) { whole = status; };
  net::ClientCallbacks second;
  second.on_body = [&](std::string_view bytes) { streamed += bytes; };
  const auto one = net::StartCall(loop_, To(kChat, kHello), first);
  const auto two = net::StartCall(loop_, To(kChat, kHelloStreamed), second);
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return generator_.running.size() == 2; }));
  for (uint64_t session = 1; session <= 2; ++session) {
    generator_.EmitToken(session, Ids("Once")[0]);
  }
  api_.reset();
  EXPECT_EQ(generator_.cancelled.size(), 2u);
  ASSERT_TRUE(net::RunUntil(loop_, [&] {
    return whole && streamed.find("The server is stopping.") != std::string::npos;
  }));
  EXPECT_EQ(whole, 503);
}

TEST_F(ApiTest, GivesAClientItsShareAndNoMore) {
  limits_ = {.answers = 64, .answers_per_client = 3};
  Serve(tokenizer_.get(), &*chat_template_);
  const json::value never = CallJson(kCompletions, R"({"prompt": [1], "n": 4})", 400);
  EXPECT_EQ(never.at("error").at("param"), "n");
  net::ClientCallbacks callbacks;
  auto running = net::StartCall(loop_, To(kCompletions, R"({"prompt": [1], "n": 2})"), callbacks);
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return generator_.running.size() == 2; }));
  const net::ClientResponse busy = Call(kCompletions, R"({"prompt": [[1], [2]]})");
  EXPECT_EQ(busy.status, 429) << busy.body;
  EXPECT_TRUE(busy.headers.Has("Retry-After"));
  // What is left of the share is given, and what is done with comes back.
  Script("x");
  CallJson(kCompletions, R"({"prompt": [1]})");
  running->reset();
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return api_->active() == 0; }));
  CallJson(kCompletions, R"({"prompt": [1], "n": 3})");
}

TEST_F(ApiTest, RecordsEveryAnswerOnce) {
  Script("Once upon");
  CallJson(kCompletions, R"({"prompt": [1, 2]})");
  CallStream(kChat, kHelloStreamed);
  generator_.refusal = Error{Code::kUnavailable, "nobody lends"};
  CallJson(kCompletions, R"({"prompt": [1]})", 503);
  CallJson(kCompletions, R"({"prompt": 1.5})", 400);  // Never became an answer.
  generator_.refusal.reset();
  generator_.script = nullptr;
  auto left = net::StartCall(loop_, To(kCompletions, R"({"prompt": [1]})"), {});
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return generator_.running.size() == 1; }));
  generator_.EmitToken(generator_.running.begin()->first, Ids("Once")[0]);
  left->reset();
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return records_.size() == 4; }));
  const std::vector<int> statuses = {200, 200, 503, 499};
  for (size_t at = 0; at < statuses.size(); ++at) EXPECT_EQ(records_[at].status, statuses[at]);
  EXPECT_EQ(records_[0].prompt_tokens, 2u);
  EXPECT_EQ(records_[0].completion_tokens, Ids("Once upon").size() + 1);
  EXPECT_EQ(records_[0].client, "127.0.0.1");
  EXPECT_TRUE(records_[0].first_token.has_value());
  EXPECT_FALSE(records_[0].is_streamed);
  EXPECT_TRUE(records_[1].is_streamed);
  EXPECT_FALSE(records_[2].first_token.has_value());
  EXPECT_EQ(records_[3].completion_tokens, 1u);
}

TEST_F(ApiTest, ManyClientsAtOnce) {
  generator_.script = [this](const GenerationRequest& request) {
    return Ids(StrCat("answer ", request.prompt[0]));
  };
  constexpr size_t kClients = 40;
  std::vector<std::string> bodies(kClients);
  std::vector<std::unique_ptr<net::ClientCall>> calls;
  size_t done = 0;
  for (size_t at = 0; at < kClients; ++at) {
    net::ClientCallbacks callbacks;
    callbacks.on_body = [&bodies, at](std::string_view bytes) { bodies[at] += bytes; };
    callbacks.on_done = [&done](Status status) { done += status.has_value(); };
    calls.push_back(*net::StartCall(
        loop_, To(kCompletions, StrCat(R"({"stream": true, "prompt": [)", at, "]}")), callbacks));
  }
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return done == kClients; }));
  for (size_t at = 0; at < kClients; ++at) {
    std::string text;
    for (const json::value& event : Events(bodies[at])) {
      if (event.is_object()) {
        text += std::string_view(event.at("choices").at(0).at("text").as_string());
      }
    }
    EXPECT_EQ(text, StrCat("answer ", at));
  }
}

}  // namespace
}  // namespace shoal::api
