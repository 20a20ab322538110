#include "model/architecture.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/families.h"
#include "model/wrapped.h"

namespace shoal::model {

namespace {

constexpr std::string_view kConfig = "config.json";

std::unexpected<Error> Unsupported(const JsonObject& config, std::string_view name,
                                   std::string_view detail) {
  return Fail(Code::kUnimplemented, StrCat(config.where(), ": ", name, ": ", detail));
}

Result<bool> IsOn(const JsonObject& config, const Switch& from) {
  if (from.field.empty()) return from.on;
  return config.BoolOr(from.field, from.on);
}

Status ReadSizes(const JsonObject& config, const Family& family, Architecture& arch) {
  const ConfigNames& names = family.config;
  ASSIGN_OR_RETURN(arch.hidden, config.Uint(names.hidden, 1, kMaxWidth));
  ASSIGN_OR_RETURN(arch.layers, config.Uint(names.layers, 1, kMaxLayers));
  ASSIGN_OR_RETURN(arch.vocab, config.Uint("vocab_size", 1, kMaxVocab));
  ASSIGN_OR_RETURN(arch.positions, config.Uint(names.positions, 1, kMaxPositions));
  arch.layer_kinds.resize(arch.layers);
  arch.norm = {family.norm, family.placement, 0, family.norm_minus_one};
  ASSIGN_OR_RETURN(arch.norm.epsilon, config.NumberOr(names.norm_epsilon, 1e-6, 1e-12, 1));
  ASSIGN_OR_RETURN(arch.tied, config.BoolOr("tie_word_embeddings", family.tied));
  ASSIGN_OR_RETURN(arch.extra_layers, config.UintOr("num_nextn_predict_layers", 0, 0, kMaxLayers));
  arch.learned_positions = family.learned_positions;
  if (family.scaled_embedding) arch.embedding_scale = std::sqrt(static_cast<double>(arch.hidden));
  ASSIGN_OR_RETURN(arch.logit_softcap, config.NumberOr("final_logit_softcapping", 0, 0, 1e6));
  return {};
}

Status ReadMlp(const JsonObject& config, const Family& family, Architecture& arch) {
  const ConfigNames& names = family.config;
  Mlp& mlp = arch.mlp;
  mlp.gated = family.gated;
  if (family.intermediate_factor != 0 && !config.Has(names.intermediate)) {
    mlp.intermediate = family.intermediate_factor * arch.hidden;
  } else {
    ASSIGN_OR_RETURN(mlp.intermediate, config.Uint(names.intermediate, 1, kMaxWidth));
  }
  ASSIGN_OR_RETURN(mlp.bias, IsOn(config, family.mlp_bias));
  ASSIGN_OR_RETURN(const std::string activation,
                   config.TextOr(names.activation, family.activation));
  if (activation == "silu" || activation == "swish") {
    mlp.activation = Activation::kSilu;
  } else if (activation == "gelu_pytorch_tanh" || activation == "gelu_new") {
    mlp.activation = Activation::kGeluTanh;
  } else {
    return Unsupported(config, names.activation,
                       StrCat("\"", activation,
                              "\" is not supported; supported: silu, "
                              "gelu_pytorch_tanh, gelu_new"));
  }
  return {};
}

Status ReadHeads(const JsonObject& config, const Family& family, Architecture& arch) {
  const std::string_view heads_field = family.config.heads;
  Attention& attention = arch.attention;
  ASSIGN_OR_RETURN(attention.heads, config.Uint(heads_field, 1, kMaxWidth));
  ASSIGN_OR_RETURN(attention.kv_heads,
                   config.UintOr("num_key_value_heads", attention.heads, 1, attention.heads));
  if (attention.heads % attention.kv_heads != 0) {
    return config.Wrong("num_key_value_heads", StrCat(attention.kv_heads, " does not divide the ",
                                                      attention.heads, " attention heads"));
  }
  if (!config.Has("head_dim") && !family.latent && arch.hidden % attention.heads != 0) {
    return config.Wrong(heads_field,
                        StrCat(attention.heads, " does not divide ", family.config.hidden, " ",
                               arch.hidden, ", and head_dim is missing"));
  }
  ASSIGN_OR_RETURN(attention.head_size,
                   config.UintOr("head_dim", std::max(1u, arch.hidden / attention.heads), 1, 1024));
  return {};
}

Status ReadLatent(const JsonObject& config, Architecture& arch) {
  LatentAttention& latent = arch.latent.emplace();
  if (config.Has("q_lora_rank")) {
    ASSIGN_OR_RETURN(latent.q_rank, config.Uint("q_lora_rank", 1, kMaxWidth));
  }
  ASSIGN_OR_RETURN(latent.kv_rank, config.Uint("kv_lora_rank", 1, 4096));
  ASSIGN_OR_RETURN(latent.nope_size, config.Uint("qk_nope_head_dim", 1, 1024));
  ASSIGN_OR_RETURN(latent.rope_size, config.Uint("qk_rope_head_dim", 1, 1024));
  ASSIGN_OR_RETURN(latent.value_size, config.Uint("v_head_dim", 1, 1024));
  arch.attention.head_size = latent.nope_size + latent.rope_size;
  arch.attention.kv_heads = 1;  // As it is cached.
  ASSIGN_OR_RETURN(arch.attention.interleaved, config.BoolOr("rope_interleave", true));
  return {};
}

Status ReadAttention(const JsonObject& config, const Family& family, Architecture& arch) {
  RETURN_IF_ERROR(ReadHeads(config, family, arch));
  if (family.latent) RETURN_IF_ERROR(ReadLatent(config, arch));
  Attention& attention = arch.attention;
  if (uint64_t{attention.heads} * attention.head_size > kMaxWidth) {
    return config.Wrong(family.config.heads,
                        StrCat(attention.heads, " heads of ", attention.head_size,
                               " values are more than ", kMaxWidth, " together"));
  }
  ASSIGN_OR_RETURN(attention.qkv_bias, IsOn(config, family.qkv_bias));
  ASSIGN_OR_RETURN(attention.output_bias, IsOn(config, family.output_bias));
  ASSIGN_OR_RETURN(attention.softcap, config.NumberOr("attn_logit_softcapping", 0, 0, 1e6));
  attention.qk_norm = family.qk_norm;
  attention.sinks = family.sinks;
  ASSIGN_OR_RETURN(const double scalar,
                   config.NumberOr("query_pre_attn_scalar", attention.head_size, 1e-3, 1e6));
  attention.scale = 1 / std::sqrt(scalar);
  return {};
}

// Gives every rotated layer its table.
Status ReadRotation(const JsonObject& config, const Family& family, Architecture& arch) {
  if (family.learned_positions) return {};
  const uint32_t head_size = arch.latent ? arch.latent->rope_size : arch.attention.head_size;
  ASSIGN_OR_RETURN(arch.ropes, ReadRopes(config, arch.positions, head_size));
  for (Layer& layer : arch.layer_kinds) {
    layer.rope = layer.window != 0 && arch.ropes.size() > 1 ? 1 : 0;
  }
  if (arch.latent) {
    ASSIGN_OR_RETURN(const double magnitude, ReadLatentScale(config));
    arch.attention.scale *= magnitude * magnitude;
  }
  return {};
}

// Whether layer `index` attends to a window if there is one.
Result<bool> IsWindowed(const JsonObject& config, Windows windows, uint32_t index) {
  switch (windows) {
    case Windows::kNone:
      return false;
    case Windows::kAll:
      return true;
    case Windows::kAlternating:
      return index % 2 == 0;
    case Windows::kPattern: {
      const char* name = config.Has("_sliding_window_pattern") ? "_sliding_window_pattern"
                                                               : "sliding_window_pattern";
      ASSIGN_OR_RETURN(const uint64_t pattern, config.UintOr(name, 6, 1, kMaxLayers));
      return (index + 1) % pattern != 0;
    }
    case Windows::kIfUsed:
      return config.BoolOr("use_sliding_window", false);
    case Windows::kFromLayer: {
      ASSIGN_OR_RETURN(const bool used, config.BoolOr("use_sliding_window", false));
      ASSIGN_OR_RETURN(const uint64_t from, config.UintOr("max_window_layers", 28, 0, kMaxLayers));
      return used && index >= from;
    }
  }
  return false;
}

Status ReadWindows(const JsonObject& config, const Family& family, Architecture& arch) {
  if (family.windows == Windows::kNone) return {};
  uint64_t window = 0;
  if (config.Has("sliding_window")) {
    ASSIGN_OR_RETURN(window, config.Uint("sliding_window", 1, kMaxPositions));
  }
  std::vector<std::string> types;
  if (config.Has("layer_types")) {
    ASSIGN_OR_RETURN(types, config.Texts("layer_types", kMaxLayers));
    if (types.size() != arch.layers) {
      return config.Wrong("layer_types", StrCat("expected one for each of the ", arch.layers,
                                                " layers, found ", types.size()));
    }
  }
  for (uint32_t index = 0; index < arch.layers; ++index) {
    bool windowed = false;
    if (types.empty()) {
      ASSIGN_OR_RETURN(windowed, IsWindowed(config, family.windows, index));
      windowed &= window != 0;
    } else if (types[index] == "sliding_attention") {
      windowed = true;
    } else if (types[index] != "full_attention") {
      return Unsupported(config, "layer_types",
                         StrCat("\"", types[index].substr(0, 80),
                                "\" is not supported; supported: "
                                "full_attention, sliding_attention"));
    }
    if (windowed && window == 0) return config.Wrong("sliding_window", "is missing");
    arch.layer_kinds[index].window = windowed ? static_cast<uint32_t>(window) : 0;
  }
  return {};
}

Status ReadScores(const JsonObject& config, Mixture& mixture) {
  if (config.Has("scoring_func")) {
    ASSIGN_OR_RETURN(const std::string scores, config.Text("scoring_func", 64));
    if (scores != "sigmoid" && scores != "softmax") {
      return Unsupported(config, "scoring_func",
                         StrCat("\"", scores,
                                "\" is not supported; "
                                "supported: sigmoid, softmax"));
    }
    mixture.scores = scores == "sigmoid" ? Scores::kSigmoid : Scores::kSoftmax;
  }
  if (config.Has("topk_method")) {
    ASSIGN_OR_RETURN(const std::string method, config.Text("topk_method", 64));
    if (method != "noaux_tc") {
      return Unsupported(config, "topk_method",
                         StrCat("\"", method, "\" is not supported; only \"noaux_tc\" is"));
    }
  }
  ASSIGN_OR_RETURN(mixture.route_groups,
                   config.UintOr("n_group", mixture.route_groups, 1, mixture.experts));
  ASSIGN_OR_RETURN(
      mixture.chosen_route_groups,
      config.UintOr("topk_group", mixture.chosen_route_groups, 1, mixture.route_groups));
  const uint32_t per_group = mixture.experts / mixture.route_groups;
  if (mixture.experts % mixture.route_groups != 0 || (mixture.route_groups > 1 && per_group < 2) ||
      mixture.chosen > mixture.chosen_route_groups * per_group) {
    return config.Wrong("n_group", StrCat(mixture.route_groups, " groups of ", mixture.experts,
                                          " experts, of which ", mixture.chosen_route_groups,
                                          " groups and ", mixture.chosen, " experts are chosen"));
  }
  return {};
}

// At least so many groups of experts, and at most so many parameters in each (180 MB at 4.5 bits).
constexpr uint32_t kExpertGroupsMin = 4;
constexpr uint64_t kParamsPerExpertGroup = 320'000'000;

uint32_t ChooseExpertGroups(const Mixture& mixture, uint32_t hidden) {
  const uint64_t params = uint64_t{3} * mixture.intermediate * hidden;
  for (uint32_t groups = std::min(kExpertGroupsMin, mixture.experts); groups < mixture.experts;
       ++groups) {
    if (mixture.experts % groups != 0) continue;
    if (mixture.experts / groups * params <= kParamsPerExpertGroup) return groups;
  }
  return mixture.experts;
}

Status ReadMixture(const JsonObject& config, const Family& family, Architecture& arch) {
  Mixture& mixture = arch.mixture.emplace(family.mixture);
  const bool usual = config.Has(family.config.experts);
  ASSIGN_OR_RETURN(mixture.experts, config.Uint(usual ? family.config.experts : "num_local_experts",
                                                1, kMaxExperts));
  ASSIGN_OR_RETURN(mixture.chosen, config.Uint("num_experts_per_tok", 1, mixture.experts));
  ASSIGN_OR_RETURN(mixture.intermediate,
                   config.Uint(family.config.expert_intermediate, 1, kMaxWidth));
  ASSIGN_OR_RETURN(mixture.normalised, config.BoolOr("norm_topk_prob", mixture.normalised));
  ASSIGN_OR_RETURN(mixture.scale,
                   config.NumberOr("routed_scaling_factor", mixture.scale, 1e-6, 1e6));
  ASSIGN_OR_RETURN(mixture.limit, config.NumberOr("swiglu_limit", mixture.limit, 0, 1e6));
  ASSIGN_OR_RETURN(const uint64_t shared, config.UintOr("n_shared_experts", 0, 0, 64));
  mixture.shared_intermediate = static_cast<uint32_t>(shared) * mixture.intermediate;
  mixture.expert_groups = ChooseExpertGroups(mixture, arch.hidden);
  return ReadScores(config, mixture);
}

Status ChooseMixtureLayers(const JsonObject& config, const Family& family, Architecture& arch) {
  std::vector<uint64_t> dense;  // Layers that are none.
  uint64_t step = 1;
  uint64_t first = 0;
  uint64_t frequency = 1;
  if (family.mixtures == Mixtures::kSparseStep) {
    ASSIGN_OR_RETURN(step, config.UintOr("decoder_sparse_step", 1, 1, kMaxLayers));
    if (config.Has("mlp_only_layers")) {
      ASSIGN_OR_RETURN(dense, config.Uints("mlp_only_layers", kMaxLayers, kMaxLayers));
    }
  } else if (family.mixtures == Mixtures::kAfterFirst) {
    ASSIGN_OR_RETURN(first, config.UintOr("first_k_dense_replace", 0, 0, kMaxLayers));
    ASSIGN_OR_RETURN(frequency, config.UintOr("moe_layer_freq", 1, 1, kMaxLayers));
  }
  for (uint32_t index = 0; index < arch.layers; ++index) {
    arch.layer_kinds[index].mixture = index >= first && index % frequency == 0 &&
                                      (index + 1) % step == 0 &&
                                      std::ranges::find(dense, index) == dense.end();
  }
  return {};
}

Result<Architecture> ReadDecoder(const JsonObject& config, const Family& family) {
  Architecture arch;
  arch.family = family.model_type;
  RETURN_IF_ERROR(ReadSizes(config, family, arch));
  RETURN_IF_ERROR(ReadMlp(config, family, arch));
  RETURN_IF_ERROR(ReadAttention(config, family, arch));
  RETURN_IF_ERROR(ReadWindows(config, family, arch));
  RETURN_IF_ERROR(ReadRotation(config, family, arch));
  if (family.mixtures != Mixtures::kNone) {
    RETURN_IF_ERROR(ReadMixture(config, family, arch));
    RETURN_IF_ERROR(ChooseMixtureLayers(config, family, arch));
  }
  if (family.finish != nullptr) RETURN_IF_ERROR(family.finish(config, arch));
  // A window that never closes within the context is none.
  for (Layer& layer : arch.layer_kinds) {
    if (layer.window >= arch.positions) layer.window = 0;
  }
  return arch;
}

}  // namespace

HeadLayout Architecture::HeadLayoutOf(uint32_t block) const {
  // What ONNX Runtime's GroupQueryAttention takes: heads that do not turn may be narrower.
  constexpr uint32_t kStillMultiple = 8;
  const Layer& layer = LayerOf(block);
  HeadLayout layout;
  layout.values = latent ? latent->cached_size() : attention.head_size;
  layout.turning = layer.rope ? ropes[*layer.rope].dims : 0;
  layout.turning_room = layer.rope ? TurningRoom(ropes[*layer.rope]) : 0;
  const uint32_t multiple = ropes.empty() ? kStillMultiple : kTurningMultiple;
  const uint32_t used = layout.values - layout.turning + layout.turning_room;
  layout.size = (used + multiple - 1) / multiple * multiple;
  return layout;
}

std::string SupportedFamilies() {
  std::string names;
  for (const Family& family : Families()) {
    if (!names.empty()) names += ", ";
    names += family.model_type;
  }
  return StrCat(names, ", ", SupportedWrappers());
}

Result<Architecture> ParseArchitecture(std::string_view config_json) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(config_json, kConfig));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(value, std::string(kConfig)));
  ASSIGN_OR_RETURN(const std::string type, config.Text("model_type"));
  if (const Family* const family = FindFamily(type)) return ReadDecoder(config, *family);
  const Wrapper* const wrapper = FindWrapper(type);
  if (wrapper == nullptr) {
    return Unsupported(
        config, "model_type",
        StrCat("\"", type.substr(0, 80), "\" is not supported; supported: ", SupportedFamilies()));
  }
  const Family* const family = FindFamily(wrapper->text_type);
  CHECK(family != nullptr);
  ASSIGN_OR_RETURN(const boost::json::object text, TextConfig(*wrapper, config));
  ASSIGN_OR_RETURN(Architecture arch,
                   ReadDecoder(JsonObject(text, StrCat(kConfig, ": text_config")), *family));
  arch.wrapped = true;
  return arch;
}

}  // namespace shoal::model
