#include "coordinator/api/choice.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace shoal::api {
namespace {

// JSON has no infinity; OpenAI writes "as good as impossible" so.
constexpr float kLogprobMin = -9999;

float Finite(float logprob) { return logprob >= kLogprobMin ? logprob : kLogprobMin; }

template <typename T>
void MoveBehind(std::vector<T>& list, std::vector<T>& later) {
  std::move(later.begin(), later.end(), std::back_inserter(list));
}

}  // namespace

void Piece::Append(Piece later) {
  text += later.text;
  MoveBehind(token_ids, later.token_ids);
  MoveBehind(logprobs, later.logprobs);
  if (!later.finish_reason.empty()) finish_reason = later.finish_reason;
}

Choice::Choice(const CompletionRequest& request, const ModelFacts& model, const Text& text)
    : request_(request),
      model_(model),
      text_(text),
      decoder_(text.NewDecoder()),
      stops_(request.stops) {}

Piece Choice::OnToken(const GeneratedToken& token) {
  CHECK(!finished_);
  ++tokens_;
  Piece piece;
  piece.token_ids.push_back(token.token);
  if (request_.wants_logprobs) piece.logprobs.push_back(Logprob(token));
  // The end token says that the answer is over; it is no part of its text.
  const bool is_end = !request_.ignores_end &&
                      std::ranges::find(model_.end_ids, token.token) != model_.end_ids.end();
  if (!is_end && decoder_ != nullptr) piece.text = stops_.Push(decoder_->Push(token.token));
  if (stops_.matched()) {
    finished_ = true;
    piece.finish_reason = "stop";
  }
  return piece;
}

Piece Choice::OnDone(FinishReason reason) {
  CHECK(!finished_);
  finished_ = true;
  Piece piece;
  if (decoder_ != nullptr) {
    piece.text = stops_.Push(decoder_->Flush());
    piece.text += stops_.Flush();
  }
  const bool is_stop = reason == FinishReason::kStop || stops_.matched();
  piece.finish_reason = is_stop ? "stop" : "length";
  return piece;
}

TokenLogprob Choice::Logprob(const GeneratedToken& token) const {
  TokenLogprob out{text_.TokenText(token.token), Finite(token.logprob), {}};
  for (const wire::TokenProbability& other : token.top) {
    if (out.top.size() == request_.sampling.top_logprobs) break;
    out.top.push_back({text_.TokenText(other.token), Finite(other.logprob)});
  }
  return out;
}

}  // namespace shoal::api
