#include "volunteer/random_stage.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"

namespace shoal::volunteer {

namespace {

using onnx::Dim;

class Writer {
 public:
  Writer(RandomStage& stage, const RandomStageOptions& options)
      : stage_(stage), graph_(stage.model.graph), options_(options), random_(options.seed) {}

  void Write();

 private:
  using Names = std::vector<std::string>;

  std::span<uint8_t> Allocate(const std::string& name, DType type, std::vector<int64_t> dims);
  void AddFloats(const std::string& name, std::vector<int64_t> dims,
                 const std::vector<float>& values);
  std::string Node(const std::string& op, const std::string& name, Names inputs, Names outputs,
                   std::vector<onnx::Attribute> attributes = {}, const std::string& domain = "");
  std::string Product(const std::string& name, const std::string& input, size_t k, size_t n,
                      const std::string& output = "");
  std::string Norm(const std::string& name, const std::string& input);
  void AddTables();
  void AddLayer(size_t block);

  RandomStage& stage_;
  onnx::Graph& graph_;
  const RandomStageOptions& options_;
  Random random_;
};

int64_t Signed(size_t value) { return static_cast<int64_t>(value); }

std::span<uint8_t> Writer::Allocate(const std::string& name, DType type,
                                    std::vector<int64_t> dims) {
  onnx::Tensor tensor{name, type, std::move(dims), {}, {}};
  const uint64_t offset = (stage_.blob.size() + 63) / 64 * 64;
  const uint64_t length = static_cast<uint64_t>(tensor.ElementCount()) * DTypeBytes(type);
  stage_.blob.resize(offset + length);
  tensor.external = onnx::ExternalData{RandomStage::kBlob, offset, length};
  graph_.initializers.push_back(std::move(tensor));
  return std::span(stage_.blob).subspan(offset, length);
}

void Writer::AddFloats(const std::string& name, std::vector<int64_t> dims,
                       const std::vector<float>& values) {
  FromF32(DType::kF32, values, Allocate(name, DType::kF32, std::move(dims)));
}

std::string Writer::Node(const std::string& op, const std::string& name, Names inputs,
                         Names outputs, std::vector<onnx::Attribute> attributes,
                         const std::string& domain) {
  if (outputs.empty()) outputs = {name + ".out"};
  graph_.nodes.push_back({op, domain, name, std::move(inputs), outputs, std::move(attributes)});
  return outputs[0];
}

std::string Writer::Product(const std::string& name, const std::string& input, size_t k, size_t n,
                            const std::string& output) {
  const Names outputs = output.empty() ? Names{} : Names{output};
  const auto spread = static_cast<float>(1 / std::sqrt(static_cast<double>(k)));
  if (options_.format == "f32") {
    std::vector<float> values(k * n);
    for (float& value : values) value = spread * static_cast<float>(2 * random_.NextDouble() - 1);
    AddFloats(name + ".weight", {Signed(k), Signed(n)}, values);
    return Node("MatMul", name, {input, name + ".weight"}, outputs);
  }
  if (options_.format == "int8") {
    for (uint8_t& byte : Allocate(name + ".weight", DType::kI8, {Signed(k), Signed(n)})) {
      byte = static_cast<uint8_t>(random_.Below(256));
    }
    AddFloats(name + ".scale", {Signed(n)}, std::vector<float>(n, spread / 128));
    return Node("DynamicQuantizeMatMul", name, {input, name + ".weight", name + ".scale"}, outputs,
                {}, "com.microsoft");
  }
  const BlockFormat format = options_.format == "q8" ? BlockFormat::kQ8 : BlockFormat::kQ4;
  const size_t blocks = BlocksPerRow(k);
  for (uint8_t& byte : Allocate(name + ".codes", DType::kU8,
                                {Signed(n), Signed(blocks), Signed(BlockCodeBytes(format))})) {
    byte = static_cast<uint8_t>(random_.Below(256));
  }
  std::vector<float> scales(n * blocks);
  for (float& scale : scales) {
    scale = spread / static_cast<float>(1 << (BlockBits(format) - 1)) *
            static_cast<float>(0.5 + random_.NextDouble());
  }
  FromF32(DType::kF16, scales,
          Allocate(name + ".scales", DType::kF16, {Signed(n), Signed(blocks)}));
  const std::string wide =
      Node("Cast", name + ".scales.f32", {name + ".scales"}, {}, {{"to", int64_t{1}}});
  return Node("MatMulNBits", name, {input, name + ".codes", wide}, outputs,
              {{"K", Signed(k)},
               {"N", Signed(n)},
               {"bits", int64_t{BlockBits(format)}},
               {"block_size", Signed(kBlockValues)},
               {"accuracy_level", options_.accuracy_level}},
              "com.microsoft");
}

std::string Writer::Norm(const std::string& name, const std::string& input) {
  AddFloats(name + ".scale", {Signed(options_.hidden)}, std::vector<float>(options_.hidden, 1.0f));
  return Node("SimplifiedLayerNormalization", name, {input, name + ".scale"}, {},
              {{"axis", int64_t{-1}}, {"epsilon", 1e-5f}});
}

void Writer::AddTables() {
  const size_t pairs = options_.head_size / 2;
  std::vector<float> cos;
  std::vector<float> sin;
  for (size_t p = 0; p < options_.positions; ++p) {
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) *
                           std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  AddFloats("cos_cache", {Signed(options_.positions), Signed(pairs)}, cos);
  AddFloats("sin_cache", {Signed(options_.positions), Signed(pairs)}, sin);
}

void Writer::AddLayer(size_t block) {
  const std::string at = StrCat("block.", block, ".");
  const std::string in = StrCat("hidden.", block);
  const std::string out = StrCat("hidden.", block + 1);
  const auto cache = [&](const char* when, const char* which, const char* length) {
    return onnx::ValueInfo{StrCat(when, ".", block, ".", which),
                           DType::kF32,
                           {Dim::Symbolic("batch"), Dim::Fixed(Signed(options_.kv_heads)),
                            Dim::Symbolic(length), Dim::Fixed(Signed(options_.head_size))}};
  };
  for (const char* which : {"key", "value"}) {
    graph_.inputs.push_back(cache("past", which, "past_length"));
    graph_.outputs.push_back(cache("present", which, "total_length"));
  }
  const size_t kv = options_.kv_heads * options_.head_size;
  const size_t query = options_.heads * options_.head_size;
  const size_t hidden = options_.hidden;
  const std::string past = StrCat("past.", block, ".");
  const std::string present = StrCat("present.", block, ".");
  const std::string normed = Norm(at + "attention_norm", in);
  const std::string q = Product(at + "q", normed, hidden, query);
  const std::string k = Product(at + "k", normed, hidden, kv);
  const std::string v = Product(at + "v", normed, hidden, kv);
  const std::string attended =
      Node("GroupQueryAttention", at + "attention",
           {q, k, v, past + "key", past + "value", "seqlens_k", "total_sequence_length",
            "cos_cache", "sin_cache"},
           {at + "attended", present + "key", present + "value"},
           {{"num_heads", Signed(options_.heads)},
            {"kv_num_heads", Signed(options_.kv_heads)},
            {"do_rotary", int64_t{1}},
            {"scale", 1.0f / std::sqrt(static_cast<float>(options_.head_size))}},
           "com.microsoft");
  const std::string middle =
      Node("Add", at + "residual", {in, Product(at + "o", attended, query, hidden)}, {});
  const std::string mlp = Norm(at + "mlp_norm", middle);
  const std::string gate = Product(at + "gate", mlp, hidden, options_.ffn);
  const std::string up = Product(at + "up", mlp, hidden, options_.ffn);
  const std::string sigmoid = Node("Sigmoid", at + "sigmoid", {gate}, {});
  const std::string silu = Node("Mul", at + "silu", {sigmoid, gate}, {});
  const std::string product = Node("Mul", at + "product", {silu, up}, {});
  Node("Add", at + "out", {middle, Product(at + "down", product, options_.ffn, hidden)}, {out});
}

void Writer::Write() {
  stage_.model.opsets = {{"", 21}, {"com.microsoft", 1}};
  graph_.name = "random stage";
  const auto hidden = [&](size_t block) {
    return onnx::ValueInfo{
        StrCat("hidden.", block),
        DType::kF32,
        {Dim::Symbolic("batch"), Dim::Symbolic("sequence"), Dim::Fixed(Signed(options_.hidden))}};
  };
  graph_.inputs = {hidden(1),
                   {"seqlens_k", DType::kI32, {Dim::Symbolic("batch")}},
                   {"total_sequence_length", DType::kI32, {}}};
  graph_.outputs = {hidden(options_.layers + 1)};
  AddTables();
  for (size_t block = 1; block <= options_.layers; ++block) AddLayer(block);
}

}  // namespace

RandomStage::RandomStage(const RandomStageOptions& options) { Writer(*this, options).Write(); }

Result<Bytes> RandomStage::Map(const onnx::ExternalData& range) {
  CHECK(range.offset + range.length <= blob.size());
  return Bytes(blob).subspan(range.offset, range.length);
}

}  // namespace shoal::volunteer
