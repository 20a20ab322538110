// shoal join URL: lends this machine to a swarm, as a tab does. Prints what it is doing to stdout
// and ends after SIGTERM or SIGINT, when the coordinator knows.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/lending.h"
#include "cli/progress_bar.h"
#include "net/client.h"
#include "net/event_loop.h"
#include "net/http.h"
#include "volunteer/node.h"
#include "volunteer/probe.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

struct JoinFlags {
  std::string url;
  LendFlags lend;
  std::string join_secret;
  std::string ca_file;
  std::string cache;
  std::string cache_size = "64G";
};

// Where files are kept that can be fetched again: $CACHE_DIRECTORY (as systemd sets it),
// $XDG_CACHE_HOME/shoal, or ~/.cache/shoal.
fs::path DefaultCacheFolder() {
  const auto variable = [](const char* name) -> fs::path {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const fs::path cache = variable("CACHE_DIRECTORY"); !cache.empty()) return cache;
  if (const fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "shoal";
  return variable("HOME") / ".cache/shoal";
}

// The secret in the address that people are given, ".../lend#secret=SECRET", read as the page does.
Result<std::string> SecretOf(std::string_view url) {
  const size_t at = url.find('#');
  if (at == std::string_view::npos) return std::string();
  const auto fragment = net::ParseTarget(StrCat("/?", url.substr(at + 1)));
  if (!fragment) return FailWithContext(fragment.error(), "the address, behind its #");
  for (const auto& [name, value] : fragment->query) {
    if (name == "secret") return value;
  }
  return std::string();
}

// For people and scripts: a line for whatever changes.
class Teller {
 public:
  explicit Teller(std::string url) : url_(std::move(url)) {}

  void OnState(volunteer::NodeState state, const std::string& detail, uint32_t number) {
    switch (state) {
      case volunteer::NodeState::kConnecting:
        return;
      case volunteer::NodeState::kConnected:
        return Say("joined {} as volunteer {}", url_, number);
      case volunteer::NodeState::kReconnecting:
        return Say("not connected: {}", detail);
      case volunteer::NodeState::kRefused:
        refusal_ = detail;
        return;
      case volunteer::NodeState::kStopped:
        return Say("left: {}", detail);
    }
  }
  void OnProgress(const volunteer::LoadProgress& progress) {
    fetched_bytes_ = progress.bytes_fetched;
    if (!bar_) bar_ = std::make_unique<ProgressBar>();
    bar_->Show("loading", progress.bytes_done, progress.bytes_total);
  }
  void OnHolding(uint32_t first, uint32_t last, uint64_t bytes) {
    bar_ = nullptr;
    if (first == last) return Say("holding nothing; waiting for work");
    Say("holding blocks [{}, {}), {}, of which {} fetched", first, last, FormatSize(bytes),
        FormatSize(fetched_bytes_));
  }
  void OnProblem(const Error& error) {
    bar_ = nullptr;
    fmt::print(stderr, "shoal: {}\n", error.ToString());
  }
  // Empty while the coordinator has not refused us for good.
  const std::string& refusal() const { return refusal_; }

 private:
  template <typename... Parts>
  void Say(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::print("{}\n", fmt::format(format, std::forward<Parts>(parts)...));
    std::fflush(stdout);
  }

  const std::string url_;
  std::string refusal_;
  uint64_t fetched_bytes_ = 0;  // For what is held or being loaded.
  std::unique_ptr<ProgressBar> bar_;
};

Result<volunteer::NodeOptions> ResolveFlags(const JoinFlags& flags) {
  volunteer::NodeOptions options;
  RETURN_IF_ERROR(net::ParseUrl(flags.url));
  RETURN_IF_ERROR(ApplyLendFlags(flags.lend, options));
  ASSIGN_OR_RETURN(options.cache.bytes_max, ParseSize(flags.cache_size));
  ASSIGN_OR_RETURN(const std::string secret, SecretOf(flags.url));
  if (!secret.empty() && !flags.join_secret.empty() && secret != flags.join_secret) {
    return Fail(Code::kInvalidArgument, "the address and --join-secret name different secrets");
  }
  options.url = flags.url;
  options.join_secret = secret.empty() ? flags.join_secret : secret;
  options.ca_file = flags.ca_file;
  options.cache.folder = flags.cache.empty() ? DefaultCacheFolder() : fs::path(flags.cache);
  return options;
}

int RunJoin(const JoinFlags& flags) {
  auto options = ResolveFlags(flags);
  if (!options) return ReportUsage(options.error().detail);
  options->measures =
      volunteer::ProbeMeasures({.threads = options->threads, .exact = options->engine.exact});
  net::EventLoop loop;
  Teller teller(flags.url.substr(0, flags.url.find('#')));
  std::unique_ptr<volunteer::Node> node;
  auto started = volunteer::Node::Start(
      loop, *std::move(options),
      {.on_state =
           [&](volunteer::NodeState state, const std::string& detail) {
             teller.OnState(state, detail, node->number());
             if (state == volunteer::NodeState::kRefused) loop.Stop();
           },
       .on_progress = [&](const volunteer::LoadProgress& p) { teller.OnProgress(p); },
       .on_holding = [&](uint32_t first, uint32_t last,
                         uint64_t bytes) { teller.OnHolding(first, last, bytes); },
       .on_problem = [&](const Error& error) { teller.OnProblem(error); }});
  if (!started) return ReportFailure(started.error());
  node = *std::move(started);
  bool leaving = false;
  loop.OnTerminate([&](int) {
    if (leaving) return loop.Stop();  // Asked twice: at once.
    leaving = true;
    node->Leave("its owner ended it", [&] { loop.Stop(); });
  });
  loop.Run();
  if (!teller.refusal().empty()) return ReportFailure({Code::kPermissionDenied, teller.refusal()});
  const volunteer::NodeCounters& done = node->counters();
  fmt::print("computed {} rows in {} steps, {} tokens; {} received, {} sent\n", done.rows,
             done.steps, done.tokens, FormatSize(done.bytes_in), FormatSize(done.bytes_out));
  return kDone;
}

}  // namespace

void AddJoin(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("join", "lend this machine to a swarm");
  const auto flags = std::make_shared<JoinFlags>();
  flags->lend.memory = "4G";
  command->add_option("url", flags->url, "the coordinator's address, as shoal serve prints it")
      ->required();
  AddLendFlags(*command, flags->lend);
  command->add_option("--memory", flags->lend.memory, "lent for weights and KV, such as 4G")
      ->capture_default_str();
  command->add_option("--join-secret", flags->join_secret, "of a private swarm")
      ->envname("SHOAL_JOIN_SECRET");
  command->add_option("--ca", flags->ca_file,
                      "PEM file of the certificates to trust, such as the server's own");
  command->add_option("--cache", flags->cache, "folder for what was fetched");
  command->add_option("--cache-size", flags->cache_size, "how large it may grow")
      ->capture_default_str();
  command->callback([flags, &exit_code] { exit_code = RunJoin(*flags); });
}

}  // namespace shoal::cli
