#include "tokenizer/bpe.h"

#include <queue>

#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

std::string_view View(const boost::json::string& text) { return {text.data(), text.size()}; }

constexpr size_t kMaxMerges = size_t{1} << 23;
// Bytes of all parts of all tokens that are looked up to find what merges to a token. Vocabularies
// of 200,000 tokens need a hundredth of it.
constexpr uint64_t kMaxDivisionBytes = uint64_t{1} << 31;

}  // namespace

Result<std::unique_ptr<SubwordModel>> Bpe::FromJson(const model::JsonObject& object) {
  std::unique_ptr<Bpe> bpe(new Bpe());
  RETURN_IF_ERROR(bpe->ReadVocabulary(object));
  RETURN_IF_ERROR(bpe->ReadOptions(object));
  RETURN_IF_ERROR(bpe->ReadMerges(object));
  return bpe;
}

Result<std::unique_ptr<SubwordModel>> Bpe::FromRankedJson(const model::JsonObject& object) {
  std::unique_ptr<Bpe> bpe(new Bpe());
  RETURN_IF_ERROR(bpe->ReadVocabulary(object));
  RETURN_IF_ERROR(bpe->ReadOptions(object));
  if (!bpe->continuing_prefix_.empty() || !bpe->end_suffix_.empty()) {
    return Fail(Code::kUnimplemented,
                StrCat(object.where(), ": no prefixes or suffixes with merges by rank"));
  }
  RETURN_IF_ERROR(bpe->ReadRanks(object));
  return bpe;
}

Status Bpe::ReadRanks(const model::JsonObject& object) {
  const boost::json::value* const ranks = object.Find("ranks");
  if (ranks != nullptr && !ranks->is_array()) {
    return object.Wrong("ranks", "expected a list of numbers");
  }
  uint64_t division_bytes = 0;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string* const token = vocabulary_.TokenOf(id);
    if (token == nullptr) continue;
    int64_t rank = id;
    if (ranks != nullptr) {
      const boost::json::array& list = ranks->get_array();
      const auto index = static_cast<size_t>(id);
      if (index >= list.size() || !list[index].is_int64() || list[index].get_int64() < -1 ||
          list[index].get_int64() > UINT32_MAX) {
        return object.Wrong("ranks", StrCat("expected a rank, or -1, for id ", id));
      }
      rank = list[index].get_int64();
    }
    if (rank < 0) continue;
    division_bytes += uint64_t{token->size()} * token->size();
    if (division_bytes > kMaxDivisionBytes) {
      return Fail(Code::kResourceExhausted,
                  StrCat(object.where(), ": the tokens are too long together to merge by rank"));
    }
    AddDivisions(*token, {static_cast<uint32_t>(rank), id});
  }
  return {};
}

void Bpe::AddDivisions(const std::string& token, Merge merge) {
  const std::string_view text = token;
  size_t at = 0;
  NextCodePoint(text, at);
  while (at < text.size()) {
    const std::optional<int32_t> left = vocabulary_.Find(text.substr(0, at));
    if (left) {
      if (const std::optional<int32_t> right = vocabulary_.Find(text.substr(at))) {
        merges_.insert_or_assign(PairKey(*left, *right), merge);
      }
    }
    NextCodePoint(text, at);
  }
}

Status Bpe::ReadVocabulary(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const model::JsonObject vocab, object.Object("vocab"));
  for (const auto& entry : vocab.object()) {
    const std::string_view token(entry.key().data(), entry.key().size());
    const boost::json::value& id = entry.value();
    if (!id.is_int64()) {
      return vocab.Wrong(token, "expected a whole number, the token's id");
    }
    if (Status added = vocabulary_.Add(token, id.get_int64()); !added) {
      return FailWithContext(std::move(added).error(), vocab.where());
    }
  }
  return {};
}

Status Bpe::ReadOptions(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const double dropout, object.NumberOr("dropout", 0, 0, 1));
  if (dropout != 0) {
    return Fail(Code::kUnimplemented,
                StrCat(object.where(), ": dropout: only a tokenizer without dropout is supported"));
  }
  ASSIGN_OR_RETURN(continuing_prefix_, object.TextOr("continuing_subword_prefix", ""));
  ASSIGN_OR_RETURN(end_suffix_, object.TextOr("end_of_word_suffix", ""));
  ASSIGN_OR_RETURN(fuse_unknown_, object.BoolOr("fuse_unk", false));
  ASSIGN_OR_RETURN(ignore_merges_, object.BoolOr("ignore_merges", false));
  ASSIGN_OR_RETURN(const bool byte_fallback, object.BoolOr("byte_fallback", false));
  if (byte_fallback) byte_tokens_ = ByteTokens(vocabulary_);
  if (object.Has("unk_token")) {
    ASSIGN_OR_RETURN(const std::string unknown, object.Text("unk_token"));
    unknown_ = vocabulary_.Find(unknown);
    if (!unknown_) {
      return object.Wrong("unk_token", StrCat("the vocabulary has no token \"", unknown, "\""));
    }
  }
  return {};
}

