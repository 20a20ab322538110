// shoal serve MODEL: the coordinator. Prints "listening on URL" when it is ready, and how else it
// can be reached; logs to stderr, and ends after SIGTERM or SIGINT when what runs has been
// finished.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/serve_flags.h"
#include "cli/served_pack.h"
#include "coordinator/coordinator.h"
#include "net/address.h"
#include "net/event_loop.h"
#include "volunteer/node.h"
#include "volunteer/probe.h"

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

// Every connection is a descriptor, and the usual limit of 1,024 is for interactive programs.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string UrlOf(const std::string& host, uint16_t port, bool is_secure) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}", is_secure ? "https" : "http", is_ipv6 ? "[" + host + "]" : host,
                     port);
}

// For programs the first line, for people the others.
void PrintWhereToFindIt(const ServePlan& plan, uint16_t port) {
  const CoordinatorOptions& options = plan.options;
  const bool is_secure = !options.tls_certificate.empty();
  const bool is_every = options.host == "0.0.0.0" || options.host == "::";
  fmt::print("listening on {}\n", UrlOf(options.host, port, is_secure));
  std::string url = UrlOf(options.host, port, is_secure);
  if (is_every) {
    for (const std::string& address : net::LocalAddresses()) {
      if (options.host == "0.0.0.0" && address.find(':') != std::string::npos) continue;
      url = UrlOf(address, port, is_secure);
      fmt::print("  {}\n", url);
    }
  }
  if (!options.join_secret.empty()) {
    fmt::print("this swarm is private: people lend at {}/lend#secret=SECRET\n", url);
  }
  if (!options.api_keys.empty()) fmt::print("the API asks for a key\n");
  if (!plan.fingerprint.empty()) {
    fmt::print(
        "browsers will warn of this server's own certificate; its SHA-256 fingerprint is\n"
        "  {}\n",
        plan.fingerprint);
  }
  std::fflush(stdout);
}

// This machine as its own server's volunteer, as any other one but in this process.
Result<std::unique_ptr<volunteer::Node>> StartLender(net::EventLoop& loop,
                                                     volunteer::NodeOptions options,
                                                     uint16_t port) {
  options.url = UrlOf("127.0.0.1", port, false);
  options.measures =
      volunteer::ProbeMeasures({.threads = options.threads, .exact = options.engine.exact});
  return volunteer::Node::Start(
      loop, std::move(options),
      {.on_state =
           [](volunteer::NodeState state, const std::string& detail) {
             if (state == volunteer::NodeState::kRefused) {
               spdlog::error("this server cannot lend itself: {}", detail);
             } else if (!detail.empty()) {
               spdlog::info("this server's own volunteer: {}", detail);
             }
           },
       .on_problem =
           [](const Error& error) {
             spdlog::warn("this server's own volunteer: {}", error.ToString());
           }});
}

// What `flags` name as the model, packed if need be. In a log every tenth of the work is a line.
Result<fs::path> ProvidePack(const ServeFlags& flags) {
  ProgressBar bar;
  uint64_t tenths_told = 0;
  ServedPackOptions options;
  options.model = flags.model;
  options.data = DataFolder(flags);
  options.weights = flags.options.weights.empty() ? "q4" : flags.options.weights;
  options.on_packing = [](const std::string& line) { spdlog::info("{}", line); };
  options.on_progress = [&](std::string_view what, uint64_t done_bytes, uint64_t total_bytes) {
    bar.Show(what, done_bytes, total_bytes);
    const uint64_t tenths =
        total_bytes == 0 ? 10 : done_bytes / std::max<uint64_t>(1, total_bytes / 10);
    if (bar.is_drawn() || tenths == tenths_told) return;
    tenths_told = tenths;
    spdlog::info("{}: {} %", what, std::min<uint64_t>(100, 10 * tenths));
  };
  return PackToServe(options);
}

int RunServe(ServeFlags flags) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("shoal"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  RaiseDescriptorLimit();
  auto pack = ProvidePack(flags);
  if (!pack) return ReportFailure(pack.error());
  flags.options.pack = *std::move(pack);
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const auto plan = ResolveServeFlags(flags, now);
  if (!plan) return ReportFailure(plan.error());
  const CoordinatorOptions& options = plan->options;
  if (options.pages.empty()) spdlog::warn("the pages have not been built: only the API is served");
  net::EventLoop loop;
  auto coordinator = Coordinator::Start(loop, options);
  if (!coordinator) return ReportFailure(coordinator.error());
  std::unique_ptr<volunteer::Node> lender;
  if (plan->lender) {
    auto started = StartLender(loop, *plan->lender, (*coordinator)->loopback_port());
    if (!started) return ReportFailure(started.error());
    lender = *std::move(started);
  }
  bool stopping = false;
  loop.OnTerminate([&](int) {
    if (stopping) return loop.Stop();  // Asked twice: at once.
    stopping = true;
    (*coordinator)->Stop([&] { loop.Stop(); });
  });
  PrintWhereToFindIt(*plan, (*coordinator)->port());
  loop.Run();
  return kDone;
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("serve", "serve a model to volunteers, people and clients");
  const auto flags = std::make_shared<ServeFlags>();
  flags->options.pages = FindPages();
  AddServeFlags(*command, *flags);
  command->callback([flags, &exit_code] { exit_code = RunServe(*flags); });
}

}  // namespace shoal::cli
