#include "cli/serve_flags.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/str_cat.h"
#include "net/address.h"
#include "net/self_signed.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kSecretFileBytes = 64u << 10;
constexpr size_t kSecretBytesMax = 512;
constexpr size_t kSecretBytesShort = 16;

// A whole small file. Others than its owner being able to read it deserves a warning.
Result<std::string> ReadSecretFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Fail(Code::kNotFound, StrCat("cannot read ", path));
  std::string text(kSecretFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kSecretFileBytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(path, " is larger than ", kSecretFileBytes, " bytes"));
  }
  std::error_code error;
  const fs::perms others = fs::perms::group_read | fs::perms::others_read;
  if ((fs::status(path, error).permissions() & others) != fs::perms::none) {
    spdlog::warn("{} can be read by others: chmod 600 {}", path, path);
  }
  return text;
}

Result<std::string> ReadJoinSecret(const ServeFlags& flags) {
  std::string secret = flags.options.join_secret;
  if (!flags.join_secret_file.empty()) {
    ASSIGN_OR_RETURN(secret, ReadSecretFile(flags.join_secret_file));
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
    if (secret.empty()) {
      return Fail(Code::kInvalidArgument, StrCat(flags.join_secret_file, " is empty"));
    }
  }
  if (secret.size() > kSecretBytesMax) {
    return Fail(Code::kInvalidArgument,
                StrCat("the join secret may have at most ", kSecretBytesMax, " bytes"));
  }
  if (!secret.empty() && secret.size() < kSecretBytesShort) {
    spdlog::warn("the join secret is short: {} characters or more are hard to guess",
                 kSecretBytesShort);
  }
  return secret;
}

Result<ApiKeys> ReadApiKeys(const ServeFlags& flags) {
  ApiKeys keys;
  for (const std::string& key : flags.api_keys) RETURN_IF_ERROR(keys.Add("", key));
  if (flags.api_key_file.empty()) return keys;
  ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(flags.api_key_file));
  if (Status added = keys.AddLines(text); !added) {
    return FailWithContext(added.error(), flags.api_key_file);
  }
  if (keys.empty()) {
    return Fail(Code::kInvalidArgument, StrCat(flags.api_key_file, " has no key"));
  }
  return keys;
}

// What people may reach this server by.
std::vector<std::string> CertificateNames(const std::string& host) {
  std::vector<std::string> names = {"localhost"};
  for (std::string& address : net::LocalAddresses()) names.push_back(std::move(address));
  std::array<char, 256> machine = {};
  if (gethostname(machine.data(), machine.size() - 1) == 0 && machine[0] != '\0') {
    names.emplace_back(machine.data());
  }
  const bool is_every = host == "0.0.0.0" || host == "::";
  if (!is_every && std::ranges::find(names, host) == names.end()) names.push_back(host);
  return names;
}

Status MakeOwnCertificate(const ServeFlags& flags, int64_t now_unix_s, ServePlan& plan) {
  const fs::path folder = DataFolder(flags) / "tls";
  ASSIGN_OR_RETURN(const net::SelfSigned own,
                   net::KeepSelfSigned(folder, CertificateNames(plan.options.host), now_unix_s));
  spdlog::info("{} certificate: {}", own.is_new ? "made a" : "keeping the", own.certificate_file);
  for (const std::string& name : own.missing_names) {
    spdlog::info("the certificate does not name {}; remove {} to have another made", name,
                 own.certificate_file);
  }
  plan.options.tls_certificate = own.certificate_file;
  plan.options.tls_key = own.key_file;
  plan.fingerprint = own.fingerprint;
  return {};
}

// The pack's own files are used where they lie; what the server makes goes to the data folder.
Result<volunteer::NodeOptions> LenderOf(const ServeFlags& flags, const std::string& join_secret) {
  volunteer::NodeOptions lender;
  RETURN_IF_ERROR(ApplyLendFlags(flags.lend, lender));
  lender.join_secret = join_secret;
  lender.cache.folder = DataFolder(flags) / "lent";
  lender.cache.pack = flags.options.pack;
  ASSIGN_OR_RETURN(lender.resume_token, KeepResumeToken(lender.cache.folder));
  return lender;
}

void AddLimitFlags(CLI::App& command, CoordinatorLimits& limits) {
  const auto add = [&command](const char* name, uint32_t& value, uint32_t min, const char* help) {
    command.add_option(name, value, help)
        ->check(CLI::Range(min, 10'000'000u))
        ->capture_default_str()
        ->group("Limits");
  };
  add("--max-connections", limits.connections, 1, "connections at a time");
  add("--max-connections-per-address", limits.connections_per_peer, 0,
      "of them from one address; 0: as many as there are");
  add("--max-volunteers", limits.volunteers, 1, "volunteers at a time");
  add("--max-answers", limits.answers, 1, "answers being made or waiting at a time");
  add("--max-answers-per-client", limits.answers_per_client, 1, "of them for one client");
  add("--requests-per-minute", limits.requests_per_minute, 0,
      "API requests of one client; 0: no limit");
  add("--joins-per-minute", limits.joins_per_minute, 0,
      "volunteers' connections from one address; 0: no limit");
}

