#include "coordinator/api/api.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/parse_request.h"
#include "coordinator/api/responses_request.h"
#include "coordinator/api/responses_writer.h"
#include "coordinator/api/text.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kModels = "/v1/models";

ApiError NotFound(std::string_view path) {
  ApiError error;
  error.status = 404;
  error.message = StrCat("There is no ", path, " here.");
  error.code = "not_found";
  return error;
}

net::Response WrongMethod(const net::Request& request, const char* allowed) {
  ApiError error;
  error.status = 405;
  error.message = StrCat(request.path, " answers ", allowed, ", not ", request.method, ".");
  error.code = "method_not_allowed";
  net::Response response = ErrorResponse(error);
  response.headers.Set("Allow", allowed);
  return response;
}

ApiError NoEmbeddings(const ModelFacts& model) {
  ApiError error;
  error.status = 404;
  error.message =
      StrCat("'", model.id, "' writes text and was not made for embeddings; means of its ",
             "hidden states would be poor ones, so none are offered.");
  error.code = "not_found";
  return error;
}

const char* IdPrefix(Shape shape) {
  switch (shape) {
    case Shape::kChat:
      return "chatcmpl-";
    case Shape::kCompletion:
      return "cmpl-";
    case Shape::kResponses:
      return "resp_";
  }
  return "";
}

}  // namespace

struct Api::Impl {
  Impl(Generator& tokens_from, ModelFacts facts, const tokenizer::Tokenizer* words,
       const tokenizer::ChatTemplate* chat_template, Environment surroundings, Limits bounds)
      : generator(tokens_from),
        model(std::move(facts)),
        tokenizer(words),
        text(words, chat_template),
        environment(std::move(surroundings)),
        limits(bounds) {}

  json::object ModelJson() const {
    const Status available = generator.Availability();
    // A full swarm answers, only not at once.
    const bool is_busy = !available && available.error().code == Code::kResourceExhausted;
    return {{"id", model.id},
            {"object", "model"},
            {"created", model.created},
            {"owned_by", "shoal"},
            {"context_window", model.context_tokens},
            {"state", available ? "ready"
                      : is_busy ? "busy"
                                : "waiting"},
            {"state_detail", available ? "" : available.error().detail}};
  }

  net::Response Models(const net::Request& request) const {
    if (request.method != "GET" && request.method != "HEAD") {
      return WrongMethod(request, "GET, HEAD");
    }
    if (request.path == kModels) {
      const json::object list = {{"object", "list"}, {"data", json::array{ModelJson()}}};
      return net::JsonResponse(200, json::serialize(list));
    }
    const std::string_view id = std::string_view(request.path).substr(kModels.size() + 1);
    if (id != model.id) return ErrorResponse(ModelNotFound(id));
    return net::JsonResponse(200, json::serialize(ModelJson()));
  }

  AnswerHead NewHead(Shape shape) const {
    const std::array<uint64_t, 2> bits = {environment.random(), environment.random()};
    const std::string name = ToHex({reinterpret_cast<const uint8_t*>(bits.data()), sizeof(bits)});
    return {shape, StrCat(IdPrefix(shape), name), environment.unix_seconds(), model.id,
            model.fingerprint};
  }

  // Made when it is first needed: a large one takes a moment.
  const grammar::Vocabulary& VocabularyOfModel() {
    if (!vocabulary) vocabulary = grammar::Vocabulary::Of(*tokenizer, model.vocab_size);
    return *vocabulary;
  }

  // Whether so many more answers are within this client's share.
  std::optional<ApiError> JudgeShare(uint64_t asked, const std::string& client) const {
    const uint32_t most = std::min(limits.answers, limits.answers_per_client);
    if (asked > most) {
      return InvalidParam("n", StrCat("The request asks for ", asked, " answers, prompts times n; ",
                                      "this server makes at most ", most, " for one client."));
    }
    const auto at = answers_of.find(client);
    const uint64_t running = at == answers_of.end() ? 0 : at->second;
    if (running + asked <= most) return std::nullopt;
    return FromError(
        {Code::kResourceExhausted,
         StrCat(running, " answers are being made for you; at most ", most, " are at a time.")});
  }

