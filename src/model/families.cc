#include "model/families.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::model {

namespace {

constexpr TensorName kLlamaTensors[] = {
    {"table", "model.embed_tokens.weight"},
    {"norm", "model.norm.weight"},
    {"head", "lm_head.weight"},
    {"attention_norm", "input_layernorm.weight"},
    {"attention_post_norm", "post_attention_layernorm.weight"},
    {"q", "self_attn.q_proj.weight"},
    {"k", "self_attn.k_proj.weight"},
    {"v", "self_attn.v_proj.weight"},
    {"q_norm", "self_attn.q_norm.weight"},
    {"k_norm", "self_attn.k_norm.weight"},
    {"o", "self_attn.o_proj.weight"},
    {"sinks", "self_attn.sinks"},
    {"mlp_norm", "post_attention_layernorm.weight"},
    {"mlp_post_norm", "post_feedforward_layernorm.weight"},
    {"gate", "mlp.gate_proj.weight"},
    {"up", "mlp.up_proj.weight"},
    {"down", "mlp.down_proj.weight"},
    {"router", "mlp.gate.weight"},
    {"expert_gate", "mlp.experts.*.gate_proj.weight"},
    {"expert_up", "mlp.experts.*.up_proj.weight"},
    {"expert_down", "mlp.experts.*.down_proj.weight"},
};

constexpr TensorName kPhi3Tensors[] = {
    {"q k v", "self_attn.qkv_proj.weight"},
    {"gate up", "mlp.gate_up_proj.weight"},
};

constexpr TensorName kGemmaTensors[] = {
    {"mlp_norm", "pre_feedforward_layernorm.weight"},
};

constexpr TensorName kGpt2Tensors[] = {
    {"table", "wte.weight"},
    {"positions", "wpe.weight"},
    {"norm", "ln_f.weight"},
    {"attention_norm", "ln_1.weight"},
    {"q k v", "attn.c_attn.weight", true},
    {"o", "attn.c_proj.weight", true},
    {"mlp_norm", "ln_2.weight"},
    {"up", "mlp.c_fc.weight", true},
    {"down", "mlp.c_proj.weight", true},
};

constexpr TensorName kMixtralTensors[] = {
    {"router", "block_sparse_moe.gate.weight"},
    {"expert_gate", "block_sparse_moe.experts.*.w1.weight"},
    {"expert_up", "block_sparse_moe.experts.*.w3.weight"},
    {"expert_down", "block_sparse_moe.experts.*.w2.weight"},
};

// All experts lie in one tensor, gate and up in turns.
constexpr TensorName kGptOssTensors[] = {
    {"router", "mlp.router.weight"},
    {"experts_in", "mlp.experts.gate_up_proj", true},
    {"experts_in_bias", "mlp.experts.gate_up_proj_bias"},
    {"experts_out", "mlp.experts.down_proj", true},
    {"experts_out_bias", "mlp.experts.down_proj_bias"},
};

constexpr TensorName kDeepSeekTensors[] = {
    {"q_a", "self_attn.q_a_proj.weight"},
    {"q_a_norm", "self_attn.q_a_layernorm.weight"},
    {"q_b", "self_attn.q_b_proj.weight"},
    {"kv_a", "self_attn.kv_a_proj_with_mqa.weight"},
    {"kv_a_norm", "self_attn.kv_a_layernorm.weight"},
    {"kv_b", "self_attn.kv_b_proj.weight"},
    {"router_correction", "mlp.gate.e_score_correction_bias"},
    {"shared_gate", "mlp.shared_experts.gate_proj.weight"},
    {"shared_up", "mlp.shared_experts.up_proj.weight"},
    {"shared_down", "mlp.shared_experts.down_proj.weight"},
};

constexpr ConfigNames kGpt2Config = {.hidden = "n_embd",
                                     .layers = "n_layer",
                                     .heads = "n_head",
                                     .positions = "n_positions",
                                     .intermediate = "n_inner",
                                     .norm_epsilon = "layer_norm_epsilon",
                                     .activation = "activation_function"};
constexpr ConfigNames kGemmaConfig = {.activation = "hidden_activation"};
// transformers 5 writes num_local_experts where older files have num_experts: see ReadMixture.
constexpr ConfigNames kQwenMoeConfig = {.experts = "num_experts"};
constexpr ConfigNames kMixtralConfig = {.expert_intermediate = "intermediate_size"};
constexpr ConfigNames kDeepSeekConfig = {.experts = "n_routed_experts"};

constexpr ConfigNames kGptOssConfig = {.expert_intermediate = "intermediate_size"};

constexpr Mixture kGptOssMixture = {
    .router_bias = true, .bias = true, .alpha = 1.702, .offset = 1, .limit = 7};
constexpr Mixture kDeepSeekMixture = {.scores = Scores::kSigmoid, .correction_bias = true};

Status FinishGpt2(const JsonObject& config, Architecture& arch) {
  ASSIGN_OR_RETURN(const bool scaled, config.BoolOr("scale_attn_weights", true));
  if (!scaled) arch.attention.scale = 1;
  for (const char* name : {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"}) {
    ASSIGN_OR_RETURN(const bool on, config.BoolOr(name, false));
    if (on) return Fail(Code::kUnimplemented, StrCat("config.json: ", name, " is not supported"));
  }
  return {};
}

Status FinishGranite(const JsonObject& config, Architecture& arch) {
  ASSIGN_OR_RETURN(arch.embedding_scale, config.NumberOr("embedding_multiplier", 1, 1e-6, 1e6));
  ASSIGN_OR_RETURN(arch.attention.scale, config.NumberOr("attention_multiplier", 1, 1e-6, 1e6));
  ASSIGN_OR_RETURN(arch.residual_scale, config.NumberOr("residual_multiplier", 1, 1e-6, 1e6));
  ASSIGN_OR_RETURN(const double divisor, config.NumberOr("logits_scaling", 1, 1e-6, 1e6));
  arch.logit_scale = 1 / divisor;
  return {};
}

// Layers that are not rotated. In spite of the field's name, 1 says that a layer is. Without
// layer_types, a window is for those that are not.
Status FinishSmolLm3(const JsonObject& config, Architecture& arch) {
  std::vector<uint64_t> rotated;
  if (config.Has("no_rope_layers")) {
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
  for (uint32_t layer = 0; layer < arch.layers; ++layer) {
    if (rotated[layer] == 0) {
      arch.layer_kinds[layer].rope.reset();
    } else if (!config.Has("layer_types")) {
      arch.layer_kinds[layer].window = 0;
    }
  }
  return {};
}

constexpr Family kFamilies[] = {
    {.model_type = "llama",
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .mlp_bias = {.field = "mlp_bias"}},
    {.model_type = "mistral", .windows = Windows::kAll},
    {.model_type = "qwen2", .qkv_bias = {.on = true}, .windows = Windows::kFromLayer},
    {.model_type = "qwen3",
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .qk_norm = QkNorm::kPerHead,
     .windows = Windows::kFromLayer},
    {.model_type = "smollm3",
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .mlp_bias = {.field = "mlp_bias"},
     .windows = Windows::kIfUsed,
     .tied = true,
     .finish = FinishSmolLm3},
    {.model_type = "olmo2",
     .placement = NormPlacement::kAfter,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .qk_norm = QkNorm::kWhole},
    {.model_type = "phi3", .tensors = kPhi3Tensors, .windows = Windows::kAll},
    {.model_type = "gemma2",
     .config = kGemmaConfig,
     .tensors = kGemmaTensors,
     .placement = NormPlacement::kAround,
     .norm_minus_one = true,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .activation = "gelu_pytorch_tanh",
     .windows = Windows::kAlternating,
     .scaled_embedding = true,
     .tied = true},
    {.model_type = "gemma3_text",
     .config = kGemmaConfig,
     .tensors = kGemmaTensors,
     .placement = NormPlacement::kAround,
     .norm_minus_one = true,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .activation = "gelu_pytorch_tanh",
     .qk_norm = QkNorm::kPerHead,
     .windows = Windows::kPattern,
     .scaled_embedding = true,
     .tied = true},
    {.model_type = "gpt2",
     .config = kGpt2Config,
     .tensors = kGpt2Tensors,
     .layer_prefix = "h.",
     .optional_prefix = "transformer.",
     .norm = NormKind::kLayer,
     .qkv_bias = {.on = true},
     .output_bias = {.on = true},
     .mlp_bias = {.on = true},
     .gated = false,
     .intermediate_factor = 4,
     .activation = "gelu_new",
     .learned_positions = true,
     .tied = true,
     .finish = FinishGpt2},
    {.model_type = "mixtral",
     .config = kMixtralConfig,
     .tensors = kMixtralTensors,
     .windows = Windows::kAll,
     .mixtures = Mixtures::kAll},
    {.model_type = "qwen3_moe",
     .config = kQwenMoeConfig,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .qk_norm = QkNorm::kPerHead,
     .windows = Windows::kFromLayer,
     .mixtures = Mixtures::kSparseStep,
     .mixture = {.normalised = false}},
    {.model_type = "gpt_oss",
     .config = kGptOssConfig,
     .tensors = kGptOssTensors,
     .qkv_bias = {.on = true, .field = "attention_bias"},
     .output_bias = {.on = true, .field = "attention_bias"},
     .windows = Windows::kAlternating,
     .sinks = true,
     .mixtures = Mixtures::kAll,
     .stacked_experts = true,
     .mixture = kGptOssMixture},
    {.model_type = "deepseek_v3",
     .config = kDeepSeekConfig,
     .tensors = kDeepSeekTensors,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .latent = true,
     .mixtures = Mixtures::kAfterFirst,
     .mixture = kDeepSeekMixture},
    {.model_type = "granite",
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .mlp_bias = {.field = "mlp_bias"},
     .finish = FinishGranite},
    {.model_type = "kimi_k2",
     .config = kDeepSeekConfig,
     .tensors = kDeepSeekTensors,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .latent = true,
     .mixtures = Mixtures::kAfterFirst,
     .mixture = kDeepSeekMixture},
};

// Whether `role` is one of the roles, which are separated by spaces.
bool Names(std::string_view roles, std::string_view role) {
  while (!roles.empty()) {
    const size_t end = std::min(roles.find(' '), roles.size());
    if (roles.substr(0, end) == role) return true;
    roles.remove_prefix(std::min(end + 1, roles.size()));
  }
  return false;
}

}  // namespace

std::span<const Family> Families() { return kFamilies; }

const Family* FindFamily(std::string_view model_type) {
  const auto found = std::ranges::find(kFamilies, model_type, &Family::model_type);
  return found != std::end(kFamilies) ? found : nullptr;
}

const TensorName& TensorNameOf(const Family& family, std::string_view role) {
  for (const std::span<const TensorName> names :
       {family.tensors, std::span<const TensorName>(kLlamaTensors)}) {
    for (const TensorName& name : names) {
      if (Names(name.roles, role)) return name;
    }
  }
  CHECK_MSG(false, StrCat(family.model_type, " has no tensor for ", role));
  __builtin_unreachable();
}

}  // namespace shoal::model
