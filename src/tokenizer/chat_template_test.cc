// Chat templates against Jinja2 itself (tests/golden/chat_templates, written by generate.py there).
#include "tokenizer/chat_template.h"

#include <ctime>

#include "tokenizer/test_files.h"

namespace shoal::tokenizer {
namespace {

// The clock of generate.py: Friday, 7 March 2025, 14:05:09.
std::tm GoldenNow() {
  std::tm now{};
  now.tm_year = 2025 - 1900;
  now.tm_mon = 2;
  now.tm_mday = 7;
  now.tm_hour = 14;
  now.tm_min = 5;
  now.tm_sec = 9;
  now.tm_wday = 5;
  now.tm_yday = 65;
  now.tm_isdst = -1;
  return now;
}

Result<std::string> Render(const std::string& text, boost::json::object variables) {
  ASSIGN_OR_RETURN(const ChatTemplate chat_template, ChatTemplate::Load(text));
  const boost::json::array no_messages;
  ChatInput input{.messages = no_messages,
                  .add_generation_prompt = false,
                  .variables = std::move(variables),
                  .clock = GoldenNow};
  return chat_template.Render(input);
}

// `expected` has "text", or "error": a message that the template raises, or null for any failure.
void Check(const Result<std::string>& got, const boost::json::object& expected,
           const std::string& what) {
  if (const auto* text = expected.if_contains("text")) {
    ASSERT_TRUE(got) << what << "\n" << got.error().ToString();
    EXPECT_EQ(*got, TextOf(*text)) << what;
    return;
  }
  ASSERT_FALSE(got) << what << "\ngave " << *got;
  EXPECT_TRUE(got.error().detail.contains("line ")) << what << "\n" << got.error().ToString();
  if (!expected.at("error").is_null()) {
    EXPECT_EQ(got.error().code, Code::kInvalidArgument) << what;
    EXPECT_TRUE(got.error().detail.ends_with(TextOf(expected.at("error"))))
        << what << "\n"
        << got.error().ToString();
  }
}

TEST(ChatTemplate, SnippetsGiveWhatJinja2Gives) {
  const auto variables = boost::json::parse(ReadTestFile("chat_templates/snippet_variables.json"));
  const auto snippets = boost::json::parse(ReadTestFile("chat_templates/snippets.json"));
  ASSERT_GT(snippets.as_array().size(), 300u);
  for (const auto& snippet : snippets.as_array()) {
    const std::string text = TextOf(snippet.at("template"));
    Check(Render(text, variables.as_object()), snippet.as_object(), text);
  }
}

TEST(ChatTemplate, ModelsTemplatesGiveWhatJinja2Gives) {
  std::map<std::string, boost::json::object> conversations;
  const auto list = boost::json::parse(ReadTestFile("chat_templates/conversations.json"));
  for (const auto& conversation : list.as_array()) {
    conversations[TextOf(conversation.at("name"))] = conversation.at("variables").as_object();
  }
  const auto expected = boost::json::parse(ReadTestFile("chat_templates/expected.json"));
  ASSERT_GT(expected.as_array().size(), 500u);
  for (const auto& row : expected.as_array()) {
    const std::string name = TextOf(row.at("template"));
    const std::string conversation = TextOf(row.at("conversation"));
    Check(Render(ReadTestFile("chat_templates/" + name), conversations.at(conversation)),
          row.as_object(), name + " over " + conversation);
  }
}

}  // namespace
}  // namespace shoal::tokenizer
