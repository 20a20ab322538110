#include "model/weights.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/families.h"
#include "model/wrapped.h"

namespace shoal::model {

namespace {

using Shape = std::vector<uint64_t>;

uint64_t Product(const Shape& shape) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  return count;
}

// Collects the weights of one block under the family's names.
class Weights {
 public:
  Weights(const Family& family, std::string prefix) : family_(family), prefix_(std::move(prefix)) {}

  // A whole tensor as it is.
  void Add(std::string_view role, WeightKind kind, Shape shape) {
    WeightPiece piece = WeightPiece::Whole(NameOf(role), shape);
    specs_.push_back({std::string(role), kind, std::move(shape), {std::move(piece)}});
  }

  // The weight of a norm, and its bias if it has one.
  void Norm(std::string_view role, const model::Norm& norm, uint64_t size) {
    Add(role, WeightKind::kVector, {size});
    specs_.back().added = norm.minus_one ? 1 : 0;
    if (norm.kind == NormKind::kLayer) AddBias(role, WeightKind::kVector, {size});
  }

  // One or several matrices with the same inputs, each with a bias if `bias`. Where a family stacks
  // them in one tensor they must be all of the stack.
  struct Output {
    std::string_view role;
    uint64_t outputs = 0;
  };
  void Matrices(const std::vector<Output>& outputs, uint64_t inputs, bool bias) {
    const bool stacked = outputs.size() > 1 && &TensorNameOf(family_, outputs[0].role) ==
                                                   &TensorNameOf(family_, outputs[1].role);
    uint64_t total = 0;
    for (const Output& output : outputs) total += output.outputs;
    uint64_t first = 0;
    for (const auto& [role, count] : outputs) {
      const uint64_t height = stacked ? total : count;
      AddMatrix(role, count, inputs, first, height);
      if (bias) {
        AddBias(role, WeightKind::kVector, {height});
        specs_.back().shape = specs_.back().pieces[0].dims = {count};
        specs_.back().pieces[0].offset = first;
      }
      if (stacked) first += count;
    }
  }

  // A part of another tensor.
  void AddView(std::string_view role, WeightKind kind, Shape shape, WeightPiece piece) {
    specs_.push_back({std::string(role), kind, std::move(shape), {std::move(piece)}});
  }

  void AddSpec(WeightSpec spec) { specs_.push_back(std::move(spec)); }

  // The tensor of a role, of expert `expert` if there is one for each.
  std::string NameOf(std::string_view role, uint64_t expert = 0) const {
    std::string name = StrCat(prefix_, TensorNameOf(family_, role).tensor);
    const size_t star = name.find('*');
    if (star != std::string::npos) name.replace(star, 1, StrCat(expert));
    return name;
  }

  std::vector<WeightSpec> Take() { return std::move(specs_); }

 private:
  // Outputs [first, first + count) of a tensor of `height` outputs.
  void AddMatrix(std::string_view role, uint64_t count, uint64_t inputs, uint64_t first,
                 uint64_t height) {
    WeightPiece piece{NameOf(role), {height, inputs}, first * inputs, {count, inputs}, {inputs, 1}};
    if (TensorNameOf(family_, role).transposed) {
      piece.tensor_shape = {inputs, height};
      piece.offset = first;
      piece.strides = {1, height};
    }
    AddView(role, WeightKind::kMatrix, {count, inputs}, std::move(piece));
  }

  void AddBias(std::string_view role, WeightKind kind, Shape shape) {
    std::string name = NameOf(role);
    constexpr std::string_view kWeight = ".weight";
    CHECK(name.ends_with(kWeight));
    name.replace(name.size() - kWeight.size(), kWeight.size(), ".bias");
    WeightPiece piece = WeightPiece::Whole(std::move(name), shape);
    specs_.push_back({StrCat(role, "_bias"), kind, std::move(shape), {std::move(piece)}});
  }

