#include "tokenizer/convert/special_tokens.h"

#include <charconv>

#include "base/str_cat.h"
#include "model/json.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

namespace {

constexpr std::string_view kConfigFile = "tokenizer_config.json";

// "bos_token": a text, or an object with one.
Result<std::optional<std::string>> TokenText(const model::JsonObject& config,
                                             std::string_view name) {
  const boost::json::value* value = config.Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_object()) {
    ASSIGN_OR_RETURN(const model::JsonObject token, config.Object(name));
    ASSIGN_OR_RETURN(std::string content, token.Text("content"));
    return content;
  }
  ASSIGN_OR_RETURN(std::string text, config.Text(name));
  return text;
}

Result<std::optional<bool>> Switch(const model::JsonObject& config, std::string_view name) {
  if (!config.Has(name)) return std::nullopt;
  ASSIGN_OR_RETURN(const bool on, config.Bool(name));
  return on;
}

Result<boost::json::object> ReadAdded(const model::JsonObject& token, int32_t id) {
  ASSIGN_OR_RETURN(const std::string content, token.Text("content"));
  ASSIGN_OR_RETURN(const bool special, token.BoolOr("special", false));
  boost::json::object added = AddedTokenJson(id, content, special);
  for (const char* field : {"single_word", "lstrip", "rstrip", "normalized"}) {
    ASSIGN_OR_RETURN(added[field], token.BoolOr(field, false));
  }
  return added;
}

Status ReadAddedTokens(const model::JsonObject& config, TokenizerConfig& out) {
  if (!config.Has("added_tokens_decoder")) return {};
  ASSIGN_OR_RETURN(const model::JsonObject tokens, config.Object("added_tokens_decoder"));
  for (const auto& entry : tokens.object()) {
    const std::string_view key(entry.key().data(), entry.key().size());
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= kMaxTokens) {
      return tokens.Wrong(key, StrCat("expected an id from 0 to ", kMaxTokens - 1));
    }
    ASSIGN_OR_RETURN(const model::JsonObject token, tokens.Object(key));
    ASSIGN_OR_RETURN(out.added[id], ReadAdded(token, id));
  }
  return {};
}

}  // namespace

Result<TokenizerConfig> ReadTokenizerConfig(std::string_view json) {
  TokenizerConfig out;
  if (json.empty()) return out;
  ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(json, kConfigFile));
  ASSIGN_OR_RETURN(const model::JsonObject config,
                   model::JsonObject::From(value, std::string(kConfigFile)));
  ASSIGN_OR_RETURN(out.tokenizer_class, config.TextOr("tokenizer_class", ""));
  RETURN_IF_ERROR(ReadAddedTokens(config, out));
  ASSIGN_OR_RETURN(out.bos, TokenText(config, "bos_token"));
  ASSIGN_OR_RETURN(out.eos, TokenText(config, "eos_token"));
  ASSIGN_OR_RETURN(out.add_bos, Switch(config, "add_bos_token"));
  ASSIGN_OR_RETURN(out.add_eos, Switch(config, "add_eos_token"));
  ASSIGN_OR_RETURN(out.legacy, config.BoolOr("legacy", true));
  return out;
}

boost::json::object AddedTokenJson(int32_t id, std::string_view content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

boost::json::array WithConfigured(std::map<int32_t, boost::json::object> tokens,
                                  const TokenizerConfig& config) {
  for (const auto& [id, token] : config.added) tokens.insert_or_assign(id, token);
  boost::json::array list;
  for (auto& [id, token] : tokens) list.push_back(std::move(token));
  return list;
}

boost::json::value PostProcessorJson(const std::optional<EndToken>& first,
                                     const std::optional<EndToken>& last) {
  if (!first && !last) return nullptr;
  boost::json::array single;
  boost::json::object specials;
  const auto add = [&](const EndToken& token) {
    single.push_back(
        boost::json::object{{"SpecialToken", {{"id", token.content}, {"type_id", 0}}}});
    specials[token.content] = {{"id", token.content},
                               {"ids", boost::json::array{token.id}},
                               {"tokens", boost::json::array{token.content}}};
  };
  if (first) add(*first);
  single.push_back(boost::json::object{{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (last) add(*last);
  return boost::json::object{{"type", "TemplateProcessing"},
                             {"single", std::move(single)},
                             {"pair", boost::json::array{}},
                             {"special_tokens", std::move(specials)}};
}

}  // namespace shoal::tokenizer
