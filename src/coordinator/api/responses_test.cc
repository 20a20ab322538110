// POST /v1/responses, whole and streamed, as OpenAI's clients read it.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>
#include <vector>

#include "coordinator/api/test_api.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr const char* kResponses = "/v1/responses";

class ResponsesTest : public ApiTest {
 protected:
  void ServeQwen() {
    const std::string text =
        ReadFile(SHOAL_SOURCE_DIR "/tests/golden/chat_templates/qwen2_5.jinja");
    auto loaded = tokenizer::ChatTemplate::Load(text);
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    template_.emplace(*std::move(loaded));
    facts_.tool_form = ToolFormOf(text);
    facts_.context_tokens = 4096;
    Serve(tokenizer_.get(), &*template_);
  }
  std::string LastPrompt() const {
    return tokenizer_->Decode(generator_.started.back().prompt, /*skip_special=*/false);
  }
  // The events of a stream, each with the name that stands before it.
  std::vector<json::object> Stream(const std::string& body) {
    const net::ClientResponse response = Call(kResponses, body);
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<json::object> out;
    std::string_view rest = response.body;
    while (!rest.empty()) {
      const size_t line = rest.find('\n');
      const size_t end = rest.find("\n\n");
      EXPECT_TRUE(rest.starts_with("event: ") && end != std::string_view::npos) << rest;
      if (end == std::string_view::npos) break;
      const std::string_view name = rest.substr(7, line - 7);
      const std::string_view data = rest.substr(line + 7, end - line - 7);
      out.push_back(json::parse({data.data(), data.size()}).as_object());
      EXPECT_EQ(std::string_view(out.back().at("type").as_string()), name);
      EXPECT_EQ(out.back().at("sequence_number"), out.size() - 1);
      rest.remove_prefix(end + 2);
    }
    return out;
  }

  std::optional<tokenizer::ChatTemplate> template_;
};

// As /v1/responses has it: without the nested "function".
constexpr const char* kFlatWeather =
    R"({"type": "function", "name": "get_weather", "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"]}})";

TEST_F(ResponsesTest, AnswersAString) {
  Script("Once upon a time.");
  const json::value answer =
      CallJson(kResponses, R"({"input": "A story", "instructions": "Be brief.",
                               "temperature": 0.7, "metadata": {"a": "b"}})");
  EXPECT_EQ(answer.at("object"), "response");
  EXPECT_EQ(answer.at("status"), "completed");
  EXPECT_TRUE(answer.at("id").as_string().starts_with("resp_"));
  EXPECT_EQ(answer.at("instructions"), "Be brief.");
  EXPECT_EQ(answer.at("metadata").at("a"), "b");
  EXPECT_EQ(answer.at("store"), false);
  EXPECT_EQ(answer.at("temperature"), 0.7);
  const json::value& item = answer.at("output").at(0);
  EXPECT_EQ(item.at("type"), "message");
  EXPECT_EQ(item.at("content").at(0).at("text"), "Once upon a time.");
  const uint64_t prompt = generator_.started.back().prompt.size();
  EXPECT_EQ(answer.at("usage").at("input_tokens"), prompt);
  EXPECT_EQ(answer.at("usage").at("total_tokens"), prompt + Ids("Once upon a time.").size() + 1);
  EXPECT_NE(LastPrompt().find("A story"), std::string::npos);
  EXPECT_NE(LastPrompt().find("Be brief."), std::string::npos);
  EXPECT_FLOAT_EQ(generator_.started.back().sampling.temperature, 0.7f);
  ASSERT_EQ(records_.size(), 1u);
  EXPECT_EQ(records_[0].status, 200);
}

