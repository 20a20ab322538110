// shoal serve PACK: the coordinator. Prints "listening on http://HOST:PORT" when it is ready, logs
// to stderr, and ends after SIGTERM or SIGINT when what runs has been finished.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "coordinator/coordinator.h"
#include "net/event_loop.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

// The built pages: beside an installed binary, or in the source tree that it was built in.
fs::path FindPages() {
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const fs::path folder = binary.parent_path();
  for (const fs::path& pages : {folder / "../share/shoal/web", folder / "../../web/dist"}) {
    if (fs::exists(pages / "index.html", error)) return fs::weakly_canonical(pages, error);
  }
  return {};
}

int RunServe(const CoordinatorOptions& options) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("shoal"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  if (options.pages.empty()) spdlog::warn("the pages have not been built: only the API is served");
  net::EventLoop loop;
  auto coordinator = Coordinator::Start(loop, options);
  if (!coordinator) return ReportFailure(coordinator.error());
  bool stopping = false;
  loop.OnTerminate([&](int) {
    if (stopping) return loop.Stop();  // Asked twice: at once.
    stopping = true;
    (*coordinator)->Stop([&] { loop.Stop(); });
  });
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  fmt::print("listening on http://{}:{}\n", is_ipv6 ? "[" + options.host + "]" : options.host,
             (*coordinator)->port());
  std::fflush(stdout);
  loop.Run();
  return kDone;
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "serve a pack to volunteers, people and clients");
  const auto options = std::make_shared<CoordinatorOptions>();
  options->pages = FindPages();
  const auto hop = std::make_shared<std::string>("f32");
  command->add_option("pack", options->pack, "the pack's folder")->required();
  command->add_option("--host", options->host, "the address to listen on")->capture_default_str();
  command->add_option("--port", options->port, "the port; 0: any free one")->capture_default_str();
  command
      ->add_option("--stages", options->stages_min,
                   "at least so many stages, on as many volunteers")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  command->add_option("--context", options->positions,
                      "longest context served; default: the model's, at most 8192");
  command->add_option("--hop", *hop, "precision of hidden states on the network")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->capture_default_str();
  command->add_option("--pages", options->pages, "the folder of the built pages");
  command->add_option("--trace", options->trace, "append the trace to this file");
  command->callback([options, hop, &exit_code] {
    options->f16_hops = *hop == "f16";
    exit_code = RunServe(*options);
  });
}

}  // namespace shoal::cli
