// Completions and the man page against what the help of each command says, and the tools that read
// them. Shells that are not installed are left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <regex>
#include <set>

#include "base/str_cat.h"
#include "cli/testing.h"
#include "packer/testing.h"

namespace shoal::cli {
namespace {

using testing::HasSubstr;

// What a command of the shell writes to stdout and stderr, and how it ends.
std::pair<int, std::string> Shell(const std::string& command) {
  std::string out;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  return {::pclose(pipe), out};
}

bool IsThere(const std::string& program) { return Shell("command -v " + program).first == 0; }

// The flags that `shoal COMMAND --help` lists.
std::set<std::string> FlagsInHelp(std::vector<std::string> command) {
  command.emplace_back("--help");
  const std::string help = RunShoal(command).out;
  std::set<std::string> flags;
  const std::regex flag(R"(\n  (-\w)?,?(--[a-z0-9-]+)?,?(--[a-z0-9-]+)?)");
  for (auto at = std::sregex_iterator(help.begin(), help.end(), flag); at != std::sregex_iterator();
       ++at) {
    for (const std::string& name : {(*at)[1].str(), (*at)[2].str(), (*at)[3].str()}) {
      if (!name.empty()) flags.insert(name);
    }
  }
  return flags;
}

const std::vector<std::vector<std::string>> kEveryCommand = {
    {"serve"},     {"join"}, {"status"}, {"chat"},  {"pack"}, {"plan"},
    {"simulate"},  {"eval"}, {"stage"},  {"bench"}, {"link"}, {"bench", "engine"},
    {"completion"}};

class TellCommandsTest : public testing::Test {
 protected:
  std::string Script(const std::string& shell) {
    const std::string path = (folder_.path() / ("completion." + shell)).string();
    packer::WriteText(path, RunShoal({"completion", shell}).out);
    return path;
  }
  // What bash offers behind these words.
  std::set<std::string> Bash(const std::vector<std::string>& words) {
    std::string line = "COMP_WORDS=(shoal";
    for (const std::string& word : words) line += " '" + word + "'";
    const auto [code, out] = Shell(StrCat("bash -c \"source ", Script("bash"), "; ", line,
                                          "); COMP_CWORD=", words.size(),
                                          "; _shoal; printf '%s\\n' \\\"\\${COMPREPLY[@]}\\\"\""));
    EXPECT_EQ(code, 0) << out;
    std::set<std::string> offered;
    for (size_t at = 0; at < out.size();) {
      const size_t end = out.find('\n', at);
      if (end > at) offered.insert(out.substr(at, end - at));
      at = end + 1;
    }
    return offered;
  }

  packer::ScratchFolder folder_;
};

TEST_F(TellCommandsTest, BashOffersWhatTheHelpSays) {
  const std::set<std::string> commands = Bash({""});
  for (const auto& command : kEveryCommand) {
    if (command.size() == 1) EXPECT_TRUE(commands.contains(command[0])) << command[0];
    std::vector<std::string> words = command;
    words.emplace_back("-");
    const std::set<std::string> flags = FlagsInHelp(command);
    EXPECT_GE(flags.size(), 2u);
    EXPECT_EQ(Bash(words), flags) << command.back();
  }
  EXPECT_EQ(Bash({"bench", ""}), std::set<std::string>{"engine"});
  EXPECT_EQ(Bash({"serve", "--hop", ""}), (std::set<std::string>{"f16", "f32"}));
  EXPECT_EQ(Bash({"serve", "x", "--hop", "f"}), (std::set<std::string>{"f16", "f32"}));
  EXPECT_EQ(Bash({"serve", "--api-key", ""}), std::set<std::string>{});
}

TEST_F(TellCommandsTest, OtherShellsReadTheirs) {
  for (const std::string shell : {"zsh", "fish"}) {
    const std::string text = RunShoal({"completion", shell}).out;
    for (const auto& command : kEveryCommand) EXPECT_THAT(text, HasSubstr(command.back()));
    if (!IsThere(shell)) continue;
    const auto [code, out] = Shell(StrCat(shell, " -n ", Script(shell)));
    EXPECT_EQ(code, 0) << out;
  }
  if (!IsThere("fish")) return;
  const auto [code, out] = Shell(StrCat("HOME=", folder_.path().string(), " fish -N -c 'source ",
                                        Script("fish"), "; complete -C \"shoal serve --we\"'"));
  EXPECT_EQ(code, 0) << out;
  EXPECT_THAT(out, HasSubstr("--weights"));
}

TEST_F(TellCommandsTest, ManPageHasEveryFlagAndVariable) {
  const std::string page = RunShoal({"man"}).out;
  const std::string plain = std::regex_replace(page, std::regex(R"(\\-)"), "-");
  for (const auto& command : kEveryCommand) {
    const size_t at = plain.find(StrCat("\n.SS shoal ", command[0], "\n"));
    ASSERT_NE(at, plain.npos) << command[0];
    const std::string section = plain.substr(at, plain.find("\n.SS ", at + 1) - at);
    if (command.size() > 1) continue;
    for (const std::string& flag : FlagsInHelp(command)) {
      if (flag == "-h" || flag == "--help") continue;
      EXPECT_THAT(section, HasSubstr(StrCat("\\fB", flag, "\\fR"))) << command[0];
    }
  }
  EXPECT_THAT(plain, HasSubstr("$SHOAL_MAX_ANSWERS"));
  if (!IsThere("groff")) return;
  packer::WriteText((folder_.path() / "shoal.1").string(), page);
  const auto [code, out] =
      Shell(StrCat("groff -man -Tutf8 -ww -z ", (folder_.path() / "shoal.1").string()));
  EXPECT_EQ(code, 0);
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace shoal::cli