Status Bpe::ReadMerges(const model::JsonObject& object) {
  const boost::json::value* merges = object.Find("merges");
  if (merges == nullptr || !merges->is_array()) {
    return object.Wrong("merges", "expected a list of pairs of tokens");
  }
  const boost::json::array& list = merges->get_array();
  if (list.size() > kMaxMerges) {
    return object.Wrong("merges", StrCat(list.size(), " merges; at most ", kMaxMerges));
  }
  merges_.reserve(list.size());
  for (size_t rank = 0; rank < list.size(); ++rank) {
    const boost::json::value& merge = list[rank];
    std::string_view left, right;
    bool is_pair = false;
    if (merge.is_string()) {
      const std::string_view text = View(merge.get_string());
      const size_t space = text.find(' ');
      is_pair = space != std::string_view::npos && text.find(' ', space + 1) == text.npos;
      if (is_pair) left = text.substr(0, space), right = text.substr(space + 1);
    } else if (merge.is_array() && merge.get_array().size() == 2 &&
               merge.get_array()[0].is_string() && merge.get_array()[1].is_string()) {
      is_pair = true;
      left = View(merge.get_array()[0].get_string());
      right = View(merge.get_array()[1].get_string());
    }
    Status added =
        is_pair ? AddMerge(left, right, static_cast<uint32_t>(rank))
                : Fail(Code::kInvalidArgument, "expected \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
    if (!added) {
      return FailWithContext(std::move(added).error(),
                             StrCat(object.where(), ": merges[", rank, "]"));
    }
  }
  return {};
}

Status Bpe::AddMerge(std::string_view left, std::string_view right, uint32_t rank) {
  const auto missing = [](std::string_view token) {
    return Fail(Code::kInvalidArgument, StrCat("the vocabulary has no token \"", token, "\""));
  };
  const std::optional<int32_t> left_id = vocabulary_.Find(left);
  if (!left_id) return missing(left);
  const std::optional<int32_t> right_id = vocabulary_.Find(right);
  if (!right_id) return missing(right);
  if (right.size() < continuing_prefix_.size()) {
    return Fail(Code::kInvalidArgument,
                StrCat("\"", right, "\" does not begin with \"", continuing_prefix_, "\""));
  }
  const std::string joined = StrCat(left, right.substr(continuing_prefix_.size()));
  const std::optional<int32_t> joined_id = vocabulary_.Find(joined);
  if (!joined_id) return missing(joined);
  // Of two equal pairs the later counts, as a map filled in the file's order has it.
  merges_.insert_or_assign(PairKey(*left_id, *right_id), Merge{rank, *joined_id});
  return {};
}

Status Bpe::Tokenize(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.empty()) return {};
  if (ignore_merges_) {
    if (const std::optional<int32_t> id = vocabulary_.Find(piece)) {
      ids.push_back(*id);
      return {};
    }
  }
  if (cache_.Append(piece, ids)) return {};
  std::vector<int32_t> word = Characters(piece);
  MergeAll(word);
  cache_.Keep(piece, word.data(), word.size());
  ids.insert(ids.end(), word.begin(), word.end());
  return {};
}

std::optional<int32_t> Bpe::CharacterId(std::string_view character, bool first, bool last) const {
  const bool prefixed = !first && !continuing_prefix_.empty();
  const bool suffixed = last && !end_suffix_.empty();
  if (!prefixed && !suffixed) return vocabulary_.Find(character);
  return vocabulary_.Find(StrCat(prefixed ? std::string_view(continuing_prefix_) : "", character,
                                 suffixed ? std::string_view(end_suffix_) : ""));
}

std::vector<int32_t> Bpe::Characters(std::string_view piece) const {
  std::vector<int32_t> ids;
  ids.reserve(piece.size());
  bool unknown_pending = false;  // An unknown character whose id is not appended yet.
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    NextCodePoint(piece, at);
    const std::string_view character = piece.substr(begin, at - begin);
    const bool first = begin == 0, last = at == piece.size();
    if (const std::optional<int32_t> id = CharacterId(character, first, last)) {
      if (unknown_pending) ids.push_back(*unknown_);
      unknown_pending = false;
      ids.push_back(*id);
      continue;
    }
    // Byte fallback does not end a run of unknown characters; the reference has it so.
    const std::string bytes = StrCat(first ? "" : std::string_view(continuing_prefix_), character,
                                     last ? std::string_view(end_suffix_) : "");
    if (byte_tokens_.Append(bytes, ids)) continue;
    if (!unknown_) continue;
    if (unknown_pending && !fuse_unknown_) ids.push_back(*unknown_);
    unknown_pending = true;
  }
  if (unknown_pending) ids.push_back(*unknown_);
  return ids;
}

// The tokens are a linked list; a heap holds the pairs that could be merged, the earliest rank and
// then the leftmost first. An entry is void when its left token is gone or its pair has changed.
void Bpe::MergeAll(std::vector<int32_t>& ids) const {
  struct Candidate {
    uint32_t rank;
    uint32_t left;
    int32_t id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  constexpr uint32_t kNone = UINT32_MAX;
  constexpr int32_t kGone = -1;
  const auto count = static_cast<uint32_t>(ids.size());
  std::vector<uint32_t> next(count), previous(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](uint32_t left, uint32_t right) {
    const auto merge = merges_.find(PairKey(ids[left], ids[right]));
    if (merge != merges_.end()) queue.push({merge->second.rank, left, merge->second.id});
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == count ? kNone : i + 1;
    if (i > 0) offer(i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    const uint32_t left = candidate.left;
    if (ids[left] == kGone || next[left] == kNone) continue;
    const uint32_t right = next[left];
    const auto merge = merges_.find(PairKey(ids[left], ids[right]));
    if (merge == merges_.end() || merge->second.id != candidate.id) continue;
    ids[left] = candidate.id;
    ids[right] = kGone;
    next[left] = next[right];
    if (next[left] != kNone) previous[next[left]] = left;
    if (previous[left] != kNone) offer(previous[left], left);
    if (next[left] != kNone) offer(left, next[left]);
  }
  std::erase(ids, kGone);
}

}  // namespace shoal::tokenizer
