#include "engine/testing/tiny_llama.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "onnx/join.h"
#include "onnx/testing.h"
#include "tensor/convert.h"

namespace shoal::engine::testing {

namespace {

using onnx::Dim;
using onnx::testing::Floats;
using onnx::testing::HiddenDims;
using onnx::testing::Ints;
using onnx::testing::MakeNode;
using onnx::testing::Value;

constexpr double kRopeTheta = 100.0;

int64_t Signed(size_t value) { return static_cast<int64_t>(value); }

// To the nearest codes under the scale that maps each block's largest magnitude to the last one.
void RoundRow(BlockFormat format, std::span<const float> row, std::span<uint8_t> codes,
              std::span<uint16_t> scales) {
  const bool is_q4 = format == BlockFormat::kQ4;
  const int zero = is_q4 ? 8 : 128;
  std::ranges::fill(codes, 0);
  for (size_t b = 0; b < scales.size(); ++b) {
    const auto block = row.subspan(b * kBlockValues, std::min(kBlockValues, row.size() - b * 32));
    float largest = 1e-3f;
    for (const float value : block) largest = std::max(largest, std::abs(value));
    scales[b] = F32ToF16(largest / static_cast<float>(zero - 1));
    const float scale = F16ToF32(scales[b]);
    for (size_t i = 0; i < block.size(); ++i) {
      const int code = static_cast<int>(std::floor(block[i] / scale + 0.5f));
      const int bits = std::clamp(code + zero, 0, 2 * zero - 1);
      const size_t at = b * kBlockValues + i;
      if (is_q4) {
        codes[at / 2] |= static_cast<uint8_t>(bits << at % 2 * 4);
      } else {
        codes[at] = static_cast<uint8_t>(bits);
      }
    }
  }
}

}  // namespace

Result<Bytes> BlobSource::Map(const onnx::ExternalData& range) {
  const auto blob = blobs.find(range.location);
  if (blob == blobs.end()) return Fail(Code::kNotFound, "no blob " + range.location);
  ++views;
  return Bytes(blob->second).subspan(range.offset, range.length);
}

void BlobSource::Release(const onnx::ExternalData&) { --views; }

// Writes one block's graph; every weight becomes a blob at an offset of 64.
class TinyLlama::BlockWriter {
 public:
  BlockWriter(TinyLlama& llama, size_t block)
      : llama_(llama), prefix_(StrCat("block.", block, ".")) {
    model_ = onnx::testing::EmptyModel(StrCat("block ", block));
  }

  onnx::Graph& graph() { return model_.graph; }
  onnx::Model Take() { return std::move(model_); }

  std::string Add(std::string op, const std::string& name, std::vector<std::string> inputs,
                  std::vector<onnx::Attribute> attributes = {}, std::string output = "") {
    if (output.empty()) output = prefix_ + name;
    graph().nodes.push_back(MakeNode(std::move(op), prefix_ + name + ".node", std::move(inputs),
                                     {output}, std::move(attributes)));
    return output;
  }

