#include "packer/block_graph.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "packer/graph_builder.h"

namespace shoal::packer {

namespace {

using onnx::Dim;

Dim Batch() { return Dim::Symbolic("batch"); }
Dim Sequence() { return Dim::Symbolic("sequence"); }

class BlockGraph {
 public:
  BlockGraph(const model::Architecture& arch, uint32_t block, const TensorFormat& format,
             const std::vector<PlacedWeight>& weights)
      : arch_(arch),
        block_(block),
        format_(format),
        weights_(weights),
        graph_(StrCat("block.", block, ".")) {}

  onnx::Model Build() {
    for (const PlacedWeight& weight : weights_) {
      for (const onnx::Tensor& part : weight.parts) graph_.External(part);
    }
    if (block_ == 0) {
      Embedding();
    } else if (arch_.IsLayer(block_)) {
      Layer();
    } else {
      Head();
    }
    return graph_.Take(StrCat("block.", block_));
  }

 private:
  void Embedding() {
    graph_.Input("tokens", DType::kI32, {Batch(), Sequence()});
    const PlacedWeight& table = Weight("table");
    format_.AddLookup(graph_, "lookup", "tokens", PartNames(table), table.stored_as, HiddenName(1));
    graph_.Output(HiddenName(1), DType::kF32, HiddenDims());
  }

  void Layer() {
    const std::string input = HiddenName(block_);
    graph_.Input(input, DType::kF32, HiddenDims());
    const bool before = arch_.norm == model::NormPlacement::kBefore;
    const std::string attention = before ? Attention(Norm("attention_norm", input))
                                         : Norm("attention_norm", Attention(input));
    const std::string middle = graph_.Add("Add", "attention_residual", {input, attention});
    const std::string mlp = before ? Mlp(Norm("mlp_norm", middle)) : Norm("mlp_norm", Mlp(middle));
    graph_.Add("Add", "mlp_residual", {middle, mlp}, {}, HiddenName(block_ + 1));
    graph_.Output(HiddenName(block_ + 1), DType::kF32, HiddenDims());
    for (const char* which : {"key", "value"}) {
      graph_.Output(KvName("present", which), DType::kF32, KvDims("total_length"));
    }
  }

  void Head() {
    const std::string input = HiddenName(block_);
    graph_.Input(input, DType::kF32, HiddenDims());
    graph_.Input("logit_rows", DType::kI32, {Dim::Symbolic("selected")});
    const std::string shape = graph_.Constant("flat_shape", {-1, arch_.hidden});
    const std::string flat = graph_.Add("Reshape", "flatten", {input, shape});
    const std::string rows =
        graph_.Add("Gather", "select", {flat, "logit_rows"}, {{"axis", int64_t{0}}});
    const std::string normed = Norm("norm", rows);
    format_.AddProduct(graph_, "product", normed, PartNames(Weight("head")), "logits");
    graph_.Output("logits", DType::kF32, {Dim::Symbolic("selected"), Dim::Fixed(arch_.vocab)});
  }

  // softmax(q k^T) v through the cache, then the output projection.
  std::string Attention(const std::string& input) {
    const model::Attention& attention = arch_.attention;
    const std::string q = QkNorm("q_norm", attention.heads, Linear("q", input));
    const std::string k = QkNorm("k_norm", attention.kv_heads, Linear("k", input));
    const std::string v = Linear("v", input);
    for (const char* which : {"key", "value"}) {
      graph_.Input(KvName("past", which), DType::kF32, KvDims("past_length"));
    }
    graph_.Input("seqlens_k", DType::kI32, {Batch()});
    graph_.Input("total_sequence_length", DType::kI32, {});
    std::vector<std::string> inputs = {q,
                                       k,
                                       v,
                                       KvName("past", "key"),
                                       KvName("past", "value"),
                                       "seqlens_k",
                                       "total_sequence_length"};
    const bool rotated = arch_.IsRotated(block_);
    if (rotated) {
      for (const char* table : {"cos_cache", "sin_cache"}) {
        graph_.Input(table, DType::kF32,
                     {Dim::Symbolic("positions"), Dim::Fixed(attention.head_size / 2)});
        inputs.emplace_back(table);
      }
    }
    const std::string output = graph_.prefix() + "attention";
    graph_.AddMicrosoft("GroupQueryAttention", "attention", std::move(inputs),
                        {output, KvName("present", "key"), KvName("present", "value")},
                        {{"num_heads", int64_t{attention.heads}},
                         {"kv_num_heads", int64_t{attention.kv_heads}},
                         {"scale", static_cast<float>(attention.scale)},
                         {"do_rotary", int64_t{rotated ? 1 : 0}},
                         {"rotary_interleaved", int64_t{0}}});
    return Linear("o", output);
  }

