// Answers of the API as a client sees them, over real sockets.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/api/test_api.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

std::string ChatBody(const std::string& more = "") {
  return StrCat(R"({"messages": [{"role": "user", "content": "Tell me."}])",
                more.empty() ? "" : ", ", more, "}");
}

TEST_F(ApiTest, ListsTheModel) {
  const json::value list = CallJson("/v1/models");
  EXPECT_EQ(list.at("object"), "list");
  ASSERT_EQ(list.at("data").as_array().size(), 1u);
  const json::value& model = list.at("data").at(0);
  EXPECT_EQ(model.at("id"), "storyteller");
  EXPECT_EQ(model.at("object"), "model");
  EXPECT_EQ(model.at("created"), 1'700'000'000);
  EXPECT_EQ(CallJson("/v1/models/storyteller"), model);
  EXPECT_EQ(CallJson("/v1/models/other", "", 404).at("error").at("code"), "model_not_found");
}

TEST_F(ApiTest, AnswersAChat) {
  Script("Once upon a time.");
  const json::value answer = CallJson(kChat, ChatBody(R"("model": "storyteller")"));
  EXPECT_EQ(answer.at("object"), "chat.completion");
  EXPECT_TRUE(answer.at("id").as_string().starts_with("chatcmpl-"));
  EXPECT_EQ(answer.at("created"), 1'800'000'000);
  EXPECT_EQ(answer.at("model"), "storyteller");
  EXPECT_EQ(answer.at("system_fingerprint"), "fp_1");
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), "Once upon a time.");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_FALSE(choice.as_object().contains("token_ids"));
  const auto prompt = Ids("<|user|>\nTell me.<|end|>\n<|assistant|>\n");
  const size_t made = Ids("Once upon a time.").size() + 1;
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), prompt.size());
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), made);
  EXPECT_EQ(answer.at("usage").at("total_tokens"), prompt.size() + made);
  const GenerationRequest& request = generator_.started.at(0);
  EXPECT_EQ(request.prompt, prompt);
  EXPECT_EQ(request.max_tokens, 512 - prompt.size());
  EXPECT_EQ(request.end_ids, facts_.end_ids);
  EXPECT_EQ(request.client, "127.0.0.1");
  EXPECT_NE(request.sampling.seed, 0u);
  EXPECT_EQ(api_->active(), 0u);
}

TEST_F(ApiTest, StreamsAChat) {
  Script("One day, a naïve 狐 ran.");
  const auto events =
      CallStream(kChat, ChatBody(R"("stream": true, "stream_options": {"include_usage": true})"));
  ASSERT_GE(events.size(), 4u);
  std::string text;
  for (size_t at = 0; at + 2 < events.size(); ++at) {
    EXPECT_EQ(events[at].at("object"), "chat.completion.chunk");
    EXPECT_EQ(events[at].at("id"), events[0].at("id"));
    EXPECT_TRUE(events[at].at("usage").is_null());
    const json::value& choice = events[at].at("choices").at(0);
    const json::object& delta = choice.at("delta").as_object();
    EXPECT_EQ(delta.contains("role"), at == 0);
    if (delta.contains("content")) text += std::string_view(delta.at("content").as_string());
    EXPECT_EQ(choice.at("finish_reason").is_null(), at + 3 < events.size());
  }
  EXPECT_EQ(text, "One day, a naïve 狐 ran.");
  EXPECT_EQ(events[events.size() - 3].at("choices").at(0).at("finish_reason"), "stop");
  const json::value& usage = events[events.size() - 2];
  EXPECT_TRUE(usage.at("choices").as_array().empty());
  EXPECT_EQ(usage.at("usage").at("completion_tokens"), Ids(text).size() + 1);
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST_F(ApiTest, AStreamWithoutUsageSaysNothingOfIt) {
  Script("Hi.");
  for (const json::value& event : CallStream(kChat, ChatBody(R"("stream": true)"))) {
    EXPECT_FALSE(event.is_object() && event.as_object().contains("usage"));
  }
}

TEST_F(ApiTest, StreamsTokensAsTheyCome) {
  std::string seen;
  net::ClientCallbacks callbacks;
  callbacks.on_body = [&](std::string_view bytes) { seen += bytes; };
  const auto call =
      net::StartCall(loop_, To(kChat, ChatBody(R"("stream": true, "stop": " END")")), callbacks);
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return generator_.running.size() == 1; }));
  for (const int32_t id : Ids("Once")) generator_.EmitToken(1, id);
  ASSERT_TRUE(net::RunUntil(loop_, [&] { return seen.find("e\"") != std::string::npos; }));
  // What may become the stop sequence is held back, and given when it does not.
  const size_t before = seen.size();
  for (const int32_t id : Ids(" E")) generator_.EmitToken(1, id);
  loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(seen.size(), before);
  for (const int32_t id : Ids("ggs")) generator_.EmitToken(1, id);
  EXPECT_TRUE(net::RunUntil(loop_, [&] { return seen.find(" Eg") != std::string::npos; })) << seen;
}

