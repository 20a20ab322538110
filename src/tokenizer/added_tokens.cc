#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <optional>

#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kMaxAddedTokens = 1 << 17;
constexpr size_t kMaxAddedTokenBytes = 1024;

// Where the last character of text[0, end) begins; end > 0.
size_t PreviousCharacter(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool EndsWithWord(std::string_view text) {
  if (text.empty()) return false;
  size_t at = PreviousCharacter(text, text.size());
  return IsWord(NextCodePoint(text, at));
}

bool BeginsWithWord(std::string_view text) {
  size_t at = 0;
  return !text.empty() && IsWord(NextCodePoint(text, at));
}

// Where the whitespace that ends text[floor, end) begins.
size_t TrailingWhitespace(std::string_view text, size_t floor, size_t end) {
  while (end > floor) {
    const size_t begin = PreviousCharacter(text, end);
    size_t at = begin;
    if (!IsWhitespace(NextCodePoint(text, at))) break;
    end = begin;
  }
  return end;
}

// Where the whitespace at `begin` ends.
size_t LeadingWhitespace(std::string_view text, size_t begin) {
  for (size_t at = begin; at < text.size() && IsWhitespace(NextCodePoint(text, at));) begin = at;
  return begin;
}

Result<AddedToken> ParseAddedToken(const model::JsonObject& object, const Vocabulary& vocabulary) {
  AddedToken token;
  ASSIGN_OR_RETURN(token.content, object.Text("content", kMaxAddedTokenBytes));
  ASSIGN_OR_RETURN(const uint64_t id, object.Uint("id", 0, kMaxTokens - 1));
  token.id = vocabulary.Find(token.content).value_or(static_cast<int32_t>(id));
  ASSIGN_OR_RETURN(token.special, object.BoolOr("special", false));
  ASSIGN_OR_RETURN(token.single_word, object.BoolOr("single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, object.BoolOr("lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, object.BoolOr("rstrip", false));
  ASSIGN_OR_RETURN(token.normalized, object.BoolOr("normalized", !token.special));
  return token;
}

}  // namespace

Result<AddedTokens> AddedTokens::FromJson(const boost::json::value* list,
                                          const Vocabulary& vocabulary,
                                          const Normalizer* normalizer) {
  AddedTokens added;
  if (list == nullptr) return added;
  const std::string where = "tokenizer.json: added_tokens";
  if (!list->is_array() || list->get_array().size() > kMaxAddedTokens) {
    return Fail(Code::kInvalidArgument,
                StrCat(where, ": expected a list of at most ", kMaxAddedTokens, " tokens"));
  }
  for (const boost::json::value& entry : list->get_array()) {
    ASSIGN_OR_RETURN(const model::JsonObject object,
                     model::JsonObject::From(entry, StrCat(where, "[", added.tokens_.size(), "]")));
    ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(object, vocabulary));
    added.tokens_.push_back(std::move(token));
  }
  std::vector<std::pair<std::string_view, int32_t>> raw, normalized;
  // Where two tokens read the same, a special one counts before others.
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < added.tokens_.size(); ++i) {
      AddedToken& token = added.tokens_[i];
      if (token.special != special) continue;
      token.decoded = token.content;
      if (token.normalized && normalizer != nullptr) {
        ASSIGN_OR_RETURN(token.decoded, normalizer->Apply(token.content));
      }
      (token.normalized ? normalized : raw).emplace_back(token.decoded, static_cast<int32_t>(i));
    }
  }
  added.raw_ = Trie(raw);
  added.normalized_ = Trie(normalized);
  return added;
}

template <typename Keep>
Status AddedTokens::Scan(std::string_view text, bool begins_input, const Trie& trie,
                         std::vector<Piece>& pieces, const Keep& keep) const {
  size_t taken = 0;  // Up to here the text is in pieces.
  const auto keep_until = [&](size_t end) -> Status {
    if (end <= taken) return {};
    return keep(std::string(text.substr(taken, end - taken)), begins_input && taken == 0);
  };
  for (size_t at = 0; at < text.size();) {
    const Trie::Match match = trie.LongestPrefix(text.substr(at));
    if (match.value < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
    const size_t begin = at;
    const size_t end = at = begin + match.size;
    if (token.single_word &&
        (EndsWithWord(text.substr(0, begin)) || BeginsWithWord(text.substr(end)))) {
      continue;
    }
    const size_t from =
        token.lstrip ? std::max(taken, TrailingWhitespace(text, std::min(taken, begin), begin))
                     : begin;
    RETURN_IF_ERROR(keep_until(from));
    pieces.push_back({token.content, token.id, false});
    taken = token.rstrip ? LeadingWhitespace(text, end) : end;
  }
  return keep_until(text.size());
}

Result<std::vector<Piece>> AddedTokens::Cut(std::string_view text,
                                            const Normalizer* normalizer) const {
  std::vector<Piece> pieces;
  RETURN_IF_ERROR(Scan(text, true, raw_, pieces, [&](std::string part, bool begins) -> Status {
    if (normalizer != nullptr) {
      ASSIGN_OR_RETURN(part, normalizer->Apply(std::move(part)));
    }
    return Scan(part, begins, normalized_, pieces,
                [&](std::string inner, bool begins_too) -> Status {
                  pieces.push_back({std::move(inner), -1, begins_too});
                  return {};
                });
  }));
  return pieces;
}

}  // namespace shoal::tokenizer