void AddAccessFlags(CLI::App& command, ServeFlags& flags) {
  CoordinatorOptions& options = flags.options;
  const auto add = [&command](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)->group("Access");
  };
  add("--tls", flags.tls, "self: make and keep a self-signed certificate")
      ->check(CLI::IsMember({"self"}));
  add("--tls-cert", options.tls_certificate, "certificate chain, PEM");
  add("--tls-key", options.tls_key, "its private key, PEM");
  add("--data", flags.data,
      "folder for what outlives the process: packs, certificate, journal of work and plan");
  add("--trusted-proxy", options.trusted_proxies,
      "address or range of a reverse proxy whose X-Forwarded fields are believed; repeatable");
  add("--allow-origin", options.allowed_origins,
      "origin of other pages that may use API and sockets, or *; repeatable");
  add("--api-key", flags.api_keys, "a key that API clients must present; repeatable")
      ->envname("SHOAL_API_KEY");
  add("--api-key-file", flags.api_key_file, "file with such keys: KEY or NAME KEY a line");
  add("--join-secret", options.join_secret, "what volunteers must know to join")
      ->envname("SHOAL_JOIN_SECRET");
  add("--join-secret-file", flags.join_secret_file, "file with the join secret");
}

}  // namespace

fs::path DataFolder(const ServeFlags& flags) {
  return flags.data.empty() ? DefaultDataFolder() : flags.data;
}

fs::path DefaultDataFolder() {
  const auto variable = [](const char* name) -> fs::path {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const fs::path state = variable("STATE_DIRECTORY"); !state.empty()) return state;
  if (const fs::path data = variable("XDG_DATA_HOME"); !data.empty()) return data / "shoal";
  return variable("HOME") / ".local/share/shoal";
}

void AddServeFlags(CLI::App& command, ServeFlags& flags) {
  CoordinatorOptions& options = flags.options;
  command
      .add_option(
          "model", flags.model,
          "a pack, or a model folder, GGUF or ONNX file, which is packed at the first start")
      ->required();
  command.add_option(
      "--weights", options.weights,
      "the sets of weights to serve, such as q4,f32: of several each volunteer is "
      "given the one that suits it; auto: all that the pack has. Default: its first; "
      "a pack that is made is made of these, or of q4");
  command.add_option("--host", options.host, "the address to listen on; 0.0.0.0: every one")
      ->capture_default_str();
  command.add_option("--port", options.port, "the port; 0: any free one")->capture_default_str();
  command
      .add_option("--expert-holders", options.expert_holders,
                  "divide every layer's experts over at least so many volunteers (0: only where "
                  "memory demands it)")
      ->capture_default_str();
  command
      .add_option("--stages", options.stages_min, "at least so many stages, on as many volunteers")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  command.add_option("--context", options.positions,
                     "longest context served; default: the model's, at most 8192");
  command.add_option("--hop", flags.hop, "precision of hidden states on the network")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->capture_default_str();
  command.add_option("--pages", options.pages, "the folder of the built pages");
  command.add_option("--trace", options.trace, "append the trace to this file");
  command.add_option("--lend", flags.lend.memory,
                     "this machine lends itself, with so much memory, such as 8G");
  AddLendFlags(command, flags.lend);
  AddAccessFlags(command, flags);
  AddLimitFlags(command, options.limits);
}

Result<ServePlan> ResolveServeFlags(const ServeFlags& flags, int64_t now_unix_s) {
  ServePlan plan{flags.options, "", std::nullopt};
  CoordinatorOptions& options = plan.options;
  options.f16_hops = flags.hop == "f16";
  if (!flags.tls.empty() && !options.tls_certificate.empty()) {
    return Fail(Code::kInvalidArgument, "either --tls self, or --tls-cert and --tls-key");
  }
  if (!options.join_secret.empty() && !flags.join_secret_file.empty()) {
    return Fail(Code::kInvalidArgument, "either --join-secret or --join-secret-file");
  }
  ASSIGN_OR_RETURN(options.join_secret, ReadJoinSecret(flags));
  ASSIGN_OR_RETURN(options.api_keys, ReadApiKeys(flags));
  if (flags.tls == "self") RETURN_IF_ERROR(MakeOwnCertificate(flags, now_unix_s, plan));
  // A folder that nobody chose may belong to several servers at once.
  if (!flags.data.empty()) {
    options.journal = flags.data / "journal";
  } else if (std::getenv("STATE_DIRECTORY") != nullptr) {
    options.journal = DefaultDataFolder() / "journal";
  }
  if (!flags.lend.memory.empty()) {
    ASSIGN_OR_RETURN(plan.lender, LenderOf(flags, options.join_secret));
    options.with_loopback = true;
  }
  const bool is_open = !net::IsLoopbackHost(options.host);
  if (is_open && options.tls_certificate.empty() && options.trusted_proxies.empty()) {
    spdlog::warn(
        "without TLS no browser but this machine's can lend: --tls self, or a reverse "
        "proxy with TLS and --trusted-proxy");
  }
  return plan;
}

}  // namespace shoal::cli
