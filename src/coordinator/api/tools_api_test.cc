// Tools through the whole API: offered to a real template, called in a real form.
#include <gtest/gtest.h>

#include <string>

#include "coordinator/api/test_api.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr const char* kWeather =
    R"({"type": "function", "function": {"name": "get_weather", "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})";

class ToolsTest : public ApiTest {
 protected:
  void ServeTemplate(const std::string& text) {
    auto loaded = tokenizer::ChatTemplate::Load(text);
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    template_.emplace(*std::move(loaded));
    facts_.tool_form = ToolFormOf(text);
    facts_.context_tokens = 4096;
    Serve(tokenizer_.get(), &*template_);
  }
  void ServeQwen() {
    ServeTemplate(ReadFile(SHOAL_SOURCE_DIR "/tests/golden/chat_templates/qwen2_5.jinja"));
  }
  static std::string Body(const std::string& more = "") {
    return StrCat(R"({"messages": [{"role": "user", "content": "How is the weather in Ulm?"}],
                      "tools": [)",
                  kWeather, "]", more, "}");
  }
  std::string LastPrompt() const {
    return tokenizer_->Decode(generator_.started.back().prompt, /*skip_special=*/false);
  }

  std::optional<tokenizer::ChatTemplate> template_;
};

TEST_F(ToolsTest, OffersToolsAndGivesTheCall) {
  ServeQwen();
  Script(kCall);
  const json::value answer = CallJson(kChat, Body());
  EXPECT_NE(LastPrompt().find("\"name\": \"get_weather\""), std::string::npos) << LastPrompt();
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  const json::array& calls = choice.at("message").at("tool_calls").as_array();
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].at("type"), "function");
  EXPECT_EQ(calls[0].at("function").at("name"), "get_weather");
  EXPECT_EQ(calls[0].at("function").at("arguments"), R"({"city":"Ulm"})");
  EXPECT_TRUE(calls[0].at("id").as_string().starts_with("call_"));
}

TEST_F(ToolsTest, StreamsTextAndThenCalls) {
  ServeQwen();
  Script(StrCat("I look. ", kCall, kCall));
  const auto events = CallStream(kChat, Body(R"(, "stream": true)"));
  std::string text;
  std::vector<json::value> calls;
  for (const json::value& event : events) {
    if (!event.is_object()) continue;
    const json::object& delta = event.at("choices").at(0).at("delta").as_object();
    if (delta.contains("content")) text += std::string_view(delta.at("content").as_string());
    if (!delta.contains("tool_calls")) continue;
    for (const json::value& call : delta.at("tool_calls").as_array()) calls.push_back(call);
  }
  EXPECT_EQ(text, "I look. ");
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].at("index"), 0);
  EXPECT_EQ(calls[1].at("index"), 1);
  EXPECT_NE(calls[0].at("id"), calls[1].at("id"));
  EXPECT_EQ(events[events.size() - 2].at("choices").at(0).at("finish_reason"), "tool_calls");
}

TEST_F(ToolsTest, GoesOnAfterACall) {
  ServeQwen();
  Script("Fine.");
  const std::string conversation = StrCat(
      R"({"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant",
          "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function":
          {"name": "get_weather", "arguments": "{\"city\": \"Ulm\"}"}}]},
          {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}], "tools": [)",
      kWeather, "]}");
  const json::value answer = CallJson(kChat, conversation);
  // The arguments as an object of their own, not as a string within the JSON.
  EXPECT_NE(LastPrompt().find(R"("arguments": {"city": "Ulm"}})"), std::string::npos)
      << LastPrompt();
  EXPECT_NE(LastPrompt().find("<tool_response>\nsunny"), std::string::npos);
  EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "Fine.");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "stop");
  // Templates that paste the arguments get them as text.
  ServeTemplate(
      "{% if tools %}<tool_call>{% endif %}{% for m in messages %}{% if m.tool_calls %}"
      "{{ 'CALL ' + m.tool_calls[0].function.arguments }}{% endif %}{% endfor %}");
  CallJson(kChat, conversation);
  EXPECT_NE(LastPrompt().find(R"(CALL {"city":"Ulm"})"), std::string::npos) << LastPrompt();
}

