// response_format through the whole API, with a generator that draws any token it is allowed to.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "coordinator/api/test_api.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

class ResponseFormatTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    facts_.context_tokens = 2048;
    Serve(tokenizer_.get(), &*chat_template_);
    generator_.script = [this](const GenerationRequest& request) {
      // Asked again for every token: the answer stays the same.
      std::vector<int32_t>& tokens = answers_[request.sampling.choice];
      if (!tokens.empty()) return tokens;
      std::mt19937 random(request.sampling.choice);
      while (tokens.size() < request.max_tokens) {
        EXPECT_TRUE(request.allowed) << "nothing is asked for";
        if (!request.allowed) break;
        const std::vector<uint8_t> mask = request.allowed(tokens);
        std::vector<int32_t> allowed;
        for (uint32_t id = 0; id < facts_.vocab_size; ++id) {
          if ((mask.at(id / 8) >> id % 8 & 1) != 0) allowed.push_back(static_cast<int32_t>(id));
        }
        if (allowed.empty()) break;
        tokens.push_back(allowed[random() % allowed.size()]);
        if (tokens.back() == facts_.end_ids[0]) break;
      }
      return tokens;
    };
  }
  static std::string Body(const std::string& format, const std::string& more = "") {
    return StrCat(R"({"messages": [{"role": "user", "content": "A fox, please."}],
                      "response_format": )",
                  format, more, "}");
  }

  std::map<uint32_t, std::vector<int32_t>> answers_;  // By choice.
};

constexpr const char* kAnimal = R"({"type": "json_schema", "json_schema": {"name": "animal",
    "strict": true, "schema": {"type": "object", "properties": {
      "kind": {"enum": ["fox", "dragon"]}, "legs": {"type": "integer"},
      "name": {"type": "string", "maxLength": 10}},
    "required": ["kind", "legs", "name"], "additionalProperties": false}}})";

TEST_F(ResponseFormatTest, AnswersFulfilTheSchema) {
  const json::value answer = CallJson(kChat, Body(kAnimal, R"(, "n": 8)"));
  for (const json::value& choice : answer.at("choices").as_array()) {
    ASSERT_EQ(choice.at("finish_reason"), "stop");
    const json::string& text = choice.at("message").at("content").as_string();
    json::error_code error;
    const json::value animal = json::parse(text, error);
    ASSERT_FALSE(error) << text;
    EXPECT_EQ(animal.as_object().size(), 3u);
    EXPECT_TRUE(animal.at("kind") == "fox" || animal.at("kind") == "dragon");
    EXPECT_TRUE(animal.at("legs").is_number());
    EXPECT_TRUE(animal.at("name").is_string());
  }
}

TEST_F(ResponseFormatTest, LeavesOthersAlone) {
  Script("Once");
  for (const char* format : {R"({"type": "text"})", "null"}) {
    const json::value answer = CallJson(kChat, Body(format));
    EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "Once");
    EXPECT_FALSE(generator_.started.back().allowed);
  }
}

TEST_F(ResponseFormatTest, SaysWhatItCannotKeep) {
  const auto param_and_message = [&](const std::string& body) {
    const json::value error = CallJson(kChat, body, 400).at("error");
    return StrCat(std::string_view(error.at("param").as_string()), ": ",
                  std::string_view(error.at("message").as_string()));
  };
  for (const char* format :
       {R"({"type": "xml"})", R"({"type": "json_schema"})", R"({"type": "json_schema",
        "json_schema": {"name": "x"}})",
        R"({"type": "json_schema", "json_schema": {"name": "x",
        "schema": {"type": "string", "pattern": "a"}}})"}) {
    EXPECT_TRUE(param_and_message(Body(format)).starts_with("response_format: ")) << format;
  }
  EXPECT_NE(param_and_message(Body(R"({"type": "json_schema", "json_schema": {"name": "x",
      "schema": {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 3}}}}})"))
                .find("properties.a.multipleOf"),
            std::string::npos);
  EXPECT_NE(param_and_message(Body(kAnimal, R"(, "ignore_eos": true)")).find("ignore_eos"),
            std::string::npos);
  EXPECT_EQ(CallJson("/v1/completions", R"({"prompt": "x", "response_format":
                     {"type": "json_object"}})",
                     400)
                .at("error")
                .at("param"),
            "response_format");
}

}  // namespace
}  // namespace shoal::api
