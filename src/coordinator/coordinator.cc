#include "coordinator/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/admin/history.h"
#include "coordinator/admin/metrics.h"
#include "coordinator/admin/status.h"
#include "coordinator/api/api.h"
#include "coordinator/api/openapi.h"
#include "coordinator/api/parse_request.h"
#include "coordinator/gate/gate.h"
#include "coordinator/hub/hub.h"
#include "coordinator/hub/served_forms.h"
#include "coordinator/served_model.h"
#include "net/address.h"
#include "net/server.h"
#include "net/static_site.h"
#include "store/journal.h"
#include "store/pack.h"

namespace shoal {

namespace {

constexpr uint32_t kPositionsDefaultMax = 8192;
constexpr Micros kDrainLimit = 30 * kSecond;
// Assignments are counted from a number that grows from start to start, so that whoever comes back
// after a restart takes the first one for new and forgets sessions that nobody knows any more.
constexpr int64_t kGenerationsSince = 1'750'000'000;
constexpr int64_t kGenerationsPerSecond = 16;
// Bursts, as parts of a minute's requests: pages and clients send several at once.
constexpr uint32_t kBurstDivisor = 4;
// A volunteer's frame holds rows of hidden states; the least leaves room for any profile.
constexpr size_t kFrameBytesMin = 8u << 20;

uint64_t RandomU64() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

int64_t UnixSeconds() {
  return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

RateLimiter::Options PerMinute(uint32_t count) {
  return {.per_minute = count, .burst = std::max(1u, count / kBurstDivisor)};
}

Result<Gate::Options> GateOptions(const CoordinatorOptions& options) {
  Gate::Options gate;
  ASSIGN_OR_RETURN(gate.proxies, net::TrustedProxies::Parse(options.trusted_proxies));
  ASSIGN_OR_RETURN(gate.origins, Origins::Parse(options.allowed_origins));
  gate.keys = options.api_keys;
  gate.is_loopback = net::IsLoopbackHost(options.host);
  gate.requests = PerMinute(options.limits.requests_per_minute);
  gate.joins = PerMinute(options.limits.joins_per_minute);
  return gate;
}

// Opens the journal, if one is wanted, and says what was cut off.
Result<std::unique_ptr<store::Journal>> OpenJournal(const CoordinatorOptions& options,
                                                    const store::Manifest& manifest,
                                                    const store::StageVariant& first) {
  if (options.journal.empty()) return nullptr;
  const store::Variant& set = manifest.variants[first.weights];
  const std::string model = StrCat(manifest.name, " ", set.blocks.size(), " ", set.weights);
  ASSIGN_OR_RETURN(store::Journal journal, store::Journal::Open(options.journal, model));
  const size_t cut = journal.past().open.size();
  if (cut > 0) spdlog::warn("answers cut off when the last process ended: {}", cut);
  return std::make_unique<store::Journal>(std::move(journal));
}

std::vector<swarm::ExpectedStage> ExpectedOf(const store::JournalState& past) {
  std::vector<swarm::ExpectedStage> stages;
  for (const store::JournalStage& stage : past.plan) {
    stages.push_back({stage.pipeline, {stage.first, stage.last}, stage.holders, stage.weights});
  }
  return stages;
}

Hub::Options HubOptions(const store::Manifest& manifest, std::vector<store::StageVariant> forms,
                        uint32_t positions, const CoordinatorOptions& options,
                        store::Journal* journal) {
  swarm::Config config;
  DescribeForms(manifest, forms, options.f16_hops ? 2 : 4, config);
  config.expert_holders = options.expert_holders;
  config.vocab = manifest.model.vocab;
  config.hidden = manifest.model.hidden;
  config.positions = positions;
  // A chunk is never longer than the context: volunteers refuse an assignment that says so.
  config.chunk_rows = std::min(config.chunk_rows, positions);
  config.stages_min =
      std::min<uint32_t>(options.stages_min, static_cast<uint32_t>(config.blocks.size()));
  config.sessions_max = options.limits.answers;
  config.hop = options.f16_hops ? wire::HopType::kF16 : wire::HopType::kF32;
  const size_t rows_bytes = size_t{config.chunk_rows} * manifest.model.hidden * sizeof(float);
  Hub::Options out;
  out.frame_bytes_max =
      std::clamp<size_t>(2 * rows_bytes, kFrameBytesMin, wire::kLimits.frame_bytes);
  config.first_generation =
      static_cast<uint32_t>((UnixSeconds() - kGenerationsSince) * kGenerationsPerSecond);
  out.journal = journal;
  if (journal != nullptr) config.expected = ExpectedOf(journal->past());
  out.swarm = std::move(config);
  out.forms = std::move(forms);
  out.volunteers_max = options.limits.volunteers;
  out.first_session = (RandomU64() >> 12 << 16) + 1;
  if (!options.join_secret.empty()) out.join_secret.emplace(options.join_secret);
  return out;
}

constexpr std::string_view kStatusPath = "/status.json";
constexpr std::string_view kHistoryPath = "/status/history.json";
constexpr std::string_view kOpenApiPath = "/openapi.json";
constexpr std::string_view kMetricsPath = "/metrics";

Door DoorOf(std::string_view path) {
  if (path.starts_with("/v1/") || path == kMetricsPath) return Door::kApi;
  if (path == "/volunteer") return Door::kVolunteers;
  if (path == kStatusPath || path == kHistoryPath || path == kOpenApiPath ||
      path.starts_with("/blobs/")) {
    return Door::kPublic;
  }
  return Door::kPages;
}

}  // namespace

struct Coordinator::Impl {
  Impl(net::EventLoop& event_loop, store::Pack opened, TextSide text_side, uint32_t positions,
       std::vector<store::StageVariant> forms, const CoordinatorOptions& options,
       Gate::Options gate_options, Trace trace, std::unique_ptr<store::Journal> opened_journal)
      : loop(event_loop),
        journal(std::move(opened_journal)),
        pack(std::move(opened)),
        text(std::move(text_side)),
        gate(std::move(gate_options)),
        library(pack, positions),
        hub(loop, library, std::move(trace),
            HubOptions(pack.manifest(), std::move(forms), positions, options, journal.get())),
        api(hub, DescribeModel(pack, positions, text, UnixSeconds()), text.tokenizer.get(),
            text.chat_template ? &*text.chat_template : nullptr,
            {.unix_seconds = UnixSeconds,
             .random = RandomU64,
             .now = [this] { return loop.NowUs(); },
             .on_answer = [this](const api::AnswerRecord& record) { OnAnswer(record); }},
            {.answers = options.limits.answers,
             .answers_per_client = options.limits.answers_per_client}),
        site(options.pages),
        is_private(!options.join_secret.empty()),
        started_unix_s(UnixSeconds()),
        sampling(loop) {
    sampling.Every(std::chrono::seconds(History::kFinePeriodSeconds),
                   [this] { history.Add(Look(hub, UnixSeconds())); });
  }