TEST_F(ToolsTest, KeepsToolChoiceAndParallelCalls) {
  ServeQwen();
  Script(kCall);
  const json::value none = CallJson(kChat, Body(R"(, "tool_choice": "none")"));
  EXPECT_EQ(LastPrompt().find("get_weather"), std::string::npos);
  EXPECT_EQ(none.at("choices").at(0).at("message").at("content"), kCall);
  EXPECT_EQ(none.at("choices").at(0).at("finish_reason"), "stop");
  Script(StrCat(kCall, kCall));
  const json::value one = CallJson(kChat, Body(R"(, "parallel_tool_calls": false)"));
  EXPECT_EQ(one.at("choices").at(0).at("message").at("tool_calls").as_array().size(), 1u);
  EXPECT_EQ(one.at("choices").at(0).at("finish_reason"), "tool_calls");
  EXPECT_EQ(generator_.cancelled.size(), 1u);  // Nobody waits for the second.
}

TEST_F(ToolsTest, MakesTheModelCall) {
  ServeQwen();
  // What the grammar leaves of the vocabulary is what grammar/ is tested for; here it is written.
  Script(R"({"name": "get_weather", "arguments": {"city": "Ulm"}})");
  for (const char* choice :
       {R"("required")", R"({"type": "function", "function": {"name": "get_weather"}})"}) {
    const json::value answer = CallJson(kChat, Body(StrCat(R"(, "tool_choice": )", choice)));
    EXPECT_TRUE(LastPrompt().ends_with("assistant\n<tool_call>\n")) << LastPrompt();
    const json::value& message = answer.at("choices").at(0).at("message");
    EXPECT_TRUE(message.at("content").is_null());
    EXPECT_EQ(message.at("tool_calls").at(0).at("function").at("name"), "get_weather");
    EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "tool_calls");
    // At the beginning only what can begin a call.
    const auto allowed = generator_.started.back().allowed;
    ASSERT_TRUE(static_cast<bool>(allowed));
    const auto mask = allowed({});
    const auto is_allowed = [&](std::string_view text) {
      const auto id = static_cast<size_t>(Ids(text)[0]);
      return (mask[id / 8] >> (id % 8) & 1) != 0;
    };
    EXPECT_TRUE(is_allowed("{"));
    EXPECT_FALSE(is_allowed("I"));
  }
  // Cut before its end: what there is, as text.
  const json::value cut = CallJson(kChat, Body(R"(, "tool_choice": "required", "max_tokens": 3)"));
  EXPECT_EQ(cut.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_TRUE(cut.at("choices").at(0).at("message").at("content").as_string().starts_with("{"));
}

TEST_F(ToolsTest, RefusesWhatItCannotKeep) {
  ServeQwen();
  for (const auto& [more, param] :
       {std::pair(R"(, "tool_choice": "always")", "tool_choice"),
        std::pair(R"(, "tool_choice": {"type": "function", "function": {"name": "fly"}})",
                  "tool_choice"),
        std::pair(R"(, "tool_choice": "required", "ignore_eos": true)", "tool_choice"),
        std::pair(R"(, "tool_choice": {"type": "function"})", "tool_choice"),
        std::pair(R"(, "tools": [{"type": "function"}])", "tools[0]"),
        std::pair(R"(, "tools": [{"function": {"name": "x"}}])", "tools[0]"),
        std::pair(R"(, "tools": [{"type": "function", "function": {"name": "a b"}}])",
                  "tools[0].function.name")}) {
    std::string body = Body(more);
    if (std::string_view(more).find("tools") != std::string_view::npos) {
      body = StrCat(R"({"messages": [{"role": "user", "content": "x"}])", more, "}");
    }
    EXPECT_EQ(CallJson(kChat, body, 400).at("error").at("param"), param) << more;
  }
  const char* bad_call =
      R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x",
          "arguments": "[1]"}}]}]})";
  EXPECT_EQ(CallJson(kChat, bad_call, 400).at("error").at("param"), "messages[0].tool_calls");
  // A template that knows no tools would drop them silently.
  facts_.tool_form = ToolForm::kNone;
  Serve(tokenizer_.get(), &*chat_template_);
  EXPECT_EQ(CallJson(kChat, Body(), 400).at("error").at("param"), "tools");
}

}  // namespace
}  // namespace shoal::api
