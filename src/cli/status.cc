// shoal status [URL]: what a running swarm does, for people or as JSON. Ends with 1 when a request
// would not be answered, so that scripts and health checks can ask.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/status_text.h"
#include "net/event_loop.h"

namespace shoal::cli {

namespace {

struct StatusFlags {
  RemoteFlags remote;
  bool as_json = false;
};

int RunStatus(const StatusFlags& flags) {
  const auto remote = Remote::From(flags.remote);
  if (!remote) return ReportUsage(remote.error().detail);
  net::EventLoop loop;
  const auto status = remote->Get(loop, "/status.json");
  if (!status) return ReportFailure(status.error());
  const auto summary = Summarise(*status, remote->url());
  if (!summary) return ReportFailure(summary.error());
  const std::string text = flags.as_json ? summary->json + "\n" : summary->text;
  std::fputs(text.c_str(), stdout);
  return summary->is_ready ? kDone : kFailed;
}

}  // namespace

void AddStatus(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("status", "say what a running swarm does");
  const auto flags = std::make_shared<StatusFlags>();
  AddRemoteFlags(*command, flags->remote);
  command->add_flag("--json", flags->as_json, "as /status.json has it");
  command->callback([flags, &exit_code] { exit_code = RunStatus(*flags); });
}

}  // namespace shoal::cli