  // The initialiser's name, or that of its cast to float.
  std::string Weight(const std::string& name, std::vector<size_t> dims, const Vector& values,
                     bool is_shared = false) {
    const std::string full = is_shared ? name : prefix_ + name;
    const DType type = llama_.config_.weight_type;
    onnx::Tensor tensor{full, type, {}, {}, {}};
    for (const size_t dim : dims) tensor.dims.push_back(Signed(dim));
    ByteVector& blob = llama_.source_.blobs[full];
    const std::vector<float> floats(values.begin(), values.end());
    blob.assign(64 + floats.size() * DTypeBytes(type), 0xff);
    FromF32(type, floats, std::span(blob).subspan(64));
    tensor.external = onnx::ExternalData{full, 64, blob.size() - 64};
    graph().initializers.push_back(std::move(tensor));
    if (type == DType::kF32) return full;
    return Add("Cast", name + ".f32", {full}, {{"to", int64_t{1}}});
  }
  // The codes and scales of a matrix, with the dims given to the codes; the scales' name is that of
  // their cast.
  std::pair<std::string, std::string> BlockWeight(const std::string& name, const Matrix& matrix,
                                                  std::vector<int64_t> dims,
                                                  bool is_shared = false) {
    const std::string full = is_shared ? name : prefix_ + name;
    const auto add = [&](const std::string& part, DType type, std::vector<int64_t> part_dims,
                         Bytes bytes) {
      ByteVector& blob = llama_.source_.blobs[part];
      blob.assign(bytes.begin(), bytes.end());
      graph().initializers.push_back(
          {part, type, std::move(part_dims), {}, onnx::ExternalData{part, 0, blob.size()}});
    };
    add(full + ".codes", DType::kU8, std::move(dims), matrix.codes);
    const Bytes scales(reinterpret_cast<const uint8_t*>(matrix.scales.data()),
                       2 * matrix.scales.size());
    add(full + ".scales", DType::kF16, {Signed(matrix.out), Signed(BlocksPerRow(matrix.in))},
        scales);
    return {full + ".codes",
            Add("Cast", name + ".scales.f32", {full + ".scales"}, {{"to", int64_t{1}}})};
  }
  std::string BlockMatMul(const std::string& name, const std::string& input, const Matrix& matrix,
                          std::string output) {
    const BlockFormat format = *llama_.config_.blocks;
    const auto [codes, scales] = BlockWeight(
        name + ".weight", matrix,
        {Signed(matrix.out), Signed(BlocksPerRow(matrix.in)), Signed(BlockCodeBytes(format))});
    const std::string result = Add("MatMulNBits", name, {input, codes, scales},
                                   {{"K", Signed(matrix.in)},
                                    {"N", Signed(matrix.out)},
                                    {"bits", int64_t{BlockBits(format)}},
                                    {"block_size", Signed(kBlockValues)}},
                                   std::move(output));
    graph().nodes.back().domain = "com.microsoft";
    return result;
  }
  std::string MatMul(const std::string& name, const std::string& input, const Matrix& matrix,
                     std::string output = "") {
    if (llama_.config_.blocks) return BlockMatMul(name, input, matrix, std::move(output));
    Vector transposed;
    for (size_t i = 0; i < matrix.in; ++i) {
      for (size_t o = 0; o < matrix.out; ++o) {
        transposed.push_back(matrix.values[o * matrix.in + i]);
      }
    }
    const std::string weight = Weight(name + ".weight", {matrix.in, matrix.out}, transposed);
    return Add("MatMul", name, {input, weight}, {}, std::move(output));
  }
  std::string Norm(const std::string& name, const std::string& input, const Vector& scale) {
    return Add("SimplifiedLayerNormalization", name,
               {input, Weight(name + ".weight", {scale.size()}, scale)},
               {{"axis", int64_t{-1}}, {"epsilon", llama_.config_.epsilon}});
  }

