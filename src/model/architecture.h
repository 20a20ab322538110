// What a checkpoint's config.json describes, as a declarative description: one graph builder and
// one weight list (weights.h) work from it for every family. A new family is a new entry in
// families.cc, and, where it brings a new mechanism, a new field here
// (docs/adding-a-model.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "model/rope.h"

namespace shoal::model {

enum class NormKind : uint8_t {
  kRms,    // Root mean square, with a weight (Zhang and Sennrich, 2019).
  kLayer,  // Mean and variance, with a weight and a bias (Ba et al., 2016).
};

enum class NormPlacement : uint8_t {
  kBefore,  // x + f(norm(x))
  kAfter,   // x + norm(f(x)) (OLMo 2)
  kAround,  // x + norm(f(norm(x))) (Gemma 2)
};

struct Norm {
  NormKind kind = NormKind::kRms;
  NormPlacement placement = NormPlacement::kBefore;
  double epsilon = 0;
  // The checkpoint holds weights minus 1 (Gemma).
  bool minus_one = false;
  bool operator==(const Norm&) const = default;
};

enum class QkNorm : uint8_t {
  kNone,
  kPerHead,  // RMS over each head's values, one [head_size] weight (Qwen 3).
  kWhole,    // RMS over all heads' values together (OLMo 2).
};

struct Attention {
  uint32_t heads = 0;
  uint32_t kv_heads = 0;  // Divides heads; equal: plain multi-head attention.
  uint32_t head_size = 0;
  double scale = 0;    // Of the products of queries and keys.
  double softcap = 0;  // If not 0: scores s become softcap * tanh(s / softcap).
  bool qkv_bias = false;
  bool output_bias = false;
  // A learned score per head that takes part in the softmax and stands for nothing (GPT-OSS).
  bool sinks = false;
  // The pairs that turn are neighbours (2i, 2i + 1), not (i, i + n / 2).
  bool interleaved = false;
  QkNorm qk_norm = QkNorm::kNone;
  bool operator==(const Attention&) const = default;
};

// Multi-head latent attention (DeepSeek-AI, 2024, arXiv:2405.04434): all heads' keys and values are
// made from one latent vector per position, which is what is cached, and one rotated key that all
// heads share. Attention::head_size is nope_size + rope_size.
struct LatentAttention {
  uint32_t q_rank = 0;     // Queries are made from a latent of this size; 0: from the hidden state.
  uint32_t kv_rank = 0;    // Size of the latent.
  uint32_t nope_size = 0;  // Of a head's query and key, without positions,
  uint32_t rope_size = 0;  // and with.
  uint32_t value_size = 0;  // Of a head's value.
  bool operator==(const LatentAttention&) const = default;

  uint32_t cached_size() const { return kv_rank + rope_size; }
};

enum class Activation : uint8_t { kSilu, kGeluTanh };

// down(act(gate(x)) * up(x)), or, if not gated, down(act(up(x))).
struct Mlp {
  uint32_t intermediate = 0;
  bool gated = true;
  bool bias = false;
  Activation activation = Activation::kSilu;
  bool operator==(const Mlp&) const = default;
};

enum class Scores : uint8_t { kSoftmax, kSigmoid };

// A mixture of experts in the place of the MLP. Each expert is down(a(gate(x)) * (up(x) + offset))
// with a(g) = g * sigmoid(alpha * g).
struct Mixture {
  uint32_t experts = 0;
  uint32_t chosen = 0;  // Per token.
  uint32_t intermediate = 0;
  Scores scores = Scores::kSoftmax;
  // The router's groups: the best `chosen_route_groups` of them, by the sum of the two best scores
  // in each, are eligible; 1: no groups.
  uint32_t route_groups = 1;
  uint32_t chosen_route_groups = 1;
  // Added to the scores for choosing, and only for that.
  bool correction_bias = false;
  bool normalised = true;  // The chosen scores are divided by their sum.
  double scale = 1;        // Multiplies them in the end.
  // Of an MLP that every token passes besides; 0: none.
  uint32_t shared_intermediate = 0;
  bool router_bias = false;
  bool bias = false;  // Of the experts' products.
  double alpha = 1;
  double offset = 0;
  double limit = 0;  // If not 0: gate at most this, up between it and its negative.
  // How a layer's experts are divided into blocks that can be placed by themselves: that many
  // groups of neighbours, equally large.
  uint32_t expert_groups = 1;
  bool operator==(const Mixture&) const = default;

