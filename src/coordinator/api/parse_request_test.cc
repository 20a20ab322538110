#include "coordinator/api/parse_request.h"

#include <gtest/gtest.h>

#include <string>

#include "base/str_cat.h"

namespace shoal::api {
namespace {

ModelFacts Facts() {
  ModelFacts facts;
  facts.id = "m";
  facts.vocab_size = 100;
  facts.context_tokens = 64;
  facts.default_sampling.temperature = 0.6f;
  facts.default_sampling.top_k = 20;
  return facts;
}

// A request that is right but for `more`.
std::expected<CompletionRequest, ApiError> Chat(const std::string& more) {
  return ParseRequest(StrCat(R"({"messages": [{"role": "user", "content": "hi"}])",
                             more.empty() ? "" : ", ", more, "}"),
                      Shape::kChat, Facts());
}
std::expected<CompletionRequest, ApiError> Completion(const std::string& more) {
  return ParseRequest(StrCat(R"({"prompt": [1, 2])", more.empty() ? "" : ", ", more, "}"),
                      Shape::kCompletion, Facts());
}

TEST(ParseRequest, FillsInTheModelsDefaults) {
  const auto request = Chat("");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->sampling, Facts().default_sampling);
  EXPECT_EQ(request->choices_per_prompt, 1u);
  EXPECT_FALSE(request->max_tokens);
  EXPECT_FALSE(request->seed);
  EXPECT_FALSE(request->is_streamed);
}

TEST(ParseRequest, ReadsEveryParameter) {
  const auto request = Chat(
      R"("model": "m", "temperature": 0, "top_p": 0.5, "top_k": 5, "min_p": 0.1,
         "frequency_penalty": -1, "presence_penalty": 2, "repetition_penalty": 1.1, "seed": -3,
         "n": 2, "max_tokens": 7.0, "max_completion_tokens": 9, "logprobs": true,
         "top_logprobs": 3, "logit_bias": {"5": -100, "99": 1.5}, "stop": ["a", "b"],
         "stream": true, "stream_options": {"include_usage": true}, "return_token_ids": true,
         "ignore_eos": true, "response_format": {"type": "text"}, "tools": [], "user": "u",
         "chat_template_kwargs": {"enable_thinking": false}, "something_new": {"x": 1})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_EQ(request->sampling.top_p, 0.5f);
  EXPECT_EQ(request->sampling.top_k, 5u);
  EXPECT_EQ(request->sampling.min_p, 0.1f);
  EXPECT_EQ(request->sampling.frequency_penalty, -1);
  EXPECT_EQ(request->sampling.presence_penalty, 2);
  EXPECT_EQ(request->sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(request->sampling.top_logprobs, 3u);
  ASSERT_EQ(request->sampling.biases.size(), 2u);
  EXPECT_EQ(request->sampling.biases[1].token, 99);
  EXPECT_EQ(request->sampling.biases[1].bias, 1.5f);
  EXPECT_EQ(request->seed, static_cast<uint64_t>(-3));
  EXPECT_EQ(request->choices_per_prompt, 2u);
  EXPECT_EQ(request->max_tokens, 9u);
  EXPECT_TRUE(request->wants_logprobs && request->is_streamed && request->includes_usage);
  EXPECT_TRUE(request->returns_token_ids && request->ignores_end);
  EXPECT_EQ(request->stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request->template_fields.at("enable_thinking"), false);
}

TEST(ParseRequest, NullIsAbsent) {
  const auto request = Chat(
      R"("temperature": null, "stop": null, "stream": null, "tools": null, "logit_bias": null,
         "response_format": null, "model": null, "max_tokens": null, "stream_options": null)");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->sampling, Facts().default_sampling);
}

TEST(ParseRequest, JoinsPartsOfContent) {
  const auto request = ParseRequest(
      R"({"messages": [{"role": "user", "name": "n", "content": [{"type": "text", "text": "a"},
          {"type": "text", "text": "b"}]}, {"role": "assistant", "content": null}]})",
      Shape::kChat, Facts());
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->messages.size(), 2u);
  EXPECT_EQ(request->messages[0].at("content"), "a\nb");
  EXPECT_EQ(request->messages[0].at("name"), "n");
  EXPECT_EQ(request->messages[1].at("content"), "");
}

