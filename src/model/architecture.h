// What a checkpoint's config.json describes, as a declarative description: one graph builder and
// one weight list (weights.h) work from it for every family. A new family is a new entry in
// architecture.cc that fills it in, and, where it brings a new mechanism, a new field here.
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

enum class QkNorm : uint8_t {
  kNone,
  kPerHead,  // RMS over each head's values, one [head_size] weight (Qwen 3).
  kWhole,    // RMS over all heads' values together (OLMo 2).
};

struct Attention {
  uint32_t heads = 0;
  uint32_t kv_heads = 0;  // Divides heads; equal: plain multi-head attention.
  uint32_t head_size = 0;
  double scale = 0;  // Of the products of queries and keys.
  bool qkv_bias = false;
  bool output_bias = false;
  QkNorm qk_norm = QkNorm::kNone;
  bool operator==(const Attention&) const = default;
};

// down(silu(gate(x)) * up(x)).
struct Mlp {
  uint32_t intermediate = 0;
  bool bias = false;
  bool operator==(const Mlp&) const = default;
};

enum class NormPlacement : uint8_t {
  kBefore,  // x + f(norm(x))
  kAfter,   // x + norm(f(x)) (OLMo 2)
};

// A decoder. Blocks: 0 is the embedding, 1..layers the layers, layers + 1 the final norm and head.
struct Architecture {
  std::string family;  // config.json's model_type.
  uint32_t hidden = 0;
  uint32_t layers = 0;
  uint32_t vocab = 0;
  uint32_t positions = 0;  // Longest context the model was made for.
  double norm_epsilon = 0;
  NormPlacement norm = NormPlacement::kBefore;
  Attention attention;
  Mlp mlp;
  Rope rope;
  // Per layer; empty: all of them are rotated.
  std::vector<bool> rotated_layers;
  // The embedding's table is the head's matrix.
  bool tied = false;
  bool operator==(const Architecture&) const = default;

  uint32_t block_count() const { return layers + 2; }
  bool IsLayer(uint32_t block) const { return block >= 1 && block <= layers; }
  // Whether the layer block's queries and keys are rotated.
  bool IsRotated(uint32_t block) const {
    return rotated_layers.empty() || rotated_layers[block - 1];
  }
};

inline constexpr uint32_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxWidth = 1u << 20;  // Hidden, intermediate, heads * head_size.
inline constexpr uint32_t kMaxVocab = 1u << 24;
inline constexpr uint32_t kMaxPositions = 1u << 28;

// Reads and checks a config.json. kUnimplemented for what Shoal cannot run (an unknown model_type,
// a sliding window, a quantised checkpoint, ...), kInvalidArgument for what cannot be right.
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
