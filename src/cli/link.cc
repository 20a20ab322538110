// shoal link: an emulated network in front of an address, for tests and experiments. Prints where
// it listens; ends after SIGTERM or SIGINT and says what went through.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/link_control.h"
#include "net/client.h"
#include "net/event_loop.h"
#include "net/link_proxy.h"
#include "net/server.h"

namespace shoal::cli {

namespace {

struct LinkFlags {
  std::string listen = "127.0.0.1:0";
  std::string to;
  std::string control;
  std::string delay = "0";
  std::string jitter = "0";
  std::string rate = "0";
  std::string loss = "0";
  std::string retransmit = "200ms";
  std::string buffer = "4M";
  uint64_t seed = 0;
};

// "HOST:PORT"; a port of 0 is any free one, and only for listening.
Result<std::pair<std::string, uint16_t>> ParseEndpoint(const std::string& text, bool is_target) {
  const size_t colon = text.rfind(':');
  const std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (!is_target && !host.empty() && text.substr(colon) == ":0") return std::pair(host, 0);
  const auto url = net::ParseUrl(StrCat("http://", text, "/"));
  if (host.empty() || !url) {
    return Fail(Code::kInvalidArgument, StrCat("\"", text, "\" is not HOST:PORT"));
  }
  return std::pair(url->host, url->port);
}

Result<net::LinkProxyOptions> ResolveFlags(const LinkFlags& flags) {
  net::LinkProxyOptions options;
  ASSIGN_OR_RETURN(std::tie(options.host, options.port), ParseEndpoint(flags.listen, false));
  ASSIGN_OR_RETURN(std::tie(options.to_host, options.to_port), ParseEndpoint(flags.to, true));
  ASSIGN_OR_RETURN(options.buffer_bytes, ParseSize(flags.buffer));
  if (options.buffer_bytes < 4096) return Fail(Code::kInvalidArgument, "--buffer is at least 4K");
  TraitsOfWays traits;
  for (const auto& [name, value] : {std::pair("delay", &flags.delay),
                                    {"jitter", &flags.jitter},
                                    {"rate", &flags.rate},
                                    {"loss", &flags.loss},
                                    {"retransmit", &flags.retransmit}}) {
    RETURN_IF_ERROR(SetLinkTrait(traits, name, *value));
  }
  std::tie(options.up, options.down) = traits;
  options.seed = flags.seed;
  return options;
}

Result<std::unique_ptr<net::Server>> ListenForControl(net::EventLoop& loop,
                                                      const std::string& address,
                                                      net::LinkProxy& proxy) {
  if (address.empty()) return nullptr;
  net::ServerOptions options;
  ASSIGN_OR_RETURN(std::tie(options.host, options.port), ParseEndpoint(address, false));
  return net::Server::Listen(loop, std::move(options),
                             [&proxy](net::Request request, net::Responder responder) {
                               responder.Send(AnswerLinkControl(proxy, request));
                             });
}

int RunLink(const LinkFlags& flags) {
  auto options = ResolveFlags(flags);
  if (!options) return ReportUsage(options.error().detail);
  const std::string host = options->host;
  net::EventLoop loop;
  auto proxy = net::LinkProxy::Listen(loop, *std::move(options));
  if (!proxy) return ReportFailure(proxy.error());
  auto control = ListenForControl(loop, flags.control, **proxy);
  if (!control) return ReportFailure(control.error());
  if (*control) {
    const std::string where = flags.control.substr(0, flags.control.rfind(':'));
    fmt::print("control on http://{}:{}\n", where, (*control)->port());
  }
  fmt::print("listening on {}:{}\n", host, (*proxy)->port());
  std::fflush(stdout);
  loop.OnTerminate([&loop](int) { loop.Stop(); });
  loop.Run();
  const net::LinkCounters counters = (*proxy)->counters();
  fmt::print("{} connections; {} up, {} down\n", counters.accepted, FormatSize(counters.bytes[0]),
             FormatSize(counters.bytes[1]));
  return kDone;
}

}  // namespace

void AddLink(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("link", "emulate a network in front of an address");
  const auto flags = std::make_shared<LinkFlags>();
  command->add_option("--listen", flags->listen, "HOST:PORT; port 0 takes a free one")
      ->capture_default_str();
  command->add_option("--to", flags->to, "HOST:PORT that it leads to")->required();
  command->add_option("--delay", flags->delay, "one way, such as 20ms; UP/DOWN for two values");
  command->add_option("--jitter", flags->jitter, "up to this much more for each packet");
  command->add_option("--rate", flags->rate, "bits a second, such as 20M or 5M/50M");
  command->add_option("--stall,--loss", flags->loss,
                      "share of packets that are lost, and stall what follows, such as 0.5%");
  command
      ->add_option("--retransmit", flags->retransmit,
                   "how long after a round trip a lost packet comes")
      ->capture_default_str();
  command->add_option("--buffer", flags->buffer, "of one connection and direction, on its way")
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of jitter and losses")->capture_default_str();
  command->add_option("--control", flags->control, "HOST:PORT where HTTP steers it: docs/links.md");
  command->callback([flags, &exit_code] { exit_code = RunLink(*flags); });
}

}  // namespace shoal::cli
