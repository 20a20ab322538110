#include "cli/command.h"

#include <cstdio>
#include <iostream>

#include "base/str_cat.h"
#include "cli/settings.h"
#include "cli/version.h"

namespace shoal::cli {

namespace {
int Print(std::string_view message, int exit_code) {
  const std::string line = StrCat("shoal: ", message, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  return exit_code;
}
}  // namespace

int ReportFailure(const Error& error) { return Print(error.detail, kFailed); }

int ReportUsage(std::string_view message) { return Print(message, kUsage); }

std::unique_ptr<CLI::App> BuildCommandLine(std::span<AddCommand* const> commands, int& exit_code) {
  auto app = std::make_unique<CLI::App>("Shoal: one language model over many browsers", "shoal");
  app->require_subcommand(1);
  app->set_version_flag("--version", StrCat("shoal ", kVersion), "print the version");
  app->get_help_ptr()->description("print this help");
  for (AddCommand* add : commands) add(*app, exit_code);
  for (CLI::App* command : app->get_subcommands({})) {
    command->get_help_ptr()->description("print this help");
  }
  AddSettings(*app);
  return app;
}

int RunCommandLine(std::span<AddCommand* const> commands, int argc, const char* const* argv) {
  int exit_code = kDone;
  const std::unique_ptr<CLI::App> built = BuildCommandLine(commands, exit_code);
  CLI::App& app = *built;
  if (argc > 1 && argv[1][0] != '-') {
    const std::string chosen = argv[1];
    const auto known =
        app.get_subcommands([&](CLI::App* one) { return one->get_name() == chosen; });
    if (known.empty()) {
      return ReportUsage(StrCat("no subcommand \"", chosen, "\"; see shoal --help"));
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(StrCat(error.what(), "; see shoal --help"));
  }
  return exit_code;
}

}  // namespace shoal::cli
