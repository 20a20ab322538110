#include "coordinator/api/answer.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "coordinator/api/sse.h"
#include "coordinator/grammar/token_constraint.h"

namespace shoal::api {

namespace json = boost::json;

namespace {
constexpr int kClientLeft = 499;  // As nginx logs it.
}  // namespace

Answer::Answer(Generator& generator, const ModelFacts& model, const Text& text,
               CompletionRequest request, std::vector<std::vector<int32_t>> prompts,
               const grammar::Vocabulary* vocabulary, AnswerHead head,
               std::unique_ptr<ResponsesWriter> responses, net::Responder responder,
               std::function<Micros()> now, std::function<void(const AnswerRecord&)> on_ended)
    : generator_(generator),
      model_(model),
      request_(std::move(request)),
      prompts_(std::move(prompts)),
      vocabulary_(vocabulary),
      head_(std::move(head)),
      form_{request_.wants_logprobs, request_.returns_token_ids, request_.includes_usage},
      responses_(std::move(responses)),
      responder_(std::move(responder)),
      now_(std::move(now)),
      on_ended_(std::move(on_ended)),
      began_(now_()) {
  for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    for (uint32_t at = 0; at < request_.choices_per_prompt; ++at) {
      // Letters and digits of the answer's id, which is random, and of the choice.
      const size_t dash = head_.id.rfind('-') + 1;
      std::string call_id_base = StrCat(head_.id.substr(dash, 18), 'x', running_.size());
      running_.push_back({Choice(request_, model_, text, std::move(call_id_base)),
                          prompt,
                          SessionId(),
                          false,
                          {}});
      if (request_.echoes_prompt) running_.back().all.text = text.Decode(prompts_[prompt]);
    }
  }
  unfinished_ = running_.size();
}

void Answer::Start(const std::string& client) {
  record_.client = client;
  // The client's leaving is the answer's end; weakly, since the responder is the answer's own.
  responder_.OnClosed([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->CancelAll();
    self->Ended(kClientLeft);
  });
  for (uint32_t index = 0; index < running_.size(); ++index) {
    const auto session = StartOne(index, *request_.seed, client);
    if (!session) return Fail(FromError(session.error()));
    running_[index].session = *session;
    // The client may be gone, or the first choice have failed, before the last one begins.
    if (unfinished_ == 0) return generator_.Cancel(*session);
  }
}

Result<SessionId> Answer::StartOne(uint32_t index, uint64_t seed, const std::string& client) {
  const size_t prompt = running_[index].prompt;
  GenerationRequest generation;
  generation.prompt = prompts_[prompt];
  generation.sampling = request_.sampling;
  generation.sampling.seed = seed;
  generation.sampling.choice = index % request_.choices_per_prompt;
  const auto room = model_.context_tokens - static_cast<uint32_t>(prompts_[prompt].size());
  const uint32_t unasked = model_.default_max_tokens == 0 ? room : model_.default_max_tokens;
  generation.max_tokens = std::min(request_.max_tokens.value_or(unasked), room);
  if (!request_.ignores_end) generation.end_ids = model_.end_ids;
  generation.client = client;
  if (request_.grammar != nullptr) {
    CHECK(vocabulary_ != nullptr && !generation.end_ids.empty());
    generation.allowed = [constraint = std::make_shared<grammar::TokenConstraint>(
                              request_.grammar, *vocabulary_, generation.end_ids)](
                             std::span<const int32_t> generated) {
      return constraint->Mask(generated);
    };
  }
  return generator_.Start(std::move(generation),
                          [weak = weak_from_this(), index](GenerationEvent event) {
                            if (const auto self = weak.lock()) {
                              self->OnEvent(index, std::move(event));
                            }
                          });
}