TEST_F(ResponsesTest, SaysWhenItWasCut) {
  Script("Once upon a time.", /*ended=*/false);
  const json::value answer =
      CallJson(kResponses, R"({"input": "A story", "max_output_tokens": 2})");
  EXPECT_EQ(answer.at("status"), "incomplete");
  EXPECT_EQ(answer.at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(answer.at("usage").at("output_tokens"), 2);
}

TEST_F(ResponsesTest, StreamsEventsThatBuildTheAnswer) {
  Script("Once upon a time.");
  const auto events = Stream(R"({"input": "A story", "stream": true})");
  std::string text;
  std::vector<std::string> types;
  for (const json::object& event : events) {
    types.emplace_back(event.at("type").as_string());
    if (types.back() == "response.output_text.delta") {
      text += std::string_view(event.at("delta").as_string());
    }
  }
  EXPECT_EQ(text, "Once upon a time.");
  ASSERT_GE(types.size(), 9u);
  EXPECT_EQ(types[0], "response.created");
  EXPECT_EQ(types[1], "response.in_progress");
  EXPECT_EQ(types[2], "response.output_item.added");
  EXPECT_EQ(types[3], "response.content_part.added");
  EXPECT_EQ(types[types.size() - 4], "response.output_text.done");
  EXPECT_EQ(types[types.size() - 3], "response.content_part.done");
  EXPECT_EQ(types[types.size() - 2], "response.output_item.done");
  EXPECT_EQ(types.back(), "response.completed");
  const json::value& response = events.back().at("response");
  EXPECT_EQ(response.at("output").at(0).at("content").at(0).at("text").as_string(), text);
  EXPECT_EQ(response.at("usage").at("output_tokens"), Ids(text).size() + 1);
}

TEST_F(ResponsesTest, AnAnswerWithoutAWordIsAnEmptyMessage) {
  Script("");
  const auto events = Stream(R"({"input": "A story", "stream": true})");
  EXPECT_EQ(events.back().at("type"), "response.completed");
  EXPECT_EQ(events.back().at("response").at("output").at(0).at("content").at(0).at("text"), "");
}

TEST_F(ResponsesTest, AFailureInTheMiddleEndsTheStream) {
  generator_.script = nullptr;
  std::string body;
  bool done = false;
  net::ClientCallbacks callbacks;
  callbacks.on_body = [&](std::string_view bytes) {
    body += bytes;
    generator_.Emit(1, Error{Code::kUnavailable, "nobody is left"});
  };
  callbacks.on_done = [&](const Status&) { done = true; };
  const auto call =
      net::StartCall(loop_, To(kResponses, R"({"input": "x", "stream": true})"), callbacks);
  ASSERT_TRUE(call);
  net::RunUntil(loop_, [&] { return !generator_.started.empty(); });
  generator_.EmitToken(1, Ids("Once")[0]);
  net::RunUntil(loop_, [&] { return done; });
  EXPECT_NE(body.find("event: response.failed"), std::string::npos) << body;
  EXPECT_NE(body.find("nobody is left"), std::string::npos) << body;
  EXPECT_EQ(body.find("response.completed"), std::string::npos) << body;
}

TEST_F(ResponsesTest, CallsToolsAndGoesOn) {
  ServeQwen();
  Script(StrCat("I look. ", kCall));
  const json::value answer =
      CallJson(kResponses, StrCat(R"({"input": "Weather?", "tools": [)", kFlatWeather, "]}"));
  EXPECT_EQ(answer.at("output").at(0).at("content").at(0).at("text"), "I look. ");
  const json::value& call = answer.at("output").at(1);
  EXPECT_EQ(call.at("type"), "function_call");
  EXPECT_EQ(call.at("name"), "get_weather");
  EXPECT_EQ(call.at("arguments"), R"({"city":"Ulm"})");
  // What came, and the tool's answer, as the client sends them back.
  Script("Sunny.");
  const std::string next = StrCat(
      R"({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]}, )",
      json::serialize(answer.at("output").at(0)), ", ", json::serialize(call),
      R"(, {"type": "function_call_output", "call_id": ")",
      std::string_view(call.at("call_id").as_string()),
      R"(", "output": "it is sunny"}], "tools": [)", kFlatWeather, "]}");
  const json::value last = CallJson(kResponses, next);
  EXPECT_EQ(last.at("output").at(0).at("content").at(0).at("text"), "Sunny.");
  EXPECT_NE(LastPrompt().find("<tool_response>\nit is sunny"), std::string::npos) << LastPrompt();
  EXPECT_NE(LastPrompt().find("I look. \n<tool_call>"), std::string::npos) << LastPrompt();
  const auto events =
      Stream(StrCat(R"({"input": "Weather?", "stream": true, "tools": [)", kFlatWeather, "]}"));
  EXPECT_EQ(events.back().at("type"), "response.completed");
}

TEST_F(ResponsesTest, KeepsToASchema) {
  const json::value answer = [&] {
    Script(R"({"name":"Ann"})");
    return CallJson(kResponses, R"({"input": "x", "text": {"format": {"type": "json_schema",
        "name": "p", "schema": {"type": "object", "properties": {"name": {"type": "string"}},
        "required": ["name"]}}}})");
  }();
  EXPECT_TRUE(static_cast<bool>(generator_.started.back().allowed));
  EXPECT_EQ(answer.at("output").at(0).at("content").at(0).at("text"), R"({"name":"Ann"})");
}

TEST_F(ResponsesTest, RefusesWhatItCannotKeep) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "input"},
      {R"({"input": []})", "input"},
      {R"({"input": ["x"]})", "input[0]"},
      {R"({"input": [{"role": "user"}]})", "input[0]"},
      {R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})",
       "input[0].content"},
      {R"({"input": [{"type": "function_call", "name": "x"}]})", "input[0]"},
      {R"({"input": [{"type": "function_call_output", "call_id": "x"}]})", "input[0]"},
      {R"({"input": [{"type": "item_reference", "id": "x"}]})", "input[0]"},
      {R"({"input": "x", "previous_response_id": "resp_1"})", "previous_response_id"},
      {R"({"input": "x", "conversation": "c"})", "conversation"},
      {R"({"input": "x", "background": true})", "background"},
      {R"({"input": "x", "truncation": "auto"})", "truncation"},
      {R"({"input": "x", "max_output_tokens": 0})", "max_output_tokens"},
      {R"({"input": "x", "max_output_tokens": 100000})", "max_output_tokens"},
      {R"({"input": "x", "text": {"format": {"type": "grammar"}}})", "text.format"},
      {R"({"input": "x", "text": {"format": {"type": "json_schema"}}})", "text.format"},
      {R"({"input": "x", "tools": [{"type": "web_search"}]})", "tools[0]"},
      {R"({"input": "x", "temperature": 3})", "temperature"},
  };
  for (const auto& [body, param] : cases) {
    const json::value error = CallJson(kResponses, body, 400).at("error");
    EXPECT_EQ(error.at("param"), param) << body << json::serialize(error);
  }
  EXPECT_EQ(CallJson(kResponses, "", 405).at("error").at("code"), "method_not_allowed");
}

}  // namespace
}  // namespace shoal::api
