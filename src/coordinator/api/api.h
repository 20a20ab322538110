// The OpenAI API over a Generator: GET /v1/models, GET /v1/models/{id}, POST /v1/chat/completions,
// POST /v1/completions. Streamed (server-sent events) or whole.
//
// Single-threaded, like the Generator: every call comes from the event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/generator.h"
#include "net/http.h"

namespace shoal::tokenizer {
class ChatTemplate;
class Tokenizer;
}  // namespace shoal::tokenizer

namespace shoal::api {

// What the API tells of the model and checks requests against.
struct ModelFacts {
  std::string id;                // "storyteller"; what `model` must name.
  int64_t created = 0;           // Seconds since 1970.
  uint32_t context_tokens = 0;   // Prompt and answer together.
  uint32_t vocab_size = 0;       // Ids are in [0, vocab_size).
  std::vector<int32_t> end_ids;  // Tokens that end an answer.
  std::string fingerprint;  // system_fingerprint: changes when the same seed may give other text.
  // Used where a request says nothing: the checkpoint's generation configuration.
  wire::Sampling default_sampling;
  // max_tokens of a request that says nothing; 0: as much as the context holds.
  uint32_t default_max_tokens = 0;
};

// Handed in, so that tests see the same ids and times every run.
struct Environment {
  std::function<int64_t()> unix_seconds;  // For `created`.
  std::function<uint64_t()> random;       // Ids of answers, and seeds of requests without one.
};

class Api {
 public:
  // All of these must outlive the Api; `tokenizer` and `chat_template` may be null: then prompts
  // are token ids only and text fields are empty, or chat is refused.
  Api(Generator& generator, ModelFacts model, const tokenizer::Tokenizer* tokenizer,
      const tokenizer::ChatTemplate* chat_template, Environment environment);
  // Cancels what runs; the clients see their connections cut.
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Answers a request whose path begins with "/v1/"; others below it are 404.
  void Handle(net::Request request, net::Responder responder);

  // Requests that are being answered.
  size_t active() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::api