void Answer::OnEvent(uint32_t index, GenerationEvent event) {
  Running& running = running_[index];
  if (unfinished_ == 0 || running.choice.finished()) return;
  if (const auto* error = std::get_if<Error>(&event)) return Fail(FromError(*error));
  if (const auto* token = std::get_if<GeneratedToken>(&event)) {
    if (!record_.first_token) record_.first_token = now_() - began_;
    Deliver(index, running.choice.OnToken(*token));
    // A stop sequence: the generator would go on.
    if (running.choice.finished()) generator_.Cancel(running.session);
  } else {
    Deliver(index, running.choice.OnDone(std::get<GenerationDone>(event).reason));
  }
  if (running.choice.finished()) OnChoiceFinished();
}

void Answer::Deliver(uint32_t index, Piece piece) {
  Running& running = running_[index];
  if (!request_.is_streamed) return running.all.Append(std::move(piece));
  if (responses_ != nullptr) return SendEvents(responses_->OnPiece(piece));
  if (!running.begun) {
    // What is echoed comes first.
    piece.text.insert(0, running.all.text);
  } else if (!form_.has_token_ids && piece.text.empty() && piece.logprobs.empty() &&
             piece.calls.empty() && piece.finish_reason.empty()) {
    return;  // Nothing that the client could see yet.
  }
  const ChoicePrompt prompt = PromptOf(running);
  const ChoicePrompt* first = running.begun ? nullptr : &prompt;
  running.begun = true;
  SendEvents(SseEvent(json::serialize(ChunkJson(head_, form_, index, piece, first))));
}

void Answer::SendEvents(std::string events) {
  if (events.empty()) return;
  if (!is_streaming_) {
    is_streaming_ = true;
    stream_ = responder_.StartStream(200, SseHeaders());
  }
  stream_.Write(std::move(events));
}

void Answer::OnChoiceFinished() {
  if (--unfinished_ > 0) return;
  if (request_.is_streamed) {
    if (responses_ != nullptr) {
      SendEvents(responses_->OnEnd(UsageNow()));
    } else {
      if (form_.has_usage) {
        SendEvents(SseEvent(json::serialize(UsageChunkJson(head_, UsageNow()))));
      }
      stream_.Write(std::string(kSseDone));
    }
    stream_.End();
    return Ended(200);
  }
  if (responses_ != nullptr) {
    responses_->OnPiece(running_[0].all);
    responder_.Send(net::JsonResponse(200, json::serialize(responses_->Whole(UsageNow()))));
    return Ended(200);
  }
  std::vector<WholeChoice> choices;
  for (Running& running : running_) {
    choices.push_back({std::move(running.all), PromptOf(running)});
  }
  responder_.Send(
      net::JsonResponse(200, json::serialize(WholeJson(head_, form_, choices, UsageNow()))));
  Ended(200);
}

void Answer::Fail(const ApiError& error) {
  CancelAll();
  if (is_streaming_) {
    stream_.Write(responses_ != nullptr ? responses_->OnError(error) : SseEvent(ErrorJson(error)));
    stream_.End();
  } else {
    responder_.Send(ErrorResponse(error));
  }
  Ended(error.status);
}

ChoicePrompt Answer::PromptOf(const Running& running) const {
  return {prompts_[running.prompt], prompts_.size() == 1};
}

Usage Answer::UsageNow() const {
  Usage usage;
  for (const auto& prompt : prompts_) usage.prompt_tokens += prompt.size();
  for (const Running& running : running_) usage.completion_tokens += running.choice.tokens();
  return usage;
}

void Answer::CancelAll() {
  unfinished_ = 0;
  for (const Running& running : running_) {
    // Sessions are numbered from 1: 0 has not been started.
    if (!running.choice.finished() && running.session.value != 0) {
      generator_.Cancel(running.session);
    }
  }
}

void Answer::Ended(int status) {
  const auto ended = std::exchange(on_ended_, nullptr);
  if (!ended) return;
  const Usage usage = UsageNow();
  record_.id = head_.id;
  record_.is_streamed = request_.is_streamed;
  record_.status = status;
  record_.prompt_tokens = usage.prompt_tokens;
  record_.completion_tokens = usage.completion_tokens;
  record_.total = now_() - began_;
  ended(record_);
}

}  // namespace shoal::api
