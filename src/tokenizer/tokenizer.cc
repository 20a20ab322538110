#include "tokenizer/tokenizer.h"

#include "base/bytes.h"
#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr std::string_view kFile = "tokenizer.json";

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::Load(std::string_view tokenizer_json) {
  if (tokenizer_json.size() > kMaxFileBytes) {
    return Fail(Code::kResourceExhausted, StrCat(kFile, " has ", FormatSize(tokenizer_json.size()),
                                                 "; at most ", FormatSize(kMaxFileBytes)));
  }
  ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(tokenizer_json, kFile));
  ASSIGN_OR_RETURN(const model::JsonObject file,
                   model::JsonObject::From(value, std::string(kFile)));
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer());
  RETURN_IF_ERROR(tokenizer->Read(file));
  return tokenizer;
}

Status Tokenizer::Read(const model::JsonObject& file) {
  ASSIGN_OR_RETURN(const model::JsonObject model, file.Object("model"));
  ASSIGN_OR_RETURN(model_, ParseSubwordModel(model));
  if (file.Has("normalizer")) {
    ASSIGN_OR_RETURN(const model::JsonObject object, file.Object("normalizer"));
    ASSIGN_OR_RETURN(normalizer_, ParseNormalizer(object));
  }
  if (file.Has("pre_tokenizer")) {
    ASSIGN_OR_RETURN(const model::JsonObject object, file.Object("pre_tokenizer"));
    ASSIGN_OR_RETURN(pre_tokenizer_, ParsePreTokenizer(object));
  }
  if (file.Has("post_processor")) {
    ASSIGN_OR_RETURN(const model::JsonObject object, file.Object("post_processor"));
    ASSIGN_OR_RETURN(post_processor_, PostProcessor::FromJson(object));
  }
  if (file.Has("decoder")) {
    ASSIGN_OR_RETURN(const model::JsonObject object, file.Object("decoder"));
    ASSIGN_OR_RETURN(decoder_, Decoder::FromJson(object));
  }
  ASSIGN_OR_RETURN(added_, AddedTokens::FromJson(file.Find("added_tokens"), model_->vocabulary(),
                                                 normalizer_.get()));
  IndexTokens();
  return {};
}

void Tokenizer::IndexTokens() {
  const Vocabulary& vocabulary = model_->vocabulary();
  tokens_.resize(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (const std::string* token = vocabulary.TokenOf(id)) {
      tokens_[static_cast<size_t>(id)] = {.text = *token, .decoded = *token};
    }
  }
  for (const AddedToken& token : added_.tokens()) {
    const auto index = static_cast<size_t>(token.id);
    if (index >= tokens_.size()) tokens_.resize(index + 1);
    const bool is_special = tokens_[index].is_special || token.special;
    tokens_[index] = {.text = token.content, .decoded = token.decoded, .is_special = is_special};
    added_ids_.insert_or_assign(token.content, token.id);
  }
}

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, bool add_special) const {
  if (text.size() > kMaxTextBytes) {
    return Fail(Code::kResourceExhausted, StrCat("a text of ", FormatSize(text.size()),
                                                 "; at most ", FormatSize(kMaxTextBytes)));
  }
  if (const size_t at = FindInvalidUtf8(text); at != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, StrCat("the text is not UTF-8 at byte ", at));
  }
  ASSIGN_OR_RETURN(std::vector<Piece> pieces, added_.Cut(text, normalizer_.get()));
  if (pre_tokenizer_ != nullptr) RETURN_IF_ERROR(pre_tokenizer_->Apply(pieces));
  std::vector<int32_t> ids;
  for (const Piece& piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
    } else {
      RETURN_IF_ERROR(model_->Tokenize(piece.text, ids));
    }
  }
  if (!add_special) return ids;
  return post_processor_.Apply(std::move(ids));
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  DecoderChain chain = decoder_.NewChain(text);
  for (const int32_t id : ids) {
    if (const auto token = DecoderInput(id, skip_special)) chain.Push(*token);
  }
  chain.Flush();
  return text;
}

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  if (const auto found = added_ids_.find(token); found != added_ids_.end()) return found->second;
  return model_->vocabulary().Find(token);
}

std::optional<std::string_view> Tokenizer::IdToToken(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return std::nullopt;
  return tokens_[static_cast<size_t>(id)].text;
}

std::optional<std::string_view> Tokenizer::DecoderInput(int32_t id, bool skip_special) const {
  if (!IdToToken(id) || (skip_special && IsSpecial(id))) return std::nullopt;
  return tokens_[static_cast<size_t>(id)].decoded;
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < vocab_size() && tokens_[static_cast<size_t>(id)].is_special;
}

}  // namespace shoal::tokenizer
