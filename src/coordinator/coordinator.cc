#include "coordinator/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <optional>
#include <random>

#include "base/str_cat.h"
#include "coordinator/admin/status.h"
#include "coordinator/api/api.h"
#include "coordinator/hub/hub.h"
#include "net/server.h"
#include "net/static_site.h"
#include "store/pack.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace shoal {

namespace {

constexpr uint32_t kPositionsDefaultMax = 8192;
constexpr Micros kDrainLimit = 30 * kSecond;

uint64_t RandomU64() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// What a chat needs of the checkpoint; both are null for a pack without a tokenizer.
struct TextSide {
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::optional<tokenizer::ChatTemplate> chat_template;
  // bos_token and so on, as tokenizer_config.json has them.
  std::vector<std::pair<std::string, std::string>> template_variables;
};

// tokenizer_config.json; empty when it is missing or broken.
boost::json::object ReadTokenizerConfig(const store::Pack& pack) {
  const Result<std::string> text = pack.ReadPackedFile("tokenizer_config.json");
  if (!text) return {};
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(*text, error);
  return !error && parsed.is_object() ? parsed.get_object() : boost::json::object();
}

// The template's text: a file of its own, or in tokenizer_config.json, where it is a string or a
// list of named ones, "default" among them. Empty when there is none.
std::string FindChatTemplate(const store::Pack& pack, const boost::json::object& config) {
  if (Result<std::string> file = pack.ReadPackedFile("chat_template.jinja")) return *file;
  const boost::json::value* field = config.if_contains("chat_template");
  if (field == nullptr) return {};
  if (const auto* text = field->if_string()) return std::string(*text);
  const boost::json::array* named = field->if_array();
  if (named == nullptr) return {};
  for (const boost::json::value& entry : *named) {
    const auto* one = entry.if_object();
    const auto* name = one == nullptr ? nullptr : one->if_contains("name");
    const auto* text = one == nullptr ? nullptr : one->if_contains("template");
    if (name == nullptr || text == nullptr || !text->is_string()) continue;
    if (name->is_string() && name->get_string() == "default")
      return std::string(text->get_string());
  }
  return {};
}

// The special tokens that templates name: a string, or an object with the string as its content.
std::vector<std::pair<std::string, std::string>> TemplateVariables(
    const boost::json::object& config) {
  std::vector<std::pair<std::string, std::string>> variables;
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const boost::json::value* field = config.if_contains(name);
    if (field != nullptr && field->is_object()) field = field->get_object().if_contains("content");
    if (field != nullptr && field->is_string()) {
      variables.emplace_back(name, std::string(field->get_string()));
    }
  }
  return variables;
}

Result<TextSide> LoadTextSide(const store::Pack& pack) {
  TextSide text;
  const Result<std::string> tokenizer_json = pack.ReadPackedFile("tokenizer.json");
  if (!tokenizer_json) {
    if (tokenizer_json.error().code != Code::kNotFound) {
      return std::unexpected(tokenizer_json.error());
    }
    spdlog::warn("the pack has no tokenizer: prompts are token ids");
    return text;
  }
  ASSIGN_OR_RETURN(text.tokenizer, tokenizer::Tokenizer::Load(*tokenizer_json));
  const boost::json::object config = ReadTokenizerConfig(pack);
  text.template_variables = TemplateVariables(config);
  const std::string chat_template = FindChatTemplate(pack, config);
  if (chat_template.empty()) {
    spdlog::warn("the pack has no chat template: only /v1/completions can be used");
    return text;
  }
  Result<tokenizer::ChatTemplate> chat = tokenizer::ChatTemplate::Load(chat_template);
  if (chat) {
    text.chat_template = *std::move(chat);
  } else {
    spdlog::warn("the chat template cannot be used: {}", chat.error().ToString());
  }
  return text;
}