  void ReturnShare(const std::string& client, uint64_t count) {
    const auto at = answers_of.find(client);
    if (at != answers_of.end() && (at->second -= count) == 0) answers_of.erase(at);
  }

  void Complete(Shape shape, const net::Request& request, net::Responder responder,
                const std::string& client) {
    if (request.method != "POST") return responder.Send(WrongMethod(request, "POST"));
    json::object echo;
    auto parsed = shape == Shape::kResponses ? ParseResponsesRequest(request.body, model, echo)
                                             : ParseRequest(request.body, shape, model);
    if (!parsed) return responder.Send(ErrorResponse(parsed.error()));
    auto prompts = text.PromptIds(*parsed, model, environment.unix_seconds());
    if (!prompts) {
      return responder.Send(ErrorResponse(
          shape == Shape::kResponses ? AsResponsesError(prompts.error()) : prompts.error()));
    }
    if (!parsed->seed) parsed->seed = environment.random();
    const uint64_t count = uint64_t{prompts->size()} * parsed->choices_per_prompt;
    if (const auto refusal = JudgeShare(count, client)) {
      return responder.Send(ErrorResponse(*refusal));
    }
    answers_of[client] += count;
    const uint64_t key = ++answers_made;
    const grammar::Vocabulary* const words =
        parsed->grammar == nullptr ? nullptr : &VocabularyOfModel();
    AnswerHead head = NewHead(shape);
    auto responses = shape == Shape::kResponses
                         ? std::make_unique<ResponsesWriter>(head, std::move(echo))
                         : nullptr;
    const auto answer = std::make_shared<Answer>(
        generator, model, text, *std::move(parsed), *std::move(prompts), words, std::move(head),
        std::move(responses), std::move(responder), environment.now,
        [this, key, client, count](const AnswerRecord& record) {
          if (environment.on_answer) environment.on_answer(record);
          ReturnShare(client, count);
          answers.erase(key);
        });
    answers.emplace(key, answer);
    answer->Start(client);
  }

  Generator& generator;
  const ModelFacts model;
  const tokenizer::Tokenizer* const tokenizer;
  const Text text;
  std::optional<grammar::Vocabulary> vocabulary;
  const Environment environment;
  const Limits limits;
  std::unordered_map<uint64_t, std::shared_ptr<Answer>> answers;
  std::unordered_map<std::string, uint64_t> answers_of;  // By client.
  uint64_t answers_made = 0;
};

Api::Api(Generator& generator, ModelFacts model, const tokenizer::Tokenizer* tokenizer,
         const tokenizer::ChatTemplate* chat_template, Environment environment, Limits limits)
    : impl_(std::make_unique<Impl>(generator, std::move(model), tokenizer, chat_template,
                                   std::move(environment), limits)) {}

Api::~Api() {
  const auto answers = impl_->answers;
  for (const auto& [key, answer] : answers) {
    answer->Fail(FromError({Code::kUnavailable, "The server is stopping."}));
  }
}

void Api::Handle(net::Request request, net::Responder responder, std::string client) {
  const std::string_view path = request.path;
  if (path == kModels || path.starts_with(StrCat(kModels, '/'))) {
    return responder.Send(impl_->Models(request));
  }
  if (path == "/v1/chat/completions") {
    return impl_->Complete(Shape::kChat, request, std::move(responder), client);
  }
  if (path == "/v1/completions") {
    return impl_->Complete(Shape::kCompletion, request, std::move(responder), client);
  }
  if (path == "/v1/responses") {
    return impl_->Complete(Shape::kResponses, request, std::move(responder), client);
  }
  if (path == "/v1/embeddings") return responder.Send(ErrorResponse(NoEmbeddings(impl_->model)));
  responder.Send(ErrorResponse(NotFound(path)));
}

size_t Api::active() const { return impl_->answers.size(); }

}  // namespace shoal::api
