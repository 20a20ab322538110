#include "model/architecture.h"

#include <cmath>

#include "base/str_cat.h"

namespace shoal::model {

namespace {

constexpr std::string_view kConfig = "config.json";

std::unexpected<Error> Unsupported(const JsonObject& config, std::string_view name,
                                   std::string_view detail) {
  return Fail(Code::kUnimplemented, StrCat(config.where(), ": ", name, ": ", detail));
}

// What the LLaMA-like families have in common: everything but their own switches.
Result<Architecture> ReadDense(const JsonObject& config) {
  Architecture arch;
  ASSIGN_OR_RETURN(arch.hidden, config.Uint("hidden_size", 1, kMaxWidth));
  ASSIGN_OR_RETURN(arch.layers, config.Uint("num_hidden_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(arch.vocab, config.Uint("vocab_size", 1, kMaxVocab));
  ASSIGN_OR_RETURN(arch.positions, config.Uint("max_position_embeddings", 1, kMaxPositions));
  ASSIGN_OR_RETURN(arch.norm_epsilon, config.NumberOr("rms_norm_eps", 1e-6, 1e-12, 1));
  ASSIGN_OR_RETURN(arch.mlp.intermediate, config.Uint("intermediate_size", 1, kMaxWidth));
  ASSIGN_OR_RETURN(arch.tied, config.BoolOr("tie_word_embeddings", false));
  ASSIGN_OR_RETURN(const std::string activation, config.TextOr("hidden_act", "silu"));
  if (activation != "silu") {
    return Unsupported(config, "hidden_act",
                       StrCat("\"", activation, "\" is not supported; only \"silu\" is"));
  }

  Attention& attention = arch.attention;
  ASSIGN_OR_RETURN(attention.heads, config.Uint("num_attention_heads", 1, kMaxWidth));
  ASSIGN_OR_RETURN(attention.kv_heads,
                   config.UintOr("num_key_value_heads", attention.heads, 1, attention.heads));
  if (attention.heads % attention.kv_heads != 0) {
    return config.Wrong("num_key_value_heads", StrCat(attention.kv_heads, " does not divide the ",
                                                      attention.heads, " attention heads"));
  }
  if (!config.Has("head_dim") && arch.hidden % attention.heads != 0) {
    return config.Wrong("num_attention_heads",
                        StrCat(attention.heads, " does not divide hidden_size ", arch.hidden,
                               ", and head_dim is missing"));
  }
  ASSIGN_OR_RETURN(attention.head_size,
                   config.UintOr("head_dim", arch.hidden / attention.heads, 1, 1024));
  // ONNX Runtime's GroupQueryAttention rotates no others.
  if (attention.head_size % 16 != 0) {
    return Unsupported(
        config, "head_dim",
        StrCat("a head of ", attention.head_size, " values; only multiples of 16 are supported"));
  }
  if (uint64_t{attention.heads} * attention.head_size > kMaxWidth) {
    return config.Wrong("num_attention_heads",
                        StrCat(attention.heads, " heads of ", attention.head_size,
                               " values are more than ", kMaxWidth, " together"));
  }
  attention.scale = 1 / std::sqrt(static_cast<double>(attention.head_size));
  ASSIGN_OR_RETURN(arch.rope, ReadRope(config, arch.positions));
  return arch;
}

// A window that never closes within the context is no window.
Status RefuseSlidingWindow(const JsonObject& config, const Architecture& arch) {
  if (config.Has("use_sliding_window")) {
    ASSIGN_OR_RETURN(const bool used, config.Bool("use_sliding_window"));
    if (!used) return {};
  }
  if (!config.Has("sliding_window")) return {};
  ASSIGN_OR_RETURN(const uint64_t window, config.Uint("sliding_window", 1, kMaxPositions));
  if (window >= arch.positions) return {};
  return Unsupported(config, "sliding_window",
                     StrCat("attention over a window of ", window, " positions is not supported"));
}

Status FinishLlama(const JsonObject& config, Architecture& arch) {
  ASSIGN_OR_RETURN(arch.attention.qkv_bias, config.BoolOr("attention_bias", false));
  arch.attention.output_bias = arch.attention.qkv_bias;
  ASSIGN_OR_RETURN(arch.mlp.bias, config.BoolOr("mlp_bias", false));
  return {};
}

Status FinishMistral(const JsonObject& config, Architecture& arch) {
  return RefuseSlidingWindow(config, arch);
}

Status FinishQwen2(const JsonObject& config, Architecture& arch) {
  arch.attention.qkv_bias = true;
  return RefuseSlidingWindow(config, arch);
}

Status FinishQwen3(const JsonObject& config, Architecture& arch) {
  ASSIGN_OR_RETURN(arch.attention.qkv_bias, config.BoolOr("attention_bias", false));
  arch.attention.output_bias = arch.attention.qkv_bias;
  arch.attention.qk_norm = QkNorm::kPerHead;
  return RefuseSlidingWindow(config, arch);
}

Status FinishSmolLm3(const JsonObject& config, Architecture& arch) {
  RETURN_IF_ERROR(FinishLlama(config, arch));
  RETURN_IF_ERROR(RefuseSlidingWindow(config, arch));
  std::vector<uint64_t> rotated;
  if (config.Has("no_rope_layers")) {
    // In spite of its name, 1 says that the layer is rotated.
    ASSIGN_OR_RETURN(rotated, config.Uints("no_rope_layers", 1, kMaxLayers));
  } else {
    ASSIGN_OR_RETURN(const uint64_t interval,
                     config.UintOr("no_rope_layer_interval", 4, 1, kMaxLayers));
    for (uint32_t layer = 0; layer < arch.layers; ++layer) {
      rotated.push_back((layer + 1) % interval != 0 ? 1 : 0);
    }
  }
  if (rotated.size() != arch.layers) {
    return config.Wrong("no_rope_layers", StrCat("expected one number for each of the ",
                                                 arch.layers, " layers, found ", rotated.size()));
  }
  arch.rotated_layers.assign(rotated.begin(), rotated.end());
  return {};
}

Status FinishOlmo2(const JsonObject& config, Architecture& arch) {
  ASSIGN_OR_RETURN(arch.attention.qkv_bias, config.BoolOr("attention_bias", false));
  arch.attention.output_bias = arch.attention.qkv_bias;
  arch.attention.qk_norm = QkNorm::kWhole;
  arch.norm = NormPlacement::kAfter;
  return {};
}

struct Family {
  std::string_view name;
  Status (*finish)(const JsonObject& config, Architecture& arch);
};
constexpr Family kFamilies[] = {
    {"llama", FinishLlama}, {"mistral", FinishMistral}, {"qwen2", FinishQwen2},
    {"qwen3", FinishQwen3}, {"smollm3", FinishSmolLm3}, {"olmo2", FinishOlmo2},
};

}  // namespace

std::string SupportedFamilies() {
  std::string names;
  for (const Family& family : kFamilies) {
    if (!names.empty()) names += ", ";
    names += family.name;
  }
  return names;
}

Result<Architecture> ParseArchitecture(std::string_view config_json) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(config_json, kConfig));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(value, std::string(kConfig)));
  ASSIGN_OR_RETURN(const std::string type, config.Text("model_type"));
  for (const Family& family : kFamilies) {
    if (family.name != type) continue;
    if (config.Has("quantization_config")) {
      return Unsupported(config, "quantization_config",
                         "quantised checkpoints are not supported; use one in bf16, f16 or f32");
    }
    ASSIGN_OR_RETURN(Architecture arch, ReadDense(config));
    RETURN_IF_ERROR(family.finish(config, arch));
    arch.family = type;
    return arch;
  }
  return Unsupported(config, "model_type",
                     StrCat("\"", type, "\" is not supported; supported: ", SupportedFamilies()));
}

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
  ASSIGN_OR_RETURN(const boost::json::value config_value, ParseJson(config_json, kConfig));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(config_value, std::string(kConfig)));
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