api::ModelFacts DescribeModel(
    const store::Pack& pack, uint32_t positions,
    const std::vector<std::pair<std::string, std::string>>& template_variables) {
  const store::Manifest& manifest = pack.manifest();
  api::ModelFacts facts;
  facts.id = manifest.name;
  facts.created = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  facts.context_tokens = positions;
  facts.vocab_size = manifest.model.vocab;
  for (const auto id : manifest.generation.eos_ids) {
    facts.end_ids.push_back(static_cast<int32_t>(id));
  }
  facts.template_variables = template_variables;
  facts.fingerprint = "shoal_" + store::Hex(pack.id()).substr(0, 12);
  const model::GenerationDefaults& defaults = manifest.generation;
  facts.default_sampling.temperature = static_cast<float>(defaults.temperature);
  facts.default_sampling.top_p = static_cast<float>(defaults.top_p);
  facts.default_sampling.top_k = static_cast<uint32_t>(defaults.top_k);
  facts.default_sampling.repetition_penalty = static_cast<float>(defaults.repetition_penalty);
  return facts;
}

}  // namespace

struct Coordinator::Impl {
  Impl(net::EventLoop& event_loop, store::Pack opened, TextSide text_side, uint32_t positions,
       const CoordinatorOptions& options, Trace trace)
      : loop(event_loop),
        pack(std::move(opened)),
        text(std::move(text_side)),
        library(pack, positions),
        hub(loop, library, std::move(trace), HubOptions(positions, options)),
        api(hub, DescribeModel(pack, positions, text.template_variables), text.tokenizer.get(),
            text.chat_template ? &*text.chat_template : nullptr,
            {.unix_seconds =
                 [] {
                   return static_cast<int64_t>(
                       std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
                 },
             .random = RandomU64}),
        site(options.pages) {}

  Hub::Options HubOptions(uint32_t positions, const CoordinatorOptions& options) const {
    swarm::Config config;
    config.blocks = library.Costs();
    config.vocab = pack.manifest().model.vocab;
    config.positions = positions;
    config.stages_min =
        std::min<uint32_t>(options.stages_min, static_cast<uint32_t>(config.blocks.size()));
    config.hop = options.f16_hops ? wire::HopType::kF16 : wire::HopType::kF32;
    return {.swarm = std::move(config), .first_session = (RandomU64() >> 12 << 16) + 1};
  }

  void Handle(net::Request request, net::Responder responder) {
    const std::string_view path = request.path;
    if (path == "/volunteer") return hub.AcceptVolunteer(std::move(request), std::move(responder));
    if (path.starts_with("/v1/")) return api.Handle(std::move(request), std::move(responder));
    if (path.starts_with("/blobs/")) return library.Answer(request, std::move(responder));
    if (path == "/status.json") {
      net::Response response = net::JsonResponse(200, StatusJson(hub, pack.manifest().name));
      response.headers.Set("Cache-Control", "no-store");
      net::AddIsolationHeaders(response.headers);
      return responder.Send(std::move(response));
    }
    responder.Send(site.Answer(request));
  }

  net::EventLoop& loop;
  store::Pack pack;
  TextSide text;
  StageLibrary library;
  Hub hub;
  api::Api api;
  net::StaticSite site;
  std::unique_ptr<net::Server> server;
};

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Coordinator::~Coordinator() = default;

Result<std::unique_ptr<Coordinator>> Coordinator::Start(net::EventLoop& loop,
                                                        const CoordinatorOptions& options) {
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
  auto impl = std::make_unique<Impl>(loop, std::move(pack), std::move(text), positions, options,
                                     std::move(trace));
  Impl* const raw = impl.get();
  ASSIGN_OR_RETURN(impl->server,
                   net::Server::Listen(loop, {.host = options.host, .port = options.port},
                                       [raw](net::Request request, net::Responder responder) {
                                         raw->Handle(std::move(request), std::move(responder));
                                       }));
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(impl)));
}

uint16_t Coordinator::port() const { return impl_->server->port(); }

void Coordinator::Stop(std::function<void()> on_stopped) {
  spdlog::info("stopping: {} answers are being finished", impl_->hub.swarm().sessions().size());
  impl_->hub.Drain(kDrainLimit, [this, on_stopped = std::move(on_stopped)] {
    impl_->hub.Close();
    impl_->server->Stop(on_stopped);
  });
}

}  // namespace shoal
