#include "tokenizer/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

// How much worse than the worst token an unknown character is (SentencePiece's kUnkPenalty).
constexpr double kUnknownPenalty = 10.0;

std::optional<double> Score(const boost::json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<SubwordModel>> Unigram::FromJson(const model::JsonObject& object) {
  std::unique_ptr<Unigram> unigram(new Unigram());
  RETURN_IF_ERROR(unigram->ReadVocabulary(object));
  if (object.Has("unk_id")) {
    const int32_t size = unigram->vocabulary_.size();
    if (size == 0) return object.Wrong("unk_id", "the vocabulary is empty");
    ASSIGN_OR_RETURN(const uint64_t unknown,
                     object.Uint("unk_id", 0, static_cast<uint64_t>(size) - 1));
    unigram->unknown_ = static_cast<int32_t>(unknown);
  }
  ASSIGN_OR_RETURN(const bool byte_fallback, object.BoolOr("byte_fallback", false));
  if (byte_fallback) unigram->byte_tokens_ = ByteTokens(unigram->vocabulary_);
  return unigram;
}

Status Unigram::ReadVocabulary(const model::JsonObject& object) {
  const boost::json::value* vocab = object.Find("vocab");
  if (vocab == nullptr || !vocab->is_array()) {
    return object.Wrong("vocab", "expected a list of [token, score]");
  }
  double lowest = std::numeric_limits<double>::infinity();
  for (const boost::json::value& entry : vocab->get_array()) {
    const size_t id = scores_.size();
    const bool is_pair =
        entry.is_array() && entry.get_array().size() == 2 && entry.get_array()[0].is_string();
    const std::optional<double> score = is_pair ? Score(entry.get_array()[1]) : std::nullopt;
    if (!score || !std::isfinite(*score)) {
      return object.Wrong(StrCat("vocab[", id, "]"), "expected [token, score]");
    }
    const boost::json::string& token = entry.get_array()[0].get_string();
    RETURN_IF_ERROR(vocabulary_.Add({token.data(), token.size()}, static_cast<int64_t>(id)));
    scores_.push_back(*score);
    lowest = std::min(lowest, *score);
  }
  unknown_score_ = lowest - kUnknownPenalty;
  std::vector<std::pair<std::string_view, int32_t>> entries;
  entries.reserve(scores_.size());
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string* token = vocabulary_.TokenOf(id);
    CHECK(token != nullptr);
    entries.emplace_back(*token, *vocabulary_.Find(*token));
  }
  trie_ = Trie(entries);
  return {};
}

Result<std::vector<size_t>> Unigram::Divide(std::string_view piece) const {
  // The best way to reach each byte position: where its last token begins, and which it is.
  struct Arrival {
    double score = 0;
    size_t from = std::string_view::npos;
    int32_t id = 0;
  };
  std::vector<Arrival> arrivals(piece.size() + 1);
  for (size_t at = 0; at < piece.size();) {
    const double score_here = arrivals[at].score;
    size_t after_character = at;
    NextCodePoint(piece, after_character);
    bool has_single = false;
    const auto offer = [&](size_t to, double score, int32_t id) {
      Arrival& arrival = arrivals[to];
      if (arrival.from != std::string_view::npos && !(score > arrival.score)) return;
      arrival = {score, at, id};
    };
    trie_.ForEachPrefix(piece.substr(at), [&](size_t size, int32_t id) {
      offer(at + size, scores_[static_cast<size_t>(id)] + score_here, id);
      has_single = has_single || at + size == after_character;
    });
    if (!has_single) {
      if (!unknown_) {
        return Fail(Code::kFailedPrecondition,
                    StrCat("the tokenizer has no token for \"",
                           piece.substr(at, after_character - at), "\" and no unknown token"));
      }
      offer(after_character, unknown_score_ + score_here, *unknown_);
    }
    at = after_character;
  }
  std::vector<size_t> sizes;
  bool unknown_open = false;
  for (size_t end = piece.size(); end > 0; end = arrivals[end].from) {
    const Arrival& arrival = arrivals[end];
    CHECK(arrival.from < end);
    const bool is_unknown = unknown_ && arrival.id == *unknown_;
    if (is_unknown && unknown_open) {
      sizes.back() += end - arrival.from;
    } else {
      sizes.push_back(end - arrival.from);
    }
    unknown_open = is_unknown;
  }
  std::ranges::reverse(sizes);
  return sizes;
}

Status Unigram::Tokenize(std::string_view piece, std::vector<int32_t>& ids) const {
  ASSIGN_OR_RETURN(const std::vector<size_t> sizes, Divide(piece));
  size_t at = 0;
  for (const size_t size : sizes) {
    const std::string_view text = piece.substr(at, size);
    at += size;
    if (const std::optional<int32_t> id = vocabulary_.Find(text)) {
      ids.push_back(*id);
    } else if (!byte_tokens_.Append(text, ids)) {
      CHECK(unknown_.has_value());
      ids.push_back(*unknown_);
    }
  }
  return {};
}

}  // namespace shoal::tokenizer
