#include "packer/block_writer.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::packer {

BlockWriter::BlockWriter(const model::Architecture& arch, uint32_t block,
                         const std::vector<PlacedWeight>& weights)
    : arch_(arch), block_(block), weights_(weights), graph_(StrCat("block.", block, ".")) {}

const PlacedWeight* BlockWriter::Find(std::string_view role) const {
  const auto found = std::ranges::find_if(
      weights_, [&](const PlacedWeight& weight) { return weight.spec.role == role; });
  return found != weights_.end() ? &*found : nullptr;
}

const PlacedWeight& BlockWriter::Weight(std::string_view role) const {
  const PlacedWeight* weight = Find(role);
  CHECK_MSG(weight != nullptr, StrCat("block ", block_, " has no weight ", role));
  return *weight;
}

std::string BlockWriter::UseOne(std::string_view role) {
  const PlacedWeight& weight = Weight(role);
  CHECK(weight.parts.size() == 1);
  return graph_.External(weight.parts.front());
}

std::string BlockWriter::Linear(const std::string& role, const std::string& input,
                                std::string output) {
  const std::string bias = role + "_bias";
  const bool biased = Has(bias);
  const PlacedWeight& weight = Weight(role);
  std::string product = weight.format->AddProduct(graph_, role + ".product", input, weight,
                                                  biased ? std::string() : output);
  if (!biased) return product;
  return graph_.Add("Add", role + ".biased", {product, UseOne(bias)}, {}, std::move(output));
}

std::string BlockWriter::Norm(const std::string& role, const std::string& input) {
  if (arch_.norm.kind == model::NormKind::kRms) return RmsNorm(role, input, arch_.norm.epsilon);
  return graph_.Add("LayerNormalization", role + ".norm",
                    {input, UseOne(role), UseOne(role + "_bias")},
                    {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(arch_.norm.epsilon)}});
}

std::string BlockWriter::RmsNorm(const std::string& role, const std::string& input,
                                 double epsilon) {
  return graph_.RmsNorm(role + ".norm", input, UseOne(role), epsilon);
}

std::string BlockWriter::Activate(model::Activation activation, const std::string& name,
                                  const std::string& input) {
  if (activation == model::Activation::kGeluTanh) {
    return graph_.Add("Gelu", name + ".gelu", {input}, {{"approximate", std::string("tanh")}});
  }
  const std::string sigmoid = graph_.Add("Sigmoid", name + ".sigmoid", {input});
  return graph_.Add("Mul", name + ".silu", {input, sigmoid});
}

std::string BlockWriter::Scale(const std::string& name, const std::string& input, double factor,
                               std::string output) {
  if (factor == 1 && output.empty()) return input;
  const std::string scalar = graph_.Scalar(name + ".factor", factor);
  return graph_.Add("Mul", name, {input, scalar}, {}, std::move(output));
}

std::string BlockWriter::Softcap(const std::string& name, const std::string& input, double cap,
                                 std::string output) {
  const std::string shrunk = Scale(name + ".shrink", input, 1 / cap);
  const std::string bent = graph_.Add("Tanh", name + ".tanh", {shrunk});
  return Scale(name + ".stretch", bent, cap, std::move(output));
}

std::string BlockWriter::Mlp(const std::string& prefix, const std::string& input, bool gated,
                             model::Activation activation) {
  const std::string first = prefix + (gated ? "gate" : "up");
  std::string inner = Activate(activation, first, Linear(first, input));
  if (gated) {
    inner = graph_.Add("Mul", prefix + "gated", {inner, Linear(prefix + "up", input)});
  }
  return Linear(prefix + "down", inner);
}

std::string BlockWriter::Name(std::string_view what, uint32_t block) {
  return StrCat(what, ".", block);
}

std::vector<onnx::Dim> BlockWriter::RowDims(uint64_t width) {
  return {onnx::Dim::Symbolic("batch"), onnx::Dim::Symbolic("sequence"),
          onnx::Dim::Fixed(static_cast<int64_t>(width))};
}

void BlockWriter::RowInput(std::string name, uint64_t width) {
  graph_.Input(std::move(name), DType::kF32, RowDims(width));
}

void BlockWriter::RowOutput(std::string name, uint64_t width) {
  graph_.Output(std::move(name), DType::kF32, RowDims(width));
}

}  // namespace shoal::packer