 private:
  TinyLlama& llama_;
  std::string prefix_;
  onnx::Model model_;
};

TinyLlama::TinyLlama(const TinyConfig& config, uint64_t seed) : config_(config) {
  MakeWeights(seed);
  blocks_.push_back(EmbeddingBlock());
  for (size_t block = 1; block <= config.layers; ++block) blocks_.push_back(LayerBlock(block));
  blocks_.push_back(HeadBlock());
}

onnx::Model TinyLlama::Join(size_t from, size_t to) const {
  Result<onnx::Model> joined =
      onnx::Join(std::span(blocks_).subspan(from, to - from), StrCat("stage ", from, " ", to));
  CHECK_MSG(joined.has_value(), joined.error().ToString());
  return *std::move(joined);
}

void TinyLlama::MakeWeights(uint64_t seed) {
  Random random(seed);
  // What the stored type can hold, so that the reference sees the same weights.
  const auto number = [&](double center, double spread) {
    const float value = static_cast<float>(center + spread * (2 * random.NextDouble() - 1));
    uint8_t stored[4];
    float rounded = 0;
    const std::span<uint8_t> bytes(stored, DTypeBytes(config_.weight_type));
    FromF32(config_.weight_type, std::span(&value, 1), bytes);
    ToF32(config_.weight_type, bytes, std::span(&rounded, 1));
    return static_cast<double>(rounded);
  };
  const auto matrix = [&](size_t out, size_t in) {
    Matrix result{out, in, Vector(out * in)};
    for (double& value : result.values) value = number(0, 1.5 / std::sqrt(static_cast<double>(in)));
    if (config_.blocks) Quantize(result);
    return result;
  };
  const auto scale = [&] {
    Vector result(config_.hidden);
    for (double& value : result) value = number(1, 0.3);
    return result;
  };
  const size_t hidden = config_.hidden;
  const size_t query = config_.heads * config_.head_size;
  const size_t kv = config_.kv_heads * config_.head_size;
  embedding_ = matrix(config_.vocabulary, hidden);
  for (size_t l = 0; l < config_.layers; ++l) {
    layers_.push_back({scale(), matrix(query, hidden), matrix(kv, hidden), matrix(kv, hidden),
                       matrix(hidden, query), scale(), matrix(config_.ffn, hidden),
                       matrix(config_.ffn, hidden), matrix(hidden, config_.ffn)});
  }
  final_norm_ = scale();
  head_ = config_.is_tied ? embedding_ : matrix(config_.vocabulary, hidden);
}

void TinyLlama::Quantize(Matrix& matrix) const {
  const size_t blocks = BlocksPerRow(matrix.in);
  const size_t code_bytes = blocks * BlockCodeBytes(*config_.blocks);
  matrix.codes.resize(matrix.out * code_bytes);
  matrix.scales.resize(matrix.out * blocks);
  for (size_t row = 0; row < matrix.out; ++row) {
    const auto at = matrix.values.begin() + Signed(row * matrix.in);
    std::vector<float> floats(at, at + Signed(matrix.in));
    const auto codes = std::span(matrix.codes).subspan(row * code_bytes, code_bytes);
    const auto scales = std::span(matrix.scales).subspan(row * blocks, blocks);
    RoundRow(*config_.blocks, floats, codes, scales);
    DequantizeRow(*config_.blocks, codes, scales, floats);
    std::ranges::copy(floats, at);
  }
}

onnx::Model TinyLlama::EmbeddingBlock() {
  BlockWriter writer(*this, 0);
  writer.graph().inputs = {
      Value("tokens", DType::kI32, {Dim::Symbolic("batch"), Dim::Symbolic("sequence")})};
  writer.graph().outputs = {Value("hidden.1", DType::kF32, HiddenDims(Signed(config_.hidden)))};
  if (config_.blocks && config_.hidden % kBlockValues == 0) {
    const auto [codes, scales] = writer.BlockWeight(
        config_.is_tied ? "tied" : "table", embedding_,
        {Signed(config_.vocabulary), Signed(embedding_.codes.size() / config_.vocabulary)},
        config_.is_tied);
    writer.Add("GatherBlockQuantized", "look_up", {codes, "tokens", scales},
               {{"bits", int64_t{BlockBits(*config_.blocks)}},
                {"block_size", Signed(kBlockValues)},
                {"gather_axis", int64_t{0}},
                {"quantize_axis", int64_t{1}}},
               "hidden.1");
    writer.graph().nodes.back().domain = "com.microsoft";
    return writer.Take();
  }
  if (!config_.is_tied) {
    const std::string table =
        writer.Weight("table", {config_.vocabulary, config_.hidden}, embedding_.values);
    writer.Add("Gather", "look_up", {table, "tokens"}, {{"axis", int64_t{0}}}, "hidden.1");
    return writer.Take();
  }
  Vector transposed(embedding_.values.size());
  for (size_t v = 0; v < config_.vocabulary; ++v) {
    for (size_t h = 0; h < config_.hidden; ++h) {
      transposed[h * config_.vocabulary + v] = embedding_.values[v * config_.hidden + h];
    }
  }
  const std::string table =
      writer.Weight("tied", {config_.hidden, config_.vocabulary}, transposed, true);
  const std::string columns =
      writer.Add("Gather", "look_up", {table, "tokens"}, {{"axis", int64_t{1}}});
  writer.Add("Transpose", "turn", {columns}, {{"perm", std::vector<int64_t>{1, 2, 0}}}, "hidden.1");
  return writer.Take();
}

onnx::Model TinyLlama::LayerBlock(size_t block) {
  const Layer& layer = layers_[block - 1];
  BlockWriter writer(*this, block);
  const std::string in = StrCat("hidden.", block);
  const std::string out = StrCat("hidden.", block + 1);
  const auto cache = [&](const char* when, const char* which, const char* length) {
    return Value(StrCat(when, ".", block, ".", which), DType::kF32,
                 {Dim::Symbolic("batch"), Dim::Fixed(Signed(config_.kv_heads)),
                  Dim::Symbolic(length), Dim::Fixed(Signed(config_.head_size))});
  };
  onnx::Graph& graph = writer.graph();
  graph.inputs = {Value(in, DType::kF32, HiddenDims(Signed(config_.hidden))),
                  Value("seqlens_k", DType::kI32, {Dim::Symbolic("batch")}),
                  Value("total_sequence_length", DType::kI32, {}),
                  cache("past", "key", "past_length"), cache("past", "value", "past_length")};
  graph.outputs = {Value(out, DType::kF32, HiddenDims(Signed(config_.hidden))),
                   cache("present", "key", "total_length"),
                   cache("present", "value", "total_length")};
  std::vector<float> cos;
  std::vector<float> sin;
  for (size_t p = 0; p < config_.positions; ++p) {
    for (size_t i = 0; i < config_.rotary_pairs; ++i) {
      const double angle =
          static_cast<double>(p) *
          std::pow(kRopeTheta, -static_cast<double>(i) / static_cast<double>(config_.rotary_pairs));
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  const std::vector<int64_t> table = {Signed(config_.positions), Signed(config_.rotary_pairs)};
  graph.initializers = {Floats("cos_cache", table, cos), Floats("sin_cache", table, sin)};

  const std::string normed = writer.Norm("attention_norm", in, layer.attention_norm);
  const std::string q = writer.MatMul("q", normed, layer.q);
  const std::string k = writer.MatMul("k", normed, layer.k);
  const std::string v = writer.MatMul("v", normed, layer.v);
  const std::string attended = StrCat("block.", block, ".attended");
  graph.nodes.push_back(MakeNode("GroupQueryAttention", StrCat("block.", block, ".attention"),
                                 {q, k, v, graph.inputs[3].name, graph.inputs[4].name, "seqlens_k",
                                  "total_sequence_length", "cos_cache", "sin_cache"},
                                 {attended, graph.outputs[1].name, graph.outputs[2].name},
                                 {{"num_heads", Signed(config_.heads)},
                                  {"kv_num_heads", Signed(config_.kv_heads)},
                                  {"do_rotary", int64_t{1}},
                                  {"rotary_interleaved", int64_t{config_.interleaved}},
                                  {"scale", config_.scale},
                                  {"softcap", config_.softcap}},
                                 "com.microsoft"));
  const std::string o = writer.MatMul("o", attended, layer.o);
  const std::string middle = writer.Add("Add", "attention_residual", {in, o});
  const std::string mlp = writer.Norm("mlp_norm", middle, layer.mlp_norm);
  const std::string gate = writer.MatMul("gate", mlp, layer.gate);
  const std::string up = writer.MatMul("up", mlp, layer.up);
  const std::string sigmoid = writer.Add("Sigmoid", "sigmoid", {gate});
  const std::string silu = writer.Add("Mul", "silu", {sigmoid, gate});
  const std::string product = writer.Add("Mul", "product", {silu, up});
  const std::string down = writer.MatMul("down", product, layer.down);
  writer.Add("Add", "mlp_residual", {middle, down}, {}, out);
  return writer.Take();
}

onnx::Model TinyLlama::HeadBlock() {
  const size_t block = config_.layers + 1;
  BlockWriter writer(*this, block);
  const std::string in = StrCat("hidden.", block);
  onnx::Graph& graph = writer.graph();
  graph.inputs = {Value(in, DType::kF32, HiddenDims(Signed(config_.hidden))),
                  Value("logit_rows", DType::kI32, {Dim::Symbolic("selected")})};
  graph.outputs = {Value("logits", DType::kF32,
                         {Dim::Symbolic("selected"), Dim::Fixed(Signed(config_.vocabulary))})};
  graph.initializers = {Ints("flat", {-1, Signed(config_.hidden)})};
  const std::string flat = writer.Add("Reshape", "flatten", {in, "flat"});
  const std::string rows =
      writer.Add("Gather", "pick", {flat, "logit_rows"}, {{"axis", int64_t{0}}});
  const std::string normed = writer.Norm("norm", rows, final_norm_);
  if (config_.blocks && config_.is_tied) {
    // The embedding's codes under the dims that a product wants.
    const BlockFormat format = *config_.blocks;
    const auto [codes, scales] = writer.BlockWeight(
        "tied", head_,
        {Signed(config_.vocabulary), Signed(head_.codes.size() / config_.vocabulary)}, true);
    graph.initializers.push_back(
        Ints("tied.dims",
             {Signed(head_.out), Signed(BlocksPerRow(head_.in)), Signed(BlockCodeBytes(format))}));
    const std::string turned = writer.Add("Reshape", "tied.blocks", {codes, "tied.dims"});
    writer.Add("MatMulNBits", "head", {normed, turned, scales},
               {{"K", Signed(head_.in)},
                {"N", Signed(head_.out)},
                {"bits", int64_t{BlockBits(format)}},
                {"block_size", Signed(kBlockValues)}},
               "logits");
    graph.nodes.back().domain = "com.microsoft";
    return writer.Take();
  }
  if (!config_.is_tied) {
    writer.MatMul("head", normed, head_, "logits");
    return writer.Take();
  }
  Vector transposed(head_.values.size());
  for (size_t v = 0; v < config_.vocabulary; ++v) {
    for (size_t h = 0; h < config_.hidden; ++h) {
      transposed[h * config_.vocabulary + v] = head_.values[v * config_.hidden + h];
    }
  }
  const std::string table =
      writer.Weight("tied", {config_.hidden, config_.vocabulary}, transposed, true);
  writer.Add("MatMul", "head", {normed, table}, {}, "logits");
  return writer.Take();
}

TinyLlama::Vector TinyLlama::Matrix::Times(const Vector& x) const {
  Vector y(out, 0.0);
  for (size_t o = 0; o < out; ++o) {
    for (size_t i = 0; i < in; ++i) y[o] += values[o * in + i] * x[i];
  }
  return y;
}

TinyLlama::Vector TinyLlama::Norm(const Vector& x, const Vector& scale) const {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double root =
      std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(config_.epsilon));
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / root * scale[i];
  return y;
}

TinyLlama::Vector TinyLlama::Turned(const Vector& heads, size_t position) const {
  Vector turned = heads;
  for (size_t head = 0; head < heads.size(); head += config_.head_size) {
    for (size_t i = 0; i < config_.rotary_pairs; ++i) {
      const size_t a = head + (config_.interleaved ? 2 * i : i);
      const size_t b = config_.interleaved ? a + 1 : a + config_.rotary_pairs;
      const double angle =
          static_cast<double>(position) /
          std::pow(kRopeTheta, static_cast<double>(i) / static_cast<double>(config_.rotary_pairs));
      turned[a] = heads[a] * std::cos(angle) - heads[b] * std::sin(angle);
      turned[b] = heads[b] * std::cos(angle) + heads[a] * std::sin(angle);
    }
  }
  return turned;
}

TinyLlama::Vector TinyLlama::Attend(const Vector& q, const std::vector<Vector>& keys,
                                    const std::vector<Vector>& values) const {
  const size_t size = config_.head_size;
  const double scale =
      config_.scale != 0 ? config_.scale : 1 / std::sqrt(static_cast<double>(size));
  Vector out(q.size(), 0.0);
  for (size_t head = 0; head < config_.heads; ++head) {
    const size_t kv_head = head * config_.kv_heads / config_.heads;
    Vector weights;
    double sum = 0;
    for (const Vector& key : keys) {
      double score = 0;
      for (size_t i = 0; i < size; ++i) score += q[head * size + i] * key[kv_head * size + i];
      score *= scale;
      if (config_.softcap > 0) score = config_.softcap * std::tanh(score / config_.softcap);
      weights.push_back(std::exp(score));
      sum += weights.back();
    }
    for (size_t t = 0; t < keys.size(); ++t) {
      for (size_t i = 0; i < size; ++i) {
        out[head * size + i] += weights[t] / sum * values[t][kv_head * size + i];
      }
    }
  }
  return out;
}

std::vector<std::vector<double>> TinyLlama::Reference(const std::vector<int32_t>& tokens) const {
  std::vector<Vector> states;
  for (const int32_t token : tokens) {
    const auto row = embedding_.values.begin() + token * Signed(config_.hidden);
    states.emplace_back(row, row + Signed(config_.hidden));
  }
  for (const Layer& layer : layers_) {
    std::vector<Vector> keys;
    std::vector<Vector> values;
    for (size_t p = 0; p < states.size(); ++p) {
      Vector& x = states[p];
      const Vector normed = Norm(x, layer.attention_norm);
      keys.push_back(Turned(layer.k.Times(normed), p));
      values.push_back(layer.v.Times(normed));
      const Vector attended = Attend(Turned(layer.q.Times(normed), p), keys, values);
      const Vector o = layer.o.Times(attended);
      for (size_t i = 0; i < x.size(); ++i) x[i] += o[i];
      const Vector mlp = Norm(x, layer.mlp_norm);
      Vector product = layer.gate.Times(mlp);
      const Vector up = layer.up.Times(mlp);
      for (size_t i = 0; i < up.size(); ++i) product[i] *= up[i] / (1 + std::exp(-product[i]));
      const Vector down = layer.down.Times(product);
      for (size_t i = 0; i < x.size(); ++i) x[i] += down[i];
    }
  }
  std::vector<Vector> logits;
  for (const Vector& x : states) logits.push_back(head_.Times(Norm(x, final_norm_)));
  return logits;
}

}  // namespace shoal::engine::testing