  const Family& family_;
  std::string prefix_;
  std::vector<WeightSpec> specs_;
};

void AddAttention(const Architecture& arch, Weights& weights) {
  const Attention& attention = arch.attention;
  const uint64_t q_width = uint64_t{attention.heads} * attention.head_size;
  const uint64_t kv_width = uint64_t{attention.kv_heads} * attention.head_size;
  weights.Matrices({{"q", q_width}, {"k", kv_width}, {"v", kv_width}}, arch.hidden,
                   attention.qkv_bias);
  if (attention.qk_norm != QkNorm::kNone) {
    const bool whole = attention.qk_norm == QkNorm::kWhole;
    weights.Norm("q_norm", arch.norm, whole ? q_width : attention.head_size);
    weights.Norm("k_norm", arch.norm, whole ? kv_width : attention.head_size);
  }
  if (attention.sinks) weights.Add("sinks", WeightKind::kVector, {attention.heads});
  weights.Matrices({{"o", arch.hidden}}, q_width, attention.output_bias);
}

void AddLatentAttention(const Architecture& arch, Weights& weights) {
  const Attention& attention = arch.attention;
  const LatentAttention& latent = *arch.latent;
  const uint64_t heads = attention.heads;
  const uint64_t q_width = heads * attention.head_size;
  if (latent.q_rank == 0) {
    weights.Matrices({{"q", q_width}}, arch.hidden, false);
  } else {
    weights.Matrices({{"q_a", latent.q_rank}}, arch.hidden, attention.qkv_bias);
    weights.Norm("q_a_norm", arch.norm, latent.q_rank);
    weights.Matrices({{"q_b", q_width}}, latent.q_rank, false);
  }
  weights.Matrices({{"kv_a", latent.cached_size()}}, arch.hidden, attention.qkv_bias);
  weights.Norm("kv_a_norm", arch.norm, latent.kv_rank);
  // kv_b makes every head's key and value from the latent; absorbed, the one turns the head's query
  // towards the latent, and the other makes the head's output from it.
  const uint64_t rank = latent.kv_rank;
  const uint64_t nope = latent.nope_size;
  const uint64_t value = latent.value_size;
  WeightPiece keys{weights.NameOf("kv_b"),
                   {heads * (nope + value), rank},
                   0,
                   {heads, nope, rank},
                   {(nope + value) * rank, rank, 1}};
  WeightPiece values = keys;
  values.offset = nope * rank;
  values.dims = {heads, rank, value};
  values.strides = {(nope + value) * rank, 1, rank};
  weights.AddView("k_up", WeightKind::kHeads, {heads, nope, rank}, std::move(keys));
  weights.AddView("v_up", WeightKind::kHeads, {heads, rank, value}, std::move(values));
  weights.Matrices({{"o", arch.hidden}}, heads * value, attention.output_bias);
}

void AddMlp(const Architecture& arch, Weights& weights) {
  const Mlp& mlp = arch.mlp;
  std::vector<Weights::Output> outputs = {{"up", mlp.intermediate}};
  if (mlp.gated) outputs.insert(outputs.begin(), {"gate", mlp.intermediate});
  weights.Matrices(outputs, arch.hidden, mlp.bias);
  weights.Matrices({{"down", arch.hidden}}, mlp.intermediate, mlp.bias);
}

// A stack [experts, outputs, inputs] of the experts of one group that one tensor of all experts
// holds, transposed or not; without inputs, of biases.
WeightPiece StackPiece(std::string tensor, const Mixture& mixture, uint32_t group, uint64_t outputs,
                       uint64_t inputs, bool transposed) {
  const uint64_t count = mixture.experts_per_group();
  const uint64_t first = group * count;
  if (inputs == 0) {
    return {std::move(tensor),
            {mixture.experts, outputs},
            first * outputs,
            {count, outputs},
            {outputs, 1}};
  }
  WeightPiece piece{std::move(tensor),
                    {mixture.experts, outputs, inputs},
                    first * outputs * inputs,
                    {count, outputs, inputs},
                    {outputs * inputs, inputs, 1}};
  if (transposed) {
    piece.tensor_shape = {mixture.experts, inputs, outputs};
    piece.strides = {outputs * inputs, 1, outputs};
  }
  return piece;
}

// The experts of one group: `in` has a row of the gate and one of up in turns, `out` is down.
void AddExpertGroup(const Architecture& arch, const Family& family, uint32_t group,
                    Weights& weights) {
  const Mixture& mixture = *arch.mixture;
  const uint64_t count = mixture.experts_per_group();
  const uint64_t hidden = arch.hidden;
  const uint64_t inner = mixture.intermediate;
  const auto spec = [&](std::string_view which, WeightKind kind, Shape shape) {
    WeightSpec made{StrCat("experts.", group, ".", which), kind, std::move(shape), {}};
    made.expert_group = group;
    return made;
  };
  WeightSpec in = spec("in", WeightKind::kExperts, {count, 2 * inner, hidden});
  WeightSpec out = spec("out", WeightKind::kExperts, {count, hidden, inner});
  if (!family.stacked_experts) {
    in.paired = true;
    for (uint64_t expert = group * count; expert < (group + 1) * count; ++expert) {
      in.pieces.push_back(
          WeightPiece::Whole(weights.NameOf("expert_gate", expert), {inner, hidden}));
      in.pieces.push_back(WeightPiece::Whole(weights.NameOf("expert_up", expert), {inner, hidden}));
      out.pieces.push_back(
          WeightPiece::Whole(weights.NameOf("expert_down", expert), {hidden, inner}));
    }
    weights.AddSpec(std::move(in));
    weights.AddSpec(std::move(out));
    return;
  }
  const auto stack = [&](WeightSpec made, std::string_view role, uint64_t outputs,
                         uint64_t inputs) {
    made.pieces.push_back(StackPiece(weights.NameOf(role), mixture, group, outputs, inputs,
                                     TensorNameOf(family, role).transposed));
    weights.AddSpec(std::move(made));
  };
  stack(std::move(in), "experts_in", 2 * inner, hidden);
  stack(std::move(out), "experts_out", hidden, inner);
  if (mixture.bias) {
    stack(spec("in_bias", WeightKind::kVector, {count, 2 * inner}), "experts_in_bias", 2 * inner,
          0);
    stack(spec("out_bias", WeightKind::kVector, {count, hidden}), "experts_out_bias", hidden, 0);
  }
}

void AddMixture(const Architecture& arch, const Family& family, Weights& weights) {
  const Mixture& mixture = *arch.mixture;
  weights.Matrices({{"router", mixture.experts}}, arch.hidden, mixture.router_bias);
  if (mixture.correction_bias) {
    weights.Add("router_correction", WeightKind::kVector, {mixture.experts});
  }
  if (mixture.shared_intermediate != 0) {
    const uint64_t inner = mixture.shared_intermediate;
    weights.Matrices({{"shared_gate", inner}, {"shared_up", inner}}, arch.hidden, false);
    weights.Matrices({{"shared_down", arch.hidden}}, inner, false);
  }
  for (uint32_t group = 0; group < mixture.expert_groups; ++group) {
    AddExpertGroup(arch, family, group, weights);
  }
}

void AddLayer(const Architecture& arch, const Family& family, const Layer& layer,
              Weights& weights) {
  const NormPlacement placement = arch.norm.placement;
  const bool before = placement != NormPlacement::kAfter;
  const bool after = placement != NormPlacement::kBefore;
  if (before) weights.Norm("attention_norm", arch.norm, arch.hidden);
  if (arch.latent) {
    AddLatentAttention(arch, weights);
  } else {
    AddAttention(arch, weights);
  }
  if (after) weights.Norm("attention_post_norm", arch.norm, arch.hidden);
  if (before) weights.Norm("mlp_norm", arch.norm, arch.hidden);
  if (layer.mixture) {
    AddMixture(arch, family, weights);
  } else {
    AddMlp(arch, weights);
  }
  if (after) weights.Norm("mlp_post_norm", arch.norm, arch.hidden);
}

}  // namespace