TEST(ParseRequest, TakesPromptsOfEveryForm) {
  const auto prompts = [](const std::string& prompt) {
    const auto request =
        ParseRequest(StrCat(R"({"prompt": )", prompt, "}"), Shape::kCompletion, Facts());
    EXPECT_TRUE(request) << prompt << (request ? "" : request.error().message);
    return request ? request->prompts : std::vector<Prompt>();
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(prompts(R"("a")"), (std::vector<Prompt>{"a"}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), (std::vector<Prompt>{"a", "b"}));
  EXPECT_EQ(prompts("[1, 99]"), (std::vector<Prompt>{Ids{1, 99}}));
  EXPECT_EQ(prompts("[[1], [2, 3]]"), (std::vector<Prompt>{Ids{1}, Ids{2, 3}}));
}

struct Refused {
  std::string body;
  std::string param;
};

TEST(ParseRequest, NamesTheParameterThatIsWrong) {
  const Refused chats[] = {
      {R"("temperature": "hot")", "temperature"},
      {R"("temperature": -0.1)", "temperature"},
      {R"("temperature": 2.1)", "temperature"},
      {R"("temperature": 1e999)", "temperature"},
      {R"("top_p": 1.5)", "top_p"},
      {R"("min_p": -1)", "min_p"},
      {R"("top_k": -2)", "top_k"},
      {R"("top_k": 1.5)", "top_k"},
      {R"("frequency_penalty": 3)", "frequency_penalty"},
      {R"("presence_penalty": -3)", "presence_penalty"},
      {R"("repetition_penalty": 0)", "repetition_penalty"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_tokens": "7")", "max_tokens"},
      {R"("max_completion_tokens": -1)", "max_completion_tokens"},
      {R"("n": 0)", "n"},
      {R"("n": 129)", "n"},
      {R"("seed": 1.5)", "seed"},
      {R"("seed": 99999999999999999999)", "seed"},
      {R"("stop": "")", "stop"},
      {R"("stop": [1])", "stop"},
      {R"("stop": {"a": 1})", "stop"},
      {StrCat(
           R"("stop": [)",
           [] {
             std::string many = "\"a\"";
             for (int at = 0; at < 16; ++at) many += ",\"a\"";
             return many;
           }(),
           "]"),
       "stop"},
      {R"("logprobs": 3)", "logprobs"},
      {R"("top_logprobs": 3)", "top_logprobs"},
      {R"("logprobs": true, "top_logprobs": 21)", "top_logprobs"},
      {R"("logit_bias": [1])", "logit_bias"},
      {R"("logit_bias": {"100": 1})", "logit_bias"},
      {R"("logit_bias": {"-1": 1})", "logit_bias"},
      {R"("logit_bias": {"x": 1})", "logit_bias"},
      {R"("logit_bias": {"1": 101})", "logit_bias"},
      {R"("logit_bias": {"1": "a"})", "logit_bias"},
      {R"("stream": 1)", "stream"},
      {R"("stream_options": {"include_usage": true})", "stream_options"},
      {R"("stream": true, "stream_options": {"include_usage": 1})", "stream_options.include_usage"},
      {R"("ignore_eos": "yes")", "ignore_eos"},
      {R"("return_token_ids": 1)", "return_token_ids"},
      {R"("tools": [{"type": "function"}])", "tools"},
      {R"("functions": [{}])", "functions"},
      {R"("audio": {"voice": "x"})", "audio"},
      {R"("modalities": ["text", "audio"])", "modalities"},
      {R"("response_format": {"type": "json_object"})", "response_format"},
      {R"("response_format": {})", "response_format"},
      {R"("response_format": "text")", "response_format"},
      {R"("model": 5)", "model"},
      {R"("messages": [])", "messages"},
      {R"("messages": "hi")", "messages"},
      {R"("messages": ["hi"])", "messages[0]"},
      {R"("messages": [{"content": "hi"}])", "messages[0].role"},
      {R"("messages": [{"role": "user"}])", "messages[0].content"},
      {R"("messages": [{"role": "user", "content": 5}])", "messages[0].content"},
      {R"("messages": [{"role": "user", "content": [{"type": "image_url"}]}])",
       "messages[0].content"},
      {R"("messages": [{"role": "user", "content": [{"type": "text"}]}])", "messages[0].content"},
      {R"("messages": [{"role": "assistant", "tool_calls": [{}]}])", "messages[0].tool_calls"},
  };
  for (const Refused& refused : chats) {
    const auto request = Chat(refused.body);  // A later field replaces an earlier one.
    ASSERT_FALSE(request) << refused.body;
    EXPECT_EQ(request.error().status, 400) << refused.body;
    EXPECT_EQ(request.error().param.value_or(""), refused.param) << refused.body;
    EXPECT_NE(request.error().message.find(refused.param), std::string::npos);
    EXPECT_EQ(request.error().type, "invalid_request_error");
  }
  const Refused completions[] = {
      {R"("prompt": [])", "prompt"},
      {R"("prompt": null)", "prompt"},
      {R"("prompt": 5)", "prompt"},
      {R"("prompt": [1, "a"])", "prompt"},
      {R"("prompt": ["a", 1])", "prompt"},
      {R"("prompt": [[1], "a"])", "prompt"},
      {R"("prompt": [100])", "prompt"},
      {R"("prompt": [-1])", "prompt"},
      {R"("prompt": [1.5])", "prompt"},
      {R"("prompt": [[]])", "prompt"},
      {R"("prompt": [[1], [2]], "n": 65)", "prompt"},
      {R"("suffix": "x")", "suffix"},
      {R"("best_of": 2)", "best_of"},
      {R"("logprobs": true)", "logprobs"},
      {R"("logprobs": 21)", "logprobs"},
      {R"("logprobs": 1, "echo": true)", "logprobs"},
      {R"("echo": 1)", "echo"},
  };
  for (const Refused& refused : completions) {
    const auto request = Completion(refused.body);
    ASSERT_FALSE(request) << refused.body;
    EXPECT_EQ(request.error().param.value_or(""), refused.param) << refused.body;
  }
}

TEST(ParseRequest, RefusesBodiesThatAreNoRequests) {
  for (const std::string body :
       {"", "{", "[]", "5", "{\"a\": nan}", "{\"messages\": [\"\xff\"]}"}) {
    const auto request = ParseRequest(body, Shape::kChat, Facts());
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().status, 400);
  }
  const std::string deep(100'000, '[');
  EXPECT_EQ(ParseRequest("{\"x\":" + deep, Shape::kChat, Facts()).error().status, 400);
  const std::string large(kMaxBodyBytes + 1, ' ');
  EXPECT_EQ(ParseRequest(large, Shape::kChat, Facts()).error().status, 413);
}

TEST(ParseRequest, AnUnknownModelIsNotFound) {
  const auto request = Chat(R"("model": "other")");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().status, 404);
  EXPECT_EQ(request.error().code, "model_not_found");
  EXPECT_EQ(request.error().param, "model");
}

}  // namespace
}  // namespace shoal::api
