// The answer to one request: its choices' generations, and what the client gets of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "coordinator/api/answer_json.h"
#include "coordinator/api/choice.h"
#include "coordinator/api/parse_request.h"
#include "coordinator/api/responses_writer.h"
#include "coordinator/generator.h"
#include "coordinator/grammar/vocabulary.h"
#include "net/http.h"

namespace shoal::api {

// What one request came to, for logs and metrics.
struct AnswerRecord {
  std::string id;
  std::string client;
  bool is_streamed = false;
  // As sent; 499 when the client left first. An error after the first piece of a stream counts.
  int status = 0;
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  // Of the request's first token, and of its end, since it was asked.
  std::optional<Micros> first_token;
  Micros total = 0;
};

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  // `generator`, `model` and `text` must outlive the answer. `prompts` are those of `request`, as
  // ids. `vocabulary`: for requests with a grammar; else may be null. `responses`: writes the
  // answer to a request of that shape, which has one choice; null for the others. `now` is a clock.
  // `on_ended` is called once, when nothing is left to do; not from within the constructor.
  Answer(Generator& generator, const ModelFacts& model, const Text& text, CompletionRequest request,
         std::vector<std::vector<int32_t>> prompts, const grammar::Vocabulary* vocabulary,
         AnswerHead head, std::unique_ptr<ResponsesWriter> responses, net::Responder responder,
         std::function<Micros()> now, std::function<void(const AnswerRecord&)> on_ended);

  // Starts every generation, or answers why not. `client`: who asks, for fairness.
  void Start(const std::string& client);
  // Cancels what runs and tells the client `error`.
  void Fail(const ApiError& error);

 private:
  struct Running {
    Choice choice;
    size_t prompt = 0;  // Index.
    SessionId session;
    bool begun = false;  // Its first chunk is out.
    Piece all;           // When the answer is not streamed.
  };

  Result<SessionId> StartOne(uint32_t index, uint64_t seed, const std::string& client);
  void OnEvent(uint32_t index, GenerationEvent event);
  void Deliver(uint32_t index, Piece piece);
  void SendEvents(std::string events);
  void OnChoiceFinished();
  ChoicePrompt PromptOf(const Running& running) const;
  Usage UsageNow() const;
  void CancelAll();
  void Ended(int status);

  Generator& generator_;
  const ModelFacts& model_;
  const CompletionRequest request_;
  const std::vector<std::vector<int32_t>> prompts_;
  const grammar::Vocabulary* const vocabulary_;
  const AnswerHead head_;
  const AnswerForm form_;
  const std::unique_ptr<ResponsesWriter> responses_;
  net::Responder responder_;  // Until the answer begins.
  net::Stream stream_;        // From then on, when it is streamed.
  bool is_streaming_ = false;
  std::function<Micros()> now_;
  std::function<void(const AnswerRecord&)> on_ended_;
  AnswerRecord record_;
  Micros began_ = 0;
  std::vector<Running> running_;
  size_t unfinished_ = 0;
};

}  // namespace shoal::api