TEST_F(ApiTest, AnswersCompletions) {
  Script(" upon a time", /*ended=*/false);
  const json::value answer =
      CallJson(kCompletions, R"({"prompt": "Once", "max_tokens": 2, "echo": true})");
  EXPECT_EQ(answer.at("object"), "text_completion");
  EXPECT_TRUE(answer.at("id").as_string().starts_with("cmpl-"));
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "Once upon a");
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_EQ(generator_.started.at(0).max_tokens, 2u);
  EXPECT_EQ(generator_.started.at(0).prompt, *tokenizer_->Encode("Once", true));
  const auto events =
      CallStream(kCompletions, R"({"prompt": "Once", "echo": true, "stream": true})");
  std::string text;
  for (const json::value& event : events) {
    if (event.is_object())
      text += std::string_view(event.at("choices").at(0).at("text").as_string());
  }
  EXPECT_EQ(text, "Once upon a time");
}

TEST_F(ApiTest, AnswersSeveralPromptsAndChoices) {
  generator_.script = [this](const GenerationRequest& request) {
    return Ids(StrCat("p", request.prompt[0], " c", request.sampling.choice));
  };
  const json::value answer = CallJson(kCompletions, R"({"prompt": [[5], [6, 7]], "n": 2, "seed": 11,
                                 "return_token_ids": true})");
  ASSERT_EQ(answer.at("choices").as_array().size(), 4u);
  const char* expected[] = {"p5 c0", "p5 c1", "p6 c0", "p6 c1"};
  for (size_t at = 0; at < 4; ++at) {
    const json::value& choice = answer.at("choices").at(at);
    EXPECT_EQ(choice.at("index"), at);
    EXPECT_EQ(choice.at("text"), expected[at]);
    EXPECT_EQ(choice.at("prompt_token_ids").as_array().size(), at < 2 ? 1u : 2u);
    EXPECT_EQ(generator_.started[at].sampling.seed, 11u);
  }
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 3);
  EXPECT_FALSE(answer.as_object().contains("prompt_token_ids"));

  size_t finished = 0;
  std::string texts[2];
  for (const json::value& event :
       CallStream(kCompletions, R"({"prompt": [5], "n": 2, "stream": true})")) {
    if (!event.is_object()) continue;
    const json::value& choice = event.at("choices").at(0);
    texts[choice.at("index").to_number<size_t>()] +=
        std::string_view(choice.at("text").as_string());
    finished += !choice.at("finish_reason").is_null();
  }
  EXPECT_EQ(texts[0], "p5 c0");
  EXPECT_EQ(texts[1], "p5 c1");
  EXPECT_EQ(finished, 2u);
}

TEST_F(ApiTest, GivesTokenIds) {
  Script("Once upon");
  std::vector<int32_t> expected = Ids("Once upon");
  expected.push_back(facts_.end_ids[0]);
  const json::value answer =
      CallJson(kCompletions, R"({"prompt": [5, 6], "return_token_ids": true})");
  EXPECT_EQ(answer.at("prompt_token_ids"), (json::array{5, 6}));
  EXPECT_EQ(answer.at("choices").at(0).at("prompt_token_ids"), (json::array{5, 6}));
  EXPECT_EQ(answer.at("choices").at(0).at("token_ids"),
            json::array(expected.begin(), expected.end()));
  std::vector<int32_t> streamed;
  size_t prompts = 0;
  for (const json::value& event :
       CallStream(kChat, ChatBody(R"("return_token_ids": true, "stream": true)"))) {
    if (!event.is_object()) continue;
    prompts += event.as_object().contains("prompt_token_ids");
    for (const json::value& id : event.at("choices").at(0).at("token_ids").as_array()) {
      streamed.push_back(id.to_number<int32_t>());
    }
  }
  EXPECT_EQ(streamed, expected);
  EXPECT_EQ(prompts, 1u);
}