  std::string Mlp(const std::string& input) {
    const std::string gate = Linear("gate", input);
    const std::string up = Linear("up", input);
    const std::string sigmoid = graph_.Add("Sigmoid", "gate.sigmoid", {gate});
    const std::string silu = graph_.Add("Mul", "gate.silu", {gate, sigmoid});
    return Linear("down", graph_.Add("Mul", "gated", {silu, up}));
  }

  // x W^T, plus a bias if the block has one.
  std::string Linear(const std::string& role, const std::string& input) {
    std::string product =
        format_.AddProduct(graph_, role + ".product", input, PartNames(Weight(role)), "");
    const PlacedWeight* bias = FindWeight(role + "_bias");
    if (bias == nullptr) return product;
    return graph_.Add("Add", role + ".biased", {product, PartNames(*bias).front()});
  }

  std::string Norm(const std::string& role, const std::string& input) {
    return graph_.RmsNorm(role + ".norm", input, PartNames(Weight(role)).front(),
                          arch_.norm_epsilon);
  }

  std::string QkNorm(const std::string& role, uint32_t heads, const std::string& input) {
    switch (arch_.attention.qk_norm) {
      case model::QkNorm::kNone:
        return input;
      case model::QkNorm::kWhole:
        return Norm(role, input);
      case model::QkNorm::kPerHead:
        break;
    }
    const int64_t head_size = arch_.attention.head_size;
    const std::string split_shape =
        graph_.Constant(role + ".split_shape", {0, 0, int64_t{heads}, head_size});
    const std::string join_shape =
        graph_.Constant(role + ".join_shape", {0, 0, int64_t{heads} * head_size});
    const std::string split = graph_.Add("Reshape", role + ".split", {input, split_shape});
    return graph_.Add("Reshape", role + ".join", {Norm(role, split), join_shape});
  }

  const PlacedWeight* FindWeight(std::string_view role) const {
    const auto found = std::ranges::find_if(
        weights_, [&](const PlacedWeight& weight) { return weight.spec.role == role; });
    return found != weights_.end() ? &*found : nullptr;
  }

  const PlacedWeight& Weight(std::string_view role) const {
    const PlacedWeight* weight = FindWeight(role);
    CHECK_MSG(weight != nullptr, StrCat("block ", block_, " has no weight ", role));
    return *weight;
  }

  static std::vector<std::string> PartNames(const PlacedWeight& weight) {
    std::vector<std::string> names;
    for (const onnx::Tensor& part : weight.parts) names.push_back(part.name);
    return names;
  }

  static std::string HiddenName(uint32_t block) { return StrCat("hidden.", block); }
  std::vector<Dim> HiddenDims() const { return {Batch(), Sequence(), Dim::Fixed(arch_.hidden)}; }
  std::string KvName(std::string_view when, std::string_view which) const {
    return StrCat(when, ".", block_, ".", which);
  }
  std::vector<Dim> KvDims(std::string length) const {
    return {Batch(), Dim::Fixed(arch_.attention.kv_heads), Dim::Symbolic(std::move(length)),
            Dim::Fixed(arch_.attention.head_size)};
  }

  const model::Architecture& arch_;
  const uint32_t block_;
  const TensorFormat& format_;
  const std::vector<PlacedWeight>& weights_;
  GraphBuilder graph_;
};

}  // namespace

onnx::Model BuildBlockGraph(const model::Architecture& arch, uint32_t block,
                            const TensorFormat& format, const std::vector<PlacedWeight>& weights) {
  return BlockGraph(arch, block, format, weights).Build();
}

}  // namespace shoal::packer
