// The answer to one request: its choices' generations, and what the client gets of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/api/answer_json.h"
#include "coordinator/api/choice.h"
#include "coordinator/api/parse_request.h"
#include "coordinator/generator.h"
#include "net/http.h"

namespace shoal::api {

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  // `generator`, `model` and `text` must outlive the answer. `prompts` are those of `request`, as
  // ids. `on_ended` is called once, when nothing is left to do; not from within the constructor.
  Answer(Generator& generator, const ModelFacts& model, const Text& text, CompletionRequest request,
         std::vector<std::vector<int32_t>> prompts, AnswerHead head, net::Responder responder,
         std::function<void()> on_ended);

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
  void SendChunk(const std::string& json);
  void OnChoiceFinished();
  ChoicePrompt PromptOf(const Running& running) const;
  Usage UsageNow() const;
  void CancelAll();
  void Ended();

  Generator& generator_;
  const ModelFacts& model_;
  const CompletionRequest request_;
  const std::vector<std::vector<int32_t>> prompts_;
  const AnswerHead head_;
  const AnswerForm form_;
  net::Responder responder_;  // Until the answer begins.
  net::Stream stream_;        // From then on, when it is streamed.
  bool is_streaming_ = false;
  std::function<void()> on_ended_;
  std::vector<Running> running_;
  size_t unfinished_ = 0;
};

}  // namespace shoal::api
