#include "base/str_cat.h"
#include "model/architecture.h"
#include "model/wrapped.h"

namespace shoal::model {

Result<GenerationDefaults> ParseGenerationDefaults(std::string_view config_json,
                                                   std::string_view generation_json,
                                                   uint32_t vocab) {
  GenerationDefaults defaults;
  const auto read_ids = [&](const JsonObject& object) -> Status {
    if (object.Has("bos_token_id")) {
      ASSIGN_OR_RETURN(defaults.bos_id, object.Uint("bos_token_id", 0, vocab - 1));
    }
    if (object.Has("eos_token_id")) {
      ASSIGN_OR_RETURN(const std::vector<uint64_t> ids,
                       object.Uints("eos_token_id", vocab - 1, 64));
      defaults.eos_ids.assign(ids.begin(), ids.end());
    }
    return {};
  };
  ASSIGN_OR_RETURN(const boost::json::value config_value, ParseJson(config_json, "config.json"));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(config_value, "config.json"));
  ASSIGN_OR_RETURN(const std::string type, config.TextOr("model_type", ""));
  if (const Wrapper* const wrapper = FindWrapper(type)) {
    ASSIGN_OR_RETURN(const boost::json::object text, TextConfig(*wrapper, config));
    RETURN_IF_ERROR(read_ids({text, "config.json: text_config"}));
  }
  RETURN_IF_ERROR(read_ids(config));
  if (generation_json.empty()) return defaults;

  const std::string where = "generation_config.json";
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(generation_json, where));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(value, where));
  RETURN_IF_ERROR(read_ids(object));
  ASSIGN_OR_RETURN(defaults.sample, object.BoolOr("do_sample", false));
  ASSIGN_OR_RETURN(defaults.temperature, object.NumberOr("temperature", 1, 0, 100));
  ASSIGN_OR_RETURN(defaults.top_p, object.NumberOr("top_p", 1, 0, 1));
  ASSIGN_OR_RETURN(defaults.top_k, object.UintOr("top_k", 0, 0, kMaxVocab));
  ASSIGN_OR_RETURN(defaults.repetition_penalty,
                   object.NumberOr("repetition_penalty", 1, 1e-3, 100));
  return defaults;
}

}  // namespace shoal::model
