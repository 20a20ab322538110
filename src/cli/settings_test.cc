// Settings: the file's language, and flag > environment > file > default.
#include "cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/settings_file.h"
#include "cli/testing.h"
#include "packer/testing.h"

namespace shoal::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SettingsFile, ReadsWhatItSays) {
  const auto settings = ParseSettings(R"(# first
[serve]
host = "0.0.0.0"  # to everybody
port=8080
exact = true
api-key = [ "a # b", # one
  'c\d,"e"', ]
[chat]
system = "say \"no\"\n\\"
empty = []
temperature = -0.5)");
  ASSERT_TRUE(settings) << settings.error().detail;
  std::map<std::string, std::vector<std::string>> found;
  for (const Setting& each : *settings) found[each.section + "." + each.name] = each.values;
  EXPECT_THAT(found["serve.host"], ElementsAre("0.0.0.0"));
  EXPECT_THAT(found["serve.port"], ElementsAre("8080"));
  EXPECT_THAT(found["serve.exact"], ElementsAre("true"));
  EXPECT_THAT(found["serve.api-key"], ElementsAre("a # b", "c\\d,\"e\""));
  EXPECT_THAT(found["chat.system"], ElementsAre("say \"no\"\n\\"));
  EXPECT_THAT(found["chat.empty"], ElementsAre());
  EXPECT_THAT(found["chat.temperature"], ElementsAre("-0.5"));
  EXPECT_EQ(found.size(), 7u);
  EXPECT_EQ(settings->back().line, 11u);
}

TEST(SettingsFile, NamesTheLineOfWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"host = \"x\"", "line 1: host stands before any section"},
      {"[serve\nhost", "line 1: expected a section"},
      {"[serve]\nhost", "line 2: expected = after host"},
      {"[serve]\n= 3", "line 2: expected NAME = VALUE"},
      {"[serve]\nhost = \n", "line 2: expected \"a string\""},
      {"[serve]\nhost = localhost", "line 2: expected \"a string\""},
      {"[serve]\nhost = \"local", "line 2: the closing \" is missing"},
      {"[serve]\nhost = 'local\n'", "line 2: the closing ' is missing"},
      {"[serve]\nhost = \"\\x\"", "line 2: of escapes"},
      {"[serve]\nhost = \"a\" b", "line 2: there is more"},
      {"[serve]\nhost = [\"a\" \"b\"]", "line 2: expected , or ]"},
      {"[serve]\nhost = [\"a\",", "line 2: expected \"a string\""},
      {"[serve]\nport = 1\n\nport = 2", "line 4: port is there twice"},
  };
  for (const auto& [text, detail] : cases) {
    const auto settings = ParseSettings(text);
    ASSERT_FALSE(settings) << text;
    EXPECT_THAT(settings.error().detail, HasSubstr(detail));
  }
}

// With commands of its own, so that nothing is run.
std::string g_told;  // What the command below was run with.

void AddTeller(CLI::App& app, int&) {
  CLI::App* command = app.add_subcommand("serve", "tell");
  struct Flags {
    std::string model;
    uint32_t port = 1;
    std::vector<std::string> keys;
    bool exact = false;
  };
  const auto flags = std::make_shared<Flags>();
  command->add_option("model", flags->model)->required();
  command->add_option("--port", flags->port);
  command->add_option("--api-key", flags->keys);
  command->add_flag("--exact", flags->exact);
  command->callback([flags] {
    g_told = StrCat(flags->model, " ", flags->port, " ", flags->exact);
    for (const std::string& key : flags->keys) g_told += " " + key;
  });
}

class SettingsTest : public testing::Test {
 protected:
  ~SettingsTest() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }
  void SetVariable(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  void WriteFile(const std::string& text) {
    const std::string path = (folder_.path() / "shoal.toml").string();
    packer::WriteText(path, text);
    SetVariable("SHOAL_CONFIG", path);
  }
  // The error, or what the command was run with.
  std::string Run(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "shoal");
    AddCommand* const commands[] = {AddTeller};
    g_told.clear();
    testing::internal::CaptureStderr();
    RunCommandLine(commands, static_cast<int>(arguments.size()), arguments.data());
    return testing::internal::GetCapturedStderr() + g_told;
  }

 private:
  packer::ScratchFolder folder_;
  std::vector<std::string> set_;
};

TEST_F(SettingsTest, TheNearerOneCounts) {
  WriteFile("[serve]\nmodel = \"m\"\nport = 2\nexact = true\napi-key = [\"k 1\", \"k#2\"]\n");
  EXPECT_EQ(Run({"serve"}), "m 2 true k 1 k#2");
  SetVariable("SHOAL_PORT", "3");
  EXPECT_EQ(Run({"serve"}), "m 3 true k 1 k#2");
  SetVariable("SHOAL_API_KEY", "[k3,k4]");
  EXPECT_EQ(Run({"serve"}), "m 3 true k3 k4");
  EXPECT_EQ(Run({"serve", "--port", "4", "x"}), "x 4 true k3 k4");
  SetVariable("SHOAL_CONFIG", "/dev/null");
  SetVariable("SHOAL_MODEL", "v");
  EXPECT_EQ(Run({"serve"}), "v 3 false k3 k4");
}

TEST_F(SettingsTest, AFileIsNamedBeforeOrBehindTheCommand) {
  packer::ScratchFolder folder;
  const std::string path = (folder.path() / "other.toml").string();
  packer::WriteText(path, "[serve]\nmodel = 'other'\n");
  WriteFile("[serve]\nmodel = 'm'\n");
  EXPECT_EQ(Run({"serve", "--config", path.c_str()}), "other 1 false");
  EXPECT_EQ(Run({"--config", path.c_str(), "serve"}), "other 1 false");
  EXPECT_THAT(Run({"serve", "--config", "/nowhere/at/all"}), HasSubstr("/nowhere/at/all"));
}

TEST_F(SettingsTest, WhatIsWrongInTheFileIsAnError) {
  const std::pair<const char*, const char*> cases[] = {
      {"[serve]\nprot = 3\n", "line 2: there is no prot in a section [serve]"},
      {"\n[srve]\nport = 3\n", "line 3: there is no port in a section [srve]"},
      {"[serve]\nhelp = true\n", "there is no help"},
      {"[serve]\nport = \"x\"\n", "x"},
      {"[serve]\nport = \n", "line 2"},
  };
  for (const auto& [text, detail] : cases) {
    WriteFile(text);
    const std::string told = Run({"serve", "x"});
    EXPECT_THAT(told, HasSubstr("shoal: "));
    EXPECT_THAT(told, HasSubstr(detail));
    EXPECT_EQ(g_told, "");
  }
}

TEST(Settings, EveryCommandWithSettingsIsThere) {
  int exit_code = 0;
  const auto app = BuildCommandLine(kCommands, exit_code);
  for (const std::string_view name : kCommandsWithSettings) {
    const CLI::App* command = app->get_subcommand(std::string(name));
    for (const CLI::Option* option : command->get_options()) {
      if (option == command->get_help_ptr()) continue;
      EXPECT_TRUE(option->get_envname().starts_with("SHOAL_")) << option->get_name();
    }
  }
  EXPECT_EQ(VariableOf("max-answers"), "SHOAL_MAX_ANSWERS");
}

}  // namespace
}  // namespace shoal::cli