  uint32_t experts_per_group() const { return experts / expert_groups; }
};

// What differs from layer to layer.
struct Layer {
  uint32_t window = 0;           // A token attends to that many positions, itself one of them;
                                 // 0: to all.
  std::optional<uint32_t> rope;  // Index in Architecture::ropes; nothing: not rotated.
  bool mixture = false;          // Else the MLP.
  bool operator==(const Layer&) const = default;
};

// How one head's queries and keys lie before GroupQueryAttention and in its cache: the values that
// turn, then the others, then zeros. Where the values that turn need room, zeros follow each half
// of them, whose pairs lie in both halves, or, if neighbours turn, all of them. Zeros add nothing
// to a score, and a head's result has zeros in their place.
struct HeadLayout {
  uint32_t values = 0;        // That are no padding.
  uint32_t turning = 0;       // The first of them, and
  uint32_t turning_room = 0;  // what they take up with zeros.
  uint32_t size = 0;          // All that is cached.

  bool IsPadded() const { return size != values; }
};

// A decoder. Blocks: 0 is the embedding, 1..layers the layers, layers + 1 the final norm and head.
struct Architecture {
  std::string family;  // config.json's model_type, or its text_config's.
  uint32_t hidden = 0;
  uint32_t layers = 0;
  uint32_t vocab = 0;
  uint32_t positions = 0;  // Longest context that the model was made for.
  Norm norm;
  Attention attention;
  std::optional<LatentAttention> latent;
  Mlp mlp;
  std::optional<Mixture> mixture;
  std::vector<Rope> ropes;         // Layers name them by index.
  std::vector<Layer> layer_kinds;  // One per layer.
  // Layers after the last that a checkpoint holds besides: they predict further tokens.
  uint32_t extra_layers = 0;
  // A table of [positions, hidden] is added to the embedding (GPT-2).
  bool learned_positions = false;
  double embedding_scale = 1;
  double residual_scale = 1;  // Of what attention and MLP add to the hidden states (Granite).
  double logit_scale = 1;
  double logit_softcap = 0;  // If not 0: logits x become softcap * tanh(x / softcap).
  // The embedding's table is the head's matrix.
  bool tied = false;
  // The checkpoint holds other parts besides (wrapped.h).
  bool wrapped = false;
  bool operator==(const Architecture&) const = default;

  uint32_t block_count() const { return layers + 2; }
  bool IsLayer(uint32_t block) const { return block >= 1 && block <= layers; }
  const Layer& LayerOf(uint32_t block) const { return layer_kinds[block - 1]; }
  // Of a layer's block; with latent attention, of the one key that all heads share.
  HeadLayout HeadLayoutOf(uint32_t block) const;
};

inline constexpr uint32_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxWidth = 1u << 20;  // Hidden, intermediate, heads * head_size.
inline constexpr uint32_t kMaxVocab = 1u << 24;
inline constexpr uint32_t kMaxPositions = 1u << 28;
inline constexpr uint32_t kMaxExperts = 1u << 12;

// Reads and checks a config.json. kUnimplemented for what Shoal cannot run (an unknown model_type,
// an activation, a scaling, ...), kInvalidArgument for what cannot be right. Quantised weights are
// no affair of the architecture: whoever reads them says whether it can.
Result<Architecture> ParseArchitecture(std::string_view config_json);

// The model_types that ParseArchitecture knows, separated by ", ".
std::string SupportedFamilies();

// How to begin, end and sample by default: generation_config.json over config.json.
struct GenerationDefaults {
  std::optional<uint32_t> bos_id;
  std::vector<uint32_t> eos_ids;
  bool sample = false;  // Otherwise greedy.
  double temperature = 1;
  double top_p = 1;
  uint32_t top_k = 0;  // 0: no limit.
  double repetition_penalty = 1;
  bool operator==(const GenerationDefaults&) const = default;
};
// `generation_json` is empty when there is no such file. Ids must be below `vocab`.
Result<GenerationDefaults> ParseGenerationDefaults(std::string_view config_json,
                                                   std::string_view generation_json,
                                                   uint32_t vocab);

}  // namespace shoal::model
