#include "cli/command.h"

#include <cstdio>
#include <iostream>

#include "base/str_cat.h"

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

int RunCommandLine(std::span<AddCommand* const> commands, int argc, const char* const* argv) {
  CLI::App app("Shoal: one language model over many browsers", "shoal");
  app.require_subcommand(1);
  app.set_version_flag("--version", "shoal 0.1.0");
  int exit_code = kDone;
  for (AddCommand* add : commands) add(app, exit_code);
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
