#include "model/weights.h"

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::model {

namespace {

constexpr std::string_view kEmbeddingTensor = "model.embed_tokens.weight";
constexpr std::string_view kHeadTensor = "lm_head.weight";

// Collects a layer's weights under its prefix in the checkpoint.
class LayerWeights {
 public:
  explicit LayerWeights(std::string prefix) : prefix_(std::move(prefix)) {}

  void Vector(std::string role, std::string_view name, uint64_t size) {
    specs_.push_back(
        {std::move(role), StrCat(prefix_, name, ".weight"), {size}, WeightKind::kVector});
  }
  void Matrix(const std::string& role, std::string_view name, uint64_t outputs, uint64_t inputs,
              bool bias) {
    specs_.push_back(
        {role, StrCat(prefix_, name, ".weight"), {outputs, inputs}, WeightKind::kMatrix});
    if (bias) {
      specs_.push_back(
          {role + "_bias", StrCat(prefix_, name, ".bias"), {outputs}, WeightKind::kVector});
    }
  }
  std::vector<WeightSpec> Take() { return std::move(specs_); }

 private:
  std::string prefix_;
  std::vector<WeightSpec> specs_;
};

std::vector<WeightSpec> LayerSpecs(const Architecture& arch, uint32_t layer) {
  const Attention& attention = arch.attention;
  const uint64_t hidden = arch.hidden;
  const uint64_t q_width = uint64_t{attention.heads} * attention.head_size;
  const uint64_t kv_width = uint64_t{attention.kv_heads} * attention.head_size;
  const bool before = arch.norm == NormPlacement::kBefore;

  LayerWeights weights(StrCat("model.layers.", layer, "."));
  weights.Vector("attention_norm", before ? "input_layernorm" : "post_attention_layernorm", hidden);
  weights.Matrix("q", "self_attn.q_proj", q_width, hidden, attention.qkv_bias);
  weights.Matrix("k", "self_attn.k_proj", kv_width, hidden, attention.qkv_bias);
  weights.Matrix("v", "self_attn.v_proj", kv_width, hidden, attention.qkv_bias);
  if (attention.qk_norm != QkNorm::kNone) {
    const bool whole = attention.qk_norm == QkNorm::kWhole;
    weights.Vector("q_norm", "self_attn.q_norm", whole ? q_width : attention.head_size);
    weights.Vector("k_norm", "self_attn.k_norm", whole ? kv_width : attention.head_size);
  }
  weights.Matrix("o", "self_attn.o_proj", hidden, q_width, attention.output_bias);
  weights.Vector("mlp_norm", before ? "post_attention_layernorm" : "post_feedforward_layernorm",
                 hidden);
  weights.Matrix("gate", "mlp.gate_proj", arch.mlp.intermediate, hidden, arch.mlp.bias);
  weights.Matrix("up", "mlp.up_proj", arch.mlp.intermediate, hidden, arch.mlp.bias);
  weights.Matrix("down", "mlp.down_proj", hidden, arch.mlp.intermediate, arch.mlp.bias);
  return weights.Take();
}

}  // namespace

uint64_t WeightSpec::element_count() const {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  return count;
}

std::vector<WeightSpec> BlockWeights(const Architecture& arch, uint32_t block) {
  CHECK(block < arch.block_count());
  const std::vector<uint64_t> table = {arch.vocab, arch.hidden};
  if (block == 0) {
    return {{"table", std::string(kEmbeddingTensor), table, WeightKind::kEmbedding}};
  }
  if (arch.IsLayer(block)) return LayerSpecs(arch, block - 1);
  return {{"norm", "model.norm.weight", {arch.hidden}, WeightKind::kVector},
          {"head", std::string(arch.tied ? kEmbeddingTensor : kHeadTensor), table,
           WeightKind::kMatrix}};
}

bool IsIgnorableTensor(const Architecture& arch, std::string_view tensor) {
  return tensor.ends_with(".rotary_emb.inv_freq") || (arch.tied && tensor == kHeadTensor);
}

BlockCosts CostsOf(const Architecture& arch, uint32_t block) {
  BlockCosts costs;
  for (const WeightSpec& spec : BlockWeights(arch, block)) {
    costs.params += spec.element_count();
    if (spec.kind == WeightKind::kMatrix) costs.flops_per_token += 2 * spec.element_count();
  }
  if (arch.IsLayer(block)) {
    const Attention& attention = arch.attention;
    // A multiplication and an addition for every value of a key, and again of a value.
    costs.attention_flops_per_position = uint64_t{4} * attention.heads * attention.head_size;
    costs.kv_values_per_token = uint64_t{2} * attention.kv_heads * attention.head_size;
  }
  return costs;
}

uint64_t TotalParams(const Architecture& arch) {
  uint64_t total = 0;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    total += CostsOf(arch, block).params;
  }
  if (arch.tied) total -= uint64_t{arch.vocab} * arch.hidden;
  return total;
}

}  // namespace shoal::model