  void OnAnswer(const api::AnswerRecord& record) {
    metrics.OnAnswer(record);
    const auto ms = [](Micros time) { return time / kMillisecond; };
    spdlog::info(
        "answer id={} client=\"{}\" status={} streamed={} prompt_tokens={} completion_tokens={} "
        "first_token_ms={} total_ms={}",
        record.id, record.client, record.status, record.is_streamed, record.prompt_tokens,
        record.completion_tokens, record.first_token ? ms(*record.first_token) : -1,
        ms(record.total));
  }

  net::Response MetricsAnswer() const {
    Gauges gauges = ReadGauges(hub);
    gauges.model = pack.manifest().name;
    gauges.started_unix_s = started_unix_s;
    gauges.connections = server->connections();
    net::Response response = net::TextResponse(200, metrics.Text(gauges));
    response.headers.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    return response;
  }

  void Handle(net::Request request, net::Responder responder) {
    const Door door = DoorOf(request.path);
    auto client = gate.Enter(door, request, responder, loop.NowUs());
    if (!client) return;
    if (door == Door::kVolunteers) {
      return hub.AcceptVolunteer(request, std::move(responder));
    }
    if (request.path == kMetricsPath) return responder.Send(MetricsAnswer());
    if (door == Door::kApi) {
      return api.Handle(std::move(request), std::move(responder), *std::move(client));
    }
    if (request.path.starts_with("/blobs/")) return library.Answer(request, std::move(responder));
    if (request.path == kStatusPath) {
      return SendStatus(StatusJson(hub, pack.manifest().name, is_private), responder);
    }
    if (request.path == kHistoryPath) return SendStatus(history.Json(), responder);
    if (request.path == kOpenApiPath) {
      return responder.Send(net::JsonResponse(200, std::string(api::OpenApiDocument())));
    }
    responder.Send(site.Answer(request));
  }

