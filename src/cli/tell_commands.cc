// shoal completion SHELL, shoal man: the command line in the forms that shells and man(1) read.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/man_page.h"

namespace shoal::cli {

namespace {

std::string Completion(const std::string& shell, std::span<const CommandFacts> commands) {
  if (shell == "bash") return BashCompletion(commands);
  return shell == "zsh" ? ZshCompletion(commands) : FishCompletion(commands);
}

}  // namespace

void AddCompletion(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("completion", "print a shell's completion script");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &exit_code] {
    std::fputs(Completion(*shell, DescribeCommands(app)).c_str(), stdout);
    exit_code = kDone;
  });
}

void AddMan(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("man", "print the manual page, for man(1)");
  command->callback([&app, &exit_code] {
    std::fputs(ManPage(DescribeCommands(app)).c_str(), stdout);
    exit_code = kDone;
  });
}

}  // namespace shoal::cli
