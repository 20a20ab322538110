// tiktoken's files: a line for each token, its bytes in base64 and its rank, which is its id.
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "base/str_cat.h"
#include "tokenizer/base64.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/convert/convert.h"
#include "tokenizer/convert/divisions.h"
#include "tokenizer/convert/piece_model.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kMaxTokenBytes = 4096;
constexpr size_t kMaxTiktokenBytes = size_t{64} << 20;

// Files that are known by their names: how they divide a text, and how tokens are called that the
// configuration does not name, of which so many follow the file's.
struct Kind {
  std::string_view file;
  std::string_view division;
  int32_t reserved = 0;
  std::string_view reserved_prefix;  // "<|reserved_token_" and the id, or the count from 0.
  bool reserved_by_id = false;
};
constexpr Kind kKinds[] = {
    {"tiktoken.model", "kimi-k2", 256, "<|reserved_token_", true},
    {"tokenizer.model", "llama-bpe", 256, "<|reserved_special_token_"},
    {"qwen.tiktoken", "qwen2"},
    {"o200k_base.tiktoken", "gpt-4o"},
    {"cl100k_base.tiktoken", "cl100k"},
};
constexpr std::string_view kFiles[] = {"tiktoken.model", "tokenizer.model", "qwen.tiktoken",
                                       "o200k_base.tiktoken", "cl100k_base.tiktoken"};

Result<boost::json::object> ReadTokens(std::string_view name, std::string_view content) {
  boost::json::object vocab;
  std::vector<bool> bytes(256), ids;
  size_t line_number = 0;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const auto token = DecodeBase64(line.substr(0, space));
    int64_t id = -1;
    const std::string_view digits = space == line.npos ? "" : line.substr(space + 1);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if (!token || token->empty() || token->size() > kMaxTokenBytes || error != std::errc() ||
        stop != digits.data() + digits.size() || id < 0 || id >= kMaxTokens) {
      return Fail(Code::kInvalidArgument,
                  StrCat(name, ":", line_number, ": expected a token in base64 and its rank"));
    }
    if (token->size() == 1) bytes[static_cast<uint8_t>((*token)[0])] = true;
    if (ids.size() <= static_cast<size_t>(id)) ids.resize(static_cast<size_t>(id) + 1);
    const std::string text = BytesToCharacters(*token);
    if (ids[static_cast<size_t>(id)] || !vocab.emplace(text, id).second) {
      return Fail(Code::kInvalidArgument,
                  StrCat(name, ":", line_number, ": a token or a rank that was there before"));
    }
    ids[static_cast<size_t>(id)] = true;
  }
  if (std::ranges::count(bytes, true) != 256) {
    return Fail(Code::kInvalidArgument, StrCat(name, ": not every byte has a token"));
  }
  return vocab;
}

std::map<int32_t, boost::json::object> ReservedTokens(const Kind& kind, int32_t first,
                                                      const TokenizerConfig& config) {
  std::map<int32_t, boost::json::object> tokens;
  int32_t unnamed = 0;
  for (int32_t id = first; id < first + kind.reserved; ++id) {
    if (config.added.contains(id)) continue;
    const int32_t number = kind.reserved_by_id ? id : unnamed++;
    tokens[id] = AddedTokenJson(id, StrCat(kind.reserved_prefix, number, "|>"), true);
  }
  return tokens;
}

std::optional<EndToken> FindEnd(const TokenizerConfig& config,
                                const std::optional<std::string>& text) {
  for (const auto& [id, token] : config.added) {
    if (text && token.at("content").as_string() == *text) return EndToken{*text, id};
  }
  return std::nullopt;
}

Result<std::string> OfTiktoken(const Kind& kind, std::string_view content,
                               const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(boost::json::object vocab, ReadTokens(kind.file, content));
  int64_t largest = 0;
  for (const auto& entry : vocab) largest = std::max(largest, entry.value().as_int64());
  auto reserved = ReservedTokens(kind, static_cast<int32_t>(largest) + 1, config);
  std::optional<EndToken> first, last;
  if (config.add_bos.value_or(kind.file == "tokenizer.model")) first = FindEnd(config, config.bos);
  if (config.add_eos.value_or(false)) last = FindEnd(config, config.eos);
  const boost::json::object json = {
      {"version", "1.0"},
      {"added_tokens", WithConfigured(std::move(reserved), config)},
      {"normalizer", nullptr},
      {"pre_tokenizer", *DivisionJson(kind.division)},
      {"post_processor", PostProcessorJson(first, last)},
      {"decoder",
       {{"type", "ByteLevel"},
        {"add_prefix_space", false},
        {"trim_offsets", true},
        {"use_regex", false}}},
      {"model", {{"type", "RankedBPE"}, {"ignore_merges", true}, {"vocab", std::move(vocab)}}}};
  return boost::json::serialize(json);
}

// SentencePiece files begin with the tag of their first piece, tiktoken's with base64.
bool IsSentencePiece(std::string_view content) { return content.starts_with('\x0A'); }

}  // namespace

std::span<const std::string_view> TokenizerModelFiles() { return kFiles; }

Result<std::string> TokenizerJsonOf(std::string_view name, std::string_view content,
                                    std::string_view tokenizer_config_json) {
  if (content.size() > kMaxTiktokenBytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(name, ": ", content.size(), " bytes; at most ", kMaxTiktokenBytes));
  }
  ASSIGN_OR_RETURN(const TokenizerConfig config, ReadTokenizerConfig(tokenizer_config_json));
  if (name == "tokenizer.model" && IsSentencePiece(content)) {
    ASSIGN_OR_RETURN(const PieceModel model, ParsePieceModel(content));
    Result<boost::json::object> json = TokenizerJsonOfPieces(model, config);
    if (!json) return FailWithContext(std::move(json).error(), name);
    return boost::json::serialize(*json);
  }
  for (const Kind& kind : kKinds) {
    if (kind.file == name) return OfTiktoken(kind, content, config);
  }
  return Fail(Code::kUnimplemented, StrCat(name, ": not a tokenizer file that is known"));
}

}  // namespace shoal::tokenizer
