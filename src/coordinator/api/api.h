// The OpenAI API over a Generator: GET /v1/models, GET /v1/models/{id}, POST /v1/chat/completions,
// POST /v1/completions, POST /v1/responses. Streamed (server-sent events) or whole.
//
// A client that leaves cancels its generations. Until the first token is there, errors have a
// status of their own (400, 404, 413, 429, 503, ...); after it a streamed answer ends with an event
// that carries the error.
//
// Single-threaded, like the Generator: every call comes from the event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/errors.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/generator.h"
#include "net/http.h"

namespace shoal::tokenizer {
class ChatTemplate;
class Tokenizer;
}  // namespace shoal::tokenizer

namespace shoal::api {

// Handed in, so that tests see the same ids and times every run.
struct Environment {
  std::function<int64_t()> unix_seconds;  // For `created`.
  std::function<uint64_t()> random;       // Ids of answers, and seeds of requests without one.
  std::function<Micros()> now;            // For durations.
  // Called with every answer that has ended. May be unset.
  std::function<void(const AnswerRecord&)> on_answer;
};

// One answer is one choice of one prompt.
struct Limits {
  uint32_t answers = 64;             // At a time, as many as the Generator takes.
  uint32_t answers_per_client = 32;  // Of one client, so that nobody has them all.
};

class Api {
 public:
  // All of these must outlive the Api; `tokenizer` and `chat_template` may be null: then prompts
  // are token ids only and text fields are empty, or chat is refused.
  Api(Generator& generator, ModelFacts model, const tokenizer::Tokenizer* tokenizer,
      const tokenizer::ChatTemplate* chat_template, Environment environment, Limits limits);
  // Cancels what runs, and tells its clients so.
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Answers a request whose path begins with "/v1/"; others below it are 404. `client` names who
  // asks, for its share and for fairness: a key's name or an address.
  void Handle(net::Request request, net::Responder responder, std::string client);

  // Requests that are being answered.
  size_t active() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::api
