#include "model/wrapped.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal::model {

namespace {

// transformers writes of an inner object what differs from these.
constexpr Wrapper kWrappers[] = {
    {"gemma3", "gemma3_text",
     R"({"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216,
         "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
         "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
         "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
         "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 256, "sliding_window": 4096,
         "bos_token_id": 2, "eos_token_id": 1})"},
    {"mistral3", "mistral",
     R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
         "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
         "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
         "rope_theta": 10000.0, "sliding_window": 4096, "bos_token_id": 1, "eos_token_id": 2})"},
};

// transformers has written the first two until 4.51, and the last one since.
struct Renamed {
  std::string_view wrapped;
  std::string_view alone;
};
constexpr Renamed kRenamed[] = {{"language_model.model.", "model."},
                                {"language_model.lm_head.", "lm_head."},
                                {"model.language_model.", "model."}};
constexpr std::string_view kOtherParts[] = {"vision_tower.", "multi_modal_projector.",
                                            "model.vision_tower.", "model.multi_modal_projector."};

}  // namespace

const Wrapper* FindWrapper(std::string_view model_type) {
  const auto found = std::ranges::find(kWrappers, model_type, &Wrapper::model_type);
  return found != std::end(kWrappers) ? found : nullptr;
}

std::string SupportedWrappers() {
  std::string names;
  for (const Wrapper& wrapper : kWrappers) {
    names += StrCat(names.empty() ? "" : ", ", wrapper.model_type);
  }
  return names;
}

Result<boost::json::object> TextConfig(const Wrapper& wrapper, const JsonObject& config) {
  ASSIGN_OR_RETURN(const JsonObject text, config.Object("text_config"));
  ASSIGN_OR_RETURN(const std::string type, text.TextOr("model_type", wrapper.text_type));
  if (type != wrapper.text_type) {
    return Fail(Code::kUnimplemented, StrCat(text.where(), ": model_type: \"", type.substr(0, 80),
                                             "\" is not supported in a ", wrapper.model_type,
                                             " model; \"", wrapper.text_type, "\" is"));
  }
  ASSIGN_OR_RETURN(const boost::json::value defaults, ParseJson(wrapper.defaults, "defaults"));
  boost::json::object all = text.object();
  // A field that is there wins, also one that is null.
  for (const auto& [name, value] : defaults.get_object()) all.emplace(name, value);
  return all;
}

std::string UnwrappedName(std::string_view tensor) {
  for (const auto& [wrapped, alone] : kRenamed) {
    if (tensor.starts_with(wrapped)) return StrCat(alone, tensor.substr(wrapped.size()));
  }
  return std::string(tensor);
}

bool IsOfAnotherPart(std::string_view tensor) {
  return std::ranges::any_of(kOtherParts,
                             [&](std::string_view prefix) { return tensor.starts_with(prefix); });
}

}  // namespace shoal::model