TEST_F(ApiTest, IgnoresTheEndTokenWhenAsked) {
  const int32_t end = facts_.end_ids[0];
  generator_.script = [this, end](const GenerationRequest&) {
    std::vector<int32_t> ids = Ids("One");
    ids.push_back(end);
    for (const int32_t id : Ids(" two")) ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(CallJson(kChat, ChatBody()).at("choices").at(0).at("message").at("content"), "One");
  const json::value answer = CallJson(kChat, ChatBody(R"("ignore_eos": true)"));
  EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "One two");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_TRUE(generator_.started.back().end_ids.empty());
}

TEST_F(ApiTest, StopsAtStopSequencesAcrossTokens) {
  Script("The fox ran. The dog sat. The end");
  const json::value answer = CallJson(kChat, ChatBody(R"("stop": ["x y", "g sat."])"));
  EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "The fox ran. The do");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(generator_.cancelled.size(), 1u);
  EXPECT_LT(answer.at("usage").at("completion_tokens").to_number<size_t>(),
            Ids("The fox ran. The dog sat. The end").size());
  // Held back and then found to be no stop sequence: it comes with the end.
  const json::value held = CallJson(kChat, ChatBody(R"("stop": "end of it")"));
  EXPECT_EQ(held.at("choices").at(0).at("message").at("content"),
            "The fox ran. The dog sat. The end");
}

TEST_F(ApiTest, GivesLogProbabilities) {
  Script("Once upon", /*ended=*/false);
  const int32_t other = Ids("day")[0];
  generator_.alternatives = [other](int32_t token) {
    return std::vector<wire::TokenProbability>{
        {token, -0.25f}, {other, -std::numeric_limits<float>::infinity()}, {1, -9}};
  };
  const json::value chat = CallJson(kChat, ChatBody(R"("logprobs": true, "top_logprobs": 2)"));
  const json::value& entry = chat.at("choices").at(0).at("logprobs").at("content").at(0);
  EXPECT_EQ(entry.at("logprob"), -0.25);
  EXPECT_EQ(entry.at("token").as_string(),
            tokenizer_->Decode(std::vector{Ids("Once upon")[0]}, false));
  ASSERT_EQ(entry.at("top_logprobs").as_array().size(), 2u);
  EXPECT_EQ(entry.at("top_logprobs").at(1).at("logprob"), -9999.0);
  EXPECT_EQ(entry.at("bytes").as_array().size(), entry.at("token").as_string().size());
  EXPECT_EQ(generator_.started.back().sampling.top_logprobs, 2u);

  const json::value plain = CallJson(kCompletions, R"({"prompt": [5], "logprobs": 1})");
  const json::value& logprobs = plain.at("choices").at(0).at("logprobs");
  const size_t count = Ids("Once upon").size();
  EXPECT_EQ(logprobs.at("tokens").as_array().size(), count);
  EXPECT_EQ(logprobs.at("token_logprobs").as_array().size(), count);
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).as_object().size(), 1u);

  size_t entries = 0;
  for (const json::value& event :
       CallStream(kChat, ChatBody(R"("logprobs": true, "stream": true)"))) {
    if (!event.is_object()) continue;
    const json::value& part = event.at("choices").at(0).at("logprobs");
    if (part.is_object()) entries += part.at("content").as_array().size();
  }
  EXPECT_EQ(entries, count);
}

TEST_F(ApiTest, ServesPacksWithoutATokenizer) {
  Serve(nullptr, nullptr);
  generator_.script = [](const GenerationRequest&) { return std::vector<int32_t>{7, 8, 9}; };
  const json::value answer = CallJson(
      kCompletions, R"({"prompt": [1], "return_token_ids": true, "echo": true, "stop": "x"})");
  EXPECT_EQ(answer.at("choices").at(0).at("text"), "");
  EXPECT_EQ(answer.at("choices").at(0).at("token_ids"), (json::array{7, 8, 9}));
  const auto events =
      CallStream(kCompletions, R"({"prompt": [1], "return_token_ids": true, "stream": true})");
  EXPECT_EQ(events.size(), 5u);  // Three tokens, the end, [DONE].
  const json::value logprobs = CallJson(kCompletions, R"({"prompt": [1], "logprobs": 0})");
  EXPECT_EQ(logprobs.at("choices").at(0).at("logprobs").at("tokens").at(0), "token_id:7");
  const json::value text = CallJson(kCompletions, R"({"prompt": "a"})", 400);
  EXPECT_EQ(text.at("error").at("param"), "prompt");
  const json::value chat = CallJson(kChat, ChatBody(), 400);
  EXPECT_NE(chat.at("error").at("message").as_string().find("tokenizer"), std::string::npos);
}

}  // namespace
}  // namespace shoal::api
