#include "coordinator/api/tools.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/str_cat.h"

namespace shoal::api {
namespace {

const std::vector<std::string> kNames = {"weather", "add"};

// However the text is cut into pieces, what comes of it is the same; given is one result.
ToolCallReader::Part Read(ToolForm form, std::string_view text) {
  std::vector<ToolCallReader::Part> results;
  for (size_t size = 1; size <= text.size() + 1; size += size < 20 ? 1 : 17) {
    ToolCallReader reader(form, kNames, "abcdef123");
    ToolCallReader::Part all;
    const auto add = [&](ToolCallReader::Part part) {
      all.text += part.text;
      for (ToolCall& call : part.calls) all.calls.push_back(std::move(call));
    };
    for (size_t at = 0; at < text.size(); at += size) add(reader.Push(text.substr(at, size)));
    add(reader.Flush());
    if (!results.empty()) {
      EXPECT_EQ(all.text, results[0].text) << "in pieces of " << size;
      EXPECT_EQ(all.calls.size(), results[0].calls.size()) << "in pieces of " << size;
    }
    results.push_back(std::move(all));
  }
  return results.at(0);
}

TEST(ToolCallReaderTest, ReadsTaggedCalls) {
  const auto part = Read(ToolForm::kTagged,
                         "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                         "{\"city\": \"Ulm <tool\"}}\n</tool_call>\n<tool_call>{\"name\":\"add\","
                         "\"arguments\":{\"a\":1,\"b\":[2]}}</tool_call>");
  EXPECT_EQ(part.text, "Let me see.\n\n");
  ASSERT_EQ(part.calls.size(), 2u);
  EXPECT_EQ(part.calls[0].name, "weather");
  EXPECT_EQ(part.calls[0].arguments, R"({"city":"Ulm <tool"})");
  EXPECT_EQ(part.calls[1].arguments, R"({"a":1,"b":[2]})");
  EXPECT_TRUE(part.calls[0].id.starts_with("call_"));
  EXPECT_NE(part.calls[0].id, part.calls[1].id);
}

TEST(ToolCallReaderTest, ReadsACallThatTheEndCutTheTagOff) {
  const auto part = Read(ToolForm::kTagged, "<tool_call>{\"name\": \"add\", \"arguments\": {}}");
  EXPECT_EQ(part.text, "");
  EXPECT_EQ(part.calls.size(), 1u);
}

TEST(ToolCallReaderTest, LosesNothingThatIsNoCall) {
  for (const char* text :
       {"no call at all", "a < b <tool", "<tool_call>{\"name\": \"add\", \"argum",
        "<tool_call>not json</tool_call> more",
        "<tool_call>{\"name\": \"delete_everything\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"add\", \"arguments\": \"x\"}</tool_call>",
        "<tool_call>[]</tool_call>", "<tool_call></tool_call>", "</tool_call>", "<<tool_call"}) {
    const auto part = Read(ToolForm::kTagged, text);
    EXPECT_EQ(part.text, text);
    EXPECT_TRUE(part.calls.empty()) << text;
  }
}

TEST(ToolCallReaderTest, ReadsALists) {
  const auto part =
      Read(ToolForm::kList,
           "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}, "
           "{\"name\": \"add\", \"arguments\": {}}]");
  EXPECT_EQ(part.text, "");
  ASSERT_EQ(part.calls.size(), 2u);
  for (const ToolCall& call : part.calls) EXPECT_EQ(call.id.size(), 9u) << call.id;
  EXPECT_EQ(Read(ToolForm::kList, "plain [TOOL text").text, "plain [TOOL text");
  EXPECT_EQ(Read(ToolForm::kList, "a [TOOL_CALLS] b").text, "a [TOOL_CALLS] b");
}

TEST(ToolCallReaderTest, ReadsBareJson) {
  const auto part =
      Read(ToolForm::kBareJson, " {\"name\": \"weather\", \"parameters\": {\"city\": \"Ulm\"}} ");
  EXPECT_EQ(part.text, "");
  ASSERT_EQ(part.calls.size(), 1u);
  EXPECT_EQ(part.calls[0].arguments, R"({"city":"Ulm"})");
  for (const char* text : {"Hello {\"name\": \"add\"}", "{\"a\": 1}", "{ not json", "", "  "}) {
    EXPECT_EQ(Read(ToolForm::kBareJson, text).text, text);
  }
}

TEST(ToolCallReaderTest, PassesEverythingOnWithoutTools) {
  EXPECT_EQ(Read(ToolForm::kNone, "<tool_call>{}</tool_call>").text, "<tool_call>{}</tool_call>");
}

TEST(ToolFormTest, IsToldByRealTemplates) {
  const auto form = [](const std::string& name) {
    std::ifstream file(StrCat(SHOAL_SOURCE_DIR "/tests/golden/chat_templates/", name, ".jinja"));
    EXPECT_TRUE(file) << name;
    std::ostringstream text;
    text << file.rdbuf();
    return ToolFormOf(text.str());
  };
  EXPECT_EQ(form("qwen2_5"), ToolForm::kTagged);
  EXPECT_EQ(form("qwen3"), ToolForm::kTagged);
  EXPECT_EQ(form("mistral_v3"), ToolForm::kList);
  EXPECT_EQ(ToolFormOf("{% for m in messages %}{{ m.content }}{% endfor %}"), ToolForm::kNone);
}

}  // namespace
}  // namespace shoal::api
