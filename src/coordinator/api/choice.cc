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
  MoveBehind(calls, later.calls);
  if (!later.finish_reason.empty()) finish_reason = later.finish_reason;
}

Choice::Choice(const CompletionRequest& request, const ModelFacts& model, const Text& text,
               std::string call_id_base)
    : request_(request),
      model_(model),
      text_(text),
      // The mark of kList is a special token.
      decoder_(text.NewDecoder(request.call_form != ToolForm::kList)),
      stops_(request.stops),
      calls_(request.call_form, request.tool_names, std::move(call_id_base)) {}

void Choice::Take(ToolCallReader::Part part, Piece& piece) {
  piece.text += part.text;
  if (!request_.parallel_tool_calls && calls_made_ + part.calls.size() > 1) {
    part.calls.resize(calls_made_ == 0 ? 1 : 0);
  }
  if (piece.calls.empty()) piece.first_call = calls_made_;
  calls_made_ += static_cast<uint32_t>(part.calls.size());
  MoveBehind(piece.calls, part.calls);
}

Piece Choice::OnToken(const GeneratedToken& token) {
  CHECK(!finished_);
  ++tokens_;
  Piece piece;
  piece.token_ids.push_back(token.token);
  if (request_.wants_logprobs) piece.logprobs.push_back(Logprob(token));
  // The end token says that the answer is over; it is no part of its text.
  const bool is_end = !request_.ignores_end &&
                      std::ranges::find(model_.end_ids, token.token) != model_.end_ids.end();
  if (!is_end && decoder_ != nullptr) {
    Take(calls_.Push(stops_.Push(decoder_->Push(token.token))), piece);
  }
  const bool has_its_call = calls_made_ > 0 && !request_.parallel_tool_calls;
  if (stops_.matched() || has_its_call) {
    finished_ = true;
    Take(calls_.Flush(), piece);
    piece.finish_reason = calls_made_ > 0 ? "tool_calls" : "stop";
  }
  return piece;
}

Piece Choice::OnDone(FinishReason reason) {
  CHECK(!finished_);
  finished_ = true;
  Piece piece;
  if (decoder_ != nullptr) {
    Take(calls_.Push(stops_.Push(decoder_->Flush()) + stops_.Flush()), piece);
    Take(calls_.Flush(), piece);
  }
  const bool is_stop = reason == FinishReason::kStop || stops_.matched();
  piece.finish_reason = !is_stop ? "length" : calls_made_ > 0 ? "tool_calls" : "stop";
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