  static void SendStatus(const std::string& json, net::Responder& responder) {
    net::Response response = net::JsonResponse(200, json);
    response.headers.Set("Cache-Control", "no-store");
    net::AddIsolationHeaders(response.headers);
    responder.Send(std::move(response));
  }

  net::EventLoop& loop;
  std::unique_ptr<store::Journal> journal;  // Null unless asked for.
  store::Pack pack;
  TextSide text;
  Gate gate;
  StageLibrary library;
  Hub hub;
  Metrics metrics;
  api::Api api;
  net::StaticSite site;
  const bool is_private;
  const int64_t started_unix_s;
  History history;
  net::Timer sampling;
  std::unique_ptr<net::Server> server;
  std::unique_ptr<net::Server> loopback;  // Null unless asked for.
};

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Coordinator::~Coordinator() = default;

Result<std::unique_ptr<Coordinator>> Coordinator::Start(net::EventLoop& loop,
                                                        const CoordinatorOptions& options) {
  ASSIGN_OR_RETURN(Gate::Options gate, GateOptions(options));
  ASSIGN_OR_RETURN(store::Pack pack, store::Pack::Open(options.pack));
  ASSIGN_OR_RETURN(TextSide text, LoadTextSide(pack));
  const uint32_t longest = pack.manifest().model.positions;
  if (options.positions > longest) {
    return Fail(Code::kInvalidArgument, StrCat("the model's context ends at ", longest, ", not ",
                                               options.positions, " tokens"));
  }
  const uint32_t positions =
      options.positions != 0 ? options.positions : std::min(longest, kPositionsDefaultMax);
  Trace trace;
  if (!options.trace.empty()) {
    ASSIGN_OR_RETURN(trace, Trace::Open(options.trace));
  }
  ASSIGN_OR_RETURN(auto forms, ServedForms(pack.manifest(), options.weights));
  ASSIGN_OR_RETURN(auto journal, OpenJournal(options, pack.manifest(), forms.front()));
  auto impl =
      std::make_unique<Impl>(loop, std::move(pack), std::move(text), positions, std::move(forms),
                             options, std::move(gate), std::move(trace), std::move(journal));
  Impl* const raw = impl.get();
  net::ServerOptions server;
  server.host = options.host;
  server.port = options.port;
  server.tls_certificate = options.tls_certificate;
  server.tls_key = options.tls_key;
  server.limits.max_connections = options.limits.connections;
  server.limits.max_connections_per_peer = options.limits.connections_per_peer;
  server.limits.max_body_bytes = api::kMaxBodyBytes;
  server.is_shared_peer = [raw](std::string_view address) { return raw->gate.Trusts(address); };
  server.refusal = api::RefusalResponse;
  const net::Handler handler = [raw](net::Request request, net::Responder responder) {
    raw->Handle(std::move(request), std::move(responder));
  };
  ASSIGN_OR_RETURN(impl->server, net::Server::Listen(loop, server, handler));
  if (options.with_loopback) {
    server.host = "127.0.0.1";
    server.port = 0;
    server.tls_certificate.clear();
    server.tls_key.clear();
    ASSIGN_OR_RETURN(impl->loopback, net::Server::Listen(loop, std::move(server), handler));
  }
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(impl)));
}

uint16_t Coordinator::port() const { return impl_->server->port(); }

uint16_t Coordinator::loopback_port() const { return impl_->loopback->port(); }

void Coordinator::Stop(std::function<void()> on_stopped) {
  spdlog::info("stopping: {} answers are being finished", impl_->hub.swarm().sessions().size());
  impl_->hub.Drain(kDrainLimit, [this, on_stopped = std::move(on_stopped)] {
    impl_->hub.Close();
    impl_->loopback = nullptr;
    impl_->server->Stop(on_stopped);
  });
}

}  // namespace shoal