WeightPiece WeightPiece::Whole(std::string tensor, std::vector<uint64_t> shape) {
  WeightPiece piece{std::move(tensor), shape, 0, shape, Shape(shape.size(), 1)};
  for (size_t d = shape.size(); d-- > 1;) piece.strides[d - 1] = piece.strides[d] * shape[d];
  return piece;
}

uint64_t WeightPiece::element_count() const { return Product(dims); }

bool WeightPiece::IsContiguous() const {
  uint64_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    if (dims[d] != 1 && strides[d] != stride) return false;
    stride *= dims[d];
  }
  return true;
}

uint64_t WeightSpec::element_count() const { return Product(shape); }

std::vector<WeightSpec> BlockWeights(const Architecture& arch, uint32_t block) {
  CHECK(block < arch.block_count());
  const Family* family = FindFamily(arch.family);
  CHECK_MSG(family != nullptr, arch.family);
  if (arch.IsLayer(block)) {
    Weights weights(*family, StrCat(family->layer_prefix, block - 1, "."));
    AddLayer(arch, *family, arch.LayerOf(block), weights);
    return weights.Take();
  }
  Weights weights(*family, "");
  if (block == 0) {
    weights.Add("table", WeightKind::kEmbedding, {arch.vocab, arch.hidden});
    if (arch.learned_positions) {
      weights.Add("positions", WeightKind::kEmbedding, {arch.positions, arch.hidden});
    }
    return weights.Take();
  }
  weights.Norm("norm", arch.norm, arch.hidden);
  weights.Add("head", WeightKind::kMatrix, {arch.vocab, arch.hidden});
  std::vector<WeightSpec> specs = weights.Take();
  if (arch.tied) {
    specs.back().pieces = BlockWeights(arch, 0).front().pieces;
  }
  return specs;
}

bool IsIgnorableTensor(const Architecture& arch, std::string_view tensor) {
  const Family* family = FindFamily(arch.family);
  CHECK_MSG(family != nullptr, arch.family);
  for (uint32_t layer = 0; layer < arch.extra_layers; ++layer) {
    if (tensor.starts_with(StrCat(family->layer_prefix, arch.layers + layer, "."))) return true;
  }
  if (arch.wrapped && IsOfAnotherPart(tensor)) return true;
  return tensor.ends_with(".rotary_emb.inv_freq") || tensor.ends_with(".attn.bias") ||
         tensor.ends_with(".attn.masked_bias") ||
         (arch.tied && tensor == TensorNameOf(*family, "head").tensor);
}

BlockCosts CostsOf(const Architecture& arch, uint32_t block) {
  BlockCosts costs;
  for (const WeightSpec& spec : BlockWeights(arch, block)) {
    const uint64_t count = spec.element_count();
    costs.params += count;
    if (spec.kind == WeightKind::kMatrix || spec.kind == WeightKind::kHeads) {
      costs.flops_per_token += 2 * count;
    } else if (spec.kind == WeightKind::kExperts) {
      costs.flops_per_token += 2 * (count / arch.mixture->experts * arch.mixture->chosen);
    }
  }
  if (arch.IsLayer(block)) {
    const Attention& attention = arch.attention;
    const uint64_t key = arch.HeadLayoutOf(block).size;
    // A multiplication and an addition for every value of a key, and again of a value.
    costs.attention_flops_per_position = uint64_t{4} * attention.heads * key;
    costs.kv_values_per_token = uint64_t{2} * attention.kv_heads * key;
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
