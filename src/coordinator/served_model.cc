#include "coordinator/served_model.h"

#include <spdlog/spdlog.h>

#include <boost/json.hpp>

namespace shoal {

namespace {

// tokenizer_config.json; empty when it is missing or broken.
boost::json::object ReadTokenizerConfig(const store::Pack& pack) {
  const Result<std::string> text = pack.ReadPackedFile("tokenizer_config.json");
  if (!text) return {};
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(*text, error);
  return !error && parsed.is_object() ? parsed.get_object() : boost::json::object();
}

// The template's text: a file of its own, or in tokenizer_config.json, where it is a string or a
// list of named ones, "default" among them. Empty when there is none.
std::string FindChatTemplate(const store::Pack& pack, const boost::json::object& config) {
  if (Result<std::string> file = pack.ReadPackedFile("chat_template.jinja")) return *file;
  const boost::json::value* field = config.if_contains("chat_template");
  if (field == nullptr) return {};
  if (const auto* text = field->if_string()) return std::string(*text);
  const boost::json::array* named = field->if_array();
  if (named == nullptr) return {};
  for (const boost::json::value& entry : *named) {
    const auto* one = entry.if_object();
    const auto* name = one == nullptr ? nullptr : one->if_contains("name");
    const auto* text = one == nullptr ? nullptr : one->if_contains("template");
    if (name == nullptr || text == nullptr || !text->is_string()) continue;
    if (name->is_string() && name->get_string() == "default")
      return std::string(text->get_string());
  }
  return {};
}

// The special tokens that templates name: a string, or an object with the string as its content.
std::vector<std::pair<std::string, std::string>> TemplateVariables(
    const boost::json::object& config) {
  std::vector<std::pair<std::string, std::string>> variables;
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const boost::json::value* field = config.if_contains(name);
    if (field != nullptr && field->is_object()) field = field->get_object().if_contains("content");
    if (field != nullptr && field->is_string()) {
      variables.emplace_back(name, std::string(field->get_string()));
    }
  }
  return variables;
}

}  // namespace

Result<TextSide> LoadTextSide(const store::Pack& pack) {
  TextSide text;
  const Result<std::string> tokenizer_json = pack.ReadPackedFile("tokenizer.json");
  if (!tokenizer_json) {
    if (tokenizer_json.error().code != Code::kNotFound) {
      return std::unexpected(tokenizer_json.error());
    }
    spdlog::warn("the pack has no tokenizer: prompts are token ids");
    return text;
  }
  ASSIGN_OR_RETURN(text.tokenizer, tokenizer::Tokenizer::Load(*tokenizer_json));
  const boost::json::object config = ReadTokenizerConfig(pack);
  text.template_variables = TemplateVariables(config);
  const std::string chat_template = FindChatTemplate(pack, config);
  if (chat_template.empty()) {
    spdlog::warn("the pack has no chat template: only /v1/completions can be used");
    return text;
  }
  Result<tokenizer::ChatTemplate> chat = tokenizer::ChatTemplate::Load(chat_template);
  if (chat) {
    text.chat_template = *std::move(chat);
    text.tool_form = api::ToolFormOf(chat_template);
  } else {
    spdlog::warn("the chat template cannot be used: {}", chat.error().ToString());
  }
  return text;
}

api::ModelFacts DescribeModel(const store::Pack& pack, uint32_t positions, const TextSide& text,
                              int64_t created_unix_s) {
  const store::Manifest& manifest = pack.manifest();
  api::ModelFacts facts;
  facts.id = manifest.name;
  facts.created = created_unix_s;
  facts.context_tokens = positions;
  facts.vocab_size = manifest.model.vocab;
  for (const auto id : manifest.generation.eos_ids) {
    facts.end_ids.push_back(static_cast<int32_t>(id));
  }
  facts.template_variables = text.template_variables;
  facts.tool_form = text.tool_form;
  facts.fingerprint = "shoal_" + store::Hex(pack.id()).substr(0, 12);
  const model::GenerationDefaults& defaults = manifest.generation;
  facts.default_sampling.temperature = static_cast<float>(defaults.temperature);
  facts.default_sampling.top_p = static_cast<float>(defaults.top_p);
  facts.default_sampling.top_k = static_cast<uint32_t>(defaults.top_k);
  facts.default_sampling.repetition_penalty = static_cast<float>(defaults.repetition_penalty);
  return facts;
}

}  // namespace shoal
