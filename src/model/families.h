// The families of decoders, one table entry each: what a config.json of that model_type means where
// it does not say it, and what its tensors are called. docs/adding-a-model.md leads through it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/architecture.h"

namespace shoal::model {

// The fields of config.json that families spell differently; those of LLaMA are the defaults.
struct ConfigNames {
  std::string_view hidden = "hidden_size";
  std::string_view layers = "num_hidden_layers";
  std::string_view heads = "num_attention_heads";
  std::string_view positions = "max_position_embeddings";
  std::string_view intermediate = "intermediate_size";
  std::string_view norm_epsilon = "rms_norm_eps";
  std::string_view activation = "hidden_act";
  std::string_view experts = "num_local_experts";
  std::string_view expert_intermediate = "moe_intermediate_size";
};

// What roles of weights (weights.h) are called in a checkpoint. The tensor's name follows the
// layer's prefix for a weight of a layer; '*' stands for the number of an expert. A bias is called
// as its matrix, with ".bias" for ".weight".
struct TensorName {
  // One role, or several, separated by spaces, that lie stacked in one tensor along its outputs.
  std::string_view roles;
  std::string_view tensor;
  // [inputs, outputs] in the checkpoint, not [outputs, inputs] (GPT-2's Conv1D).
  bool transposed = false;
};

// Where a switch comes from: the family, or a field of config.json that is false when absent.
struct Switch {
  bool on = false;
  std::string_view field;
};

// Which layers attend to a window, when config.json has no layer_types.
enum class Windows : uint8_t {
  kNone,
  kAll,          // All of them, if there is a sliding_window.
  kFromLayer,    // From max_window_layers on, if use_sliding_window says so (Qwen).
  kIfUsed,       // All, if use_sliding_window says so; `finish` takes some out (SmolLM3).
  kAlternating,  // The first, the third, ... (Gemma 2, GPT-OSS).
  kPattern,      // All but every sliding_window_pattern-th (Gemma 3).
};

// Which layers are mixtures.
enum class Mixtures : uint8_t {
  kNone,
  kAll,
  kSparseStep,  // decoder_sparse_step and mlp_only_layers (Qwen).
  kAfterFirst,  // From first_k_dense_replace on, those that moe_layer_freq divides (DeepSeek).
};

struct Family {
  std::string_view model_type;
  ConfigNames config;
  std::span<const TensorName> tensors;  // What differs from LLaMA's names.
  std::string_view layer_prefix = "model.layers.";
  std::string_view optional_prefix;  // Tensors may have it before their names.

  NormKind norm = NormKind::kRms;
  NormPlacement placement = NormPlacement::kBefore;
  bool norm_minus_one = false;
  Switch qkv_bias;
  Switch output_bias;
  Switch mlp_bias;
  bool gated = true;
  uint32_t intermediate_factor = 0;      // Times hidden, when config.json does not say; 0: it must.
  std::string_view activation = "silu";  // When config.json does not say.
  QkNorm qk_norm = QkNorm::kNone;
  Windows windows = Windows::kNone;
  bool sinks = false;
  bool learned_positions = false;  // Instead of rotation.
  bool scaled_embedding = false;   // By the square root of the hidden size.
  bool tied = false;               // When config.json does not say.
  bool latent = false;             // Multi-head latent attention.
  Mixtures mixtures = Mixtures::kNone;
  bool stacked_experts = false;  // One tensor holds all experts, gate and up in turns.
  Mixture mixture;               // Where config.json does not say.
  // Reads what no field above can say; null for none.
  Status (*finish)(const JsonObject& config, Architecture& arch) = nullptr;
};

std::span<const Family> Families();
// Null for an unknown model_type.
const Family* FindFamily(std::string_view model_type);

// The name of a role's tensor: the family's, else LLaMA's. CHECKs that there is one.
const TensorName& TensorNameOf(const Family& family, std::string_view role);

}  // namespace shoal::model
