#include "partition/evaluate.h"

#include <utility>

#include "base/str_cat.h"
#include "partition/operators.h"

namespace shoal::partition {

namespace {

struct Entry {
  std::string_view name;
  Operator run;
};

constexpr Entry kOperators[] = {
    {"Abs", EvaluateUnary},
    {"Add", EvaluateBinary},
    {"And", EvaluateBinary},
    {"Cast", EvaluateCast},
    {"Ceil", EvaluateUnary},
    {"Concat", EvaluateConcat},
    {"Constant", EvaluateConstant},
    {"ConstantOfShape", EvaluateConstantOfShape},
    {"Cos", EvaluateUnary},
    {"CumSum", EvaluateCumSum},
    {"Div", EvaluateBinary},
    {"Dropout", EvaluateUnary},
    {"Equal", EvaluateBinary},
    {"Erf", EvaluateUnary},
    {"Exp", EvaluateUnary},
    {"Expand", EvaluateExpand},
    {"Flatten", EvaluateFlatten},
    {"Floor", EvaluateUnary},
    {"Gather", EvaluateGather},
    {"Gelu", ShapeOfFirst},
    {"Gemm", EvaluateGemm},
    {"Greater", EvaluateBinary},
    {"GreaterOrEqual", EvaluateBinary},
    {"Identity", EvaluateUnary},
    {"LayerNormalization", ShapeOfNorm},
    {"Less", EvaluateBinary},
    {"LessOrEqual", EvaluateBinary},
    {"Log", EvaluateUnary},
    {"MatMul", EvaluateMatMul},
    {"Max", EvaluateBinary},
    {"Min", EvaluateBinary},
    {"Mod", EvaluateBinary},
    {"Mul", EvaluateBinary},
    {"Neg", EvaluateUnary},
    {"Not", EvaluateUnary},
    {"Or", EvaluateBinary},
    {"Pow", EvaluateBinary},
    {"RMSNormalization", ShapeOfNorm},
    {"Range", EvaluateRange},
    {"Reciprocal", EvaluateUnary},
    {"ReduceMax", EvaluateReduce},
    {"ReduceMean", EvaluateReduce},
    {"ReduceMin", EvaluateReduce},
    {"ReduceProd", EvaluateReduce},
    {"ReduceSum", EvaluateReduce},
    {"Relu", EvaluateUnary},
    {"Reshape", EvaluateReshape},
    {"ScatterND", EvaluateScatterNd},
    {"Shape", EvaluateShape},
    {"Sigmoid", EvaluateUnary},
    {"SimplifiedLayerNormalization", ShapeOfNorm},
    {"Sin", EvaluateUnary},
    {"Size", EvaluateSize},
    {"Slice", EvaluateSlice},
    {"Softmax", EvaluateSoftmax},
    {"Split", EvaluateSplit},
    {"Sqrt", EvaluateUnary},
    {"Squeeze", EvaluateSqueeze},
    {"Sub", EvaluateBinary},
    {"Tanh", EvaluateUnary},
    {"Tile", EvaluateTile},
    {"TopK", ShapeOfTopK},
    {"Transpose", EvaluateTranspose},
    {"Trilu", EvaluateTrilu},
    {"Unsqueeze", EvaluateUnsqueeze},
    {"Where", EvaluateWhere},
};

constexpr Entry kMicrosoft[] = {
    {"BiasGelu", ShapeOfFirst},
    {"FastGelu", ShapeOfFirst},
    {"GatherBlockQuantized", ShapeOfGatherBlockQuantized},
    {"Gelu", ShapeOfFirst},
    {"GroupQueryAttention", ShapeOfAttention},
    {"MatMulNBits", ShapeOfMatMulNBits},
    {"MoE", ShapeOfFirst},
    {"QMoE", ShapeOfFirst},
    {"QuickGelu", ShapeOfFirst},
    {"RotaryEmbedding", EvaluateRotary},
    {"SimplifiedLayerNormalization", ShapeOfNorm},
    {"SkipLayerNormalization", ShapeOfSkipNorm},
    {"SkipSimplifiedLayerNormalization", ShapeOfSkipNorm},
};

Operator Find(std::string_view domain, std::string_view name) {
  const bool is_microsoft = domain == "com.microsoft";
  if (!domain.empty() && domain != "ai.onnx" && !is_microsoft) return nullptr;
  const std::span<const Entry> entries =
      is_microsoft ? std::span<const Entry>(kMicrosoft) : std::span<const Entry>(kOperators);
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry.run;
  }
  return nullptr;
}

std::string Describe(const onnx::Node& node) {
  return StrCat("node \"", node.name.empty() ? node.outputs.front() : node.name, "\" (",
                node.op_type, ")");
}

}  // namespace

std::unexpected<Error> Wrong(std::string detail) {
  return Fail(Code::kInvalidArgument, std::move(detail));
}

Result<std::vector<Array>> Evaluate(const onnx::Node& node, std::span<const Array* const> inputs,
                                    int64_t opset) {
  const Operator run = Find(node.domain, node.op_type);
  if (run == nullptr) {
    return Fail(Code::kUnimplemented,
                StrCat("the operator ", node.domain.empty() ? "" : StrCat(node.domain, ":"),
                       node.op_type, " is not one that graphs can be cut around"));
  }
  ASSIGN_OR_RETURN(std::vector<Array> outputs, run(Call{node, inputs, opset}));
  for (size_t i = outputs.size(); i < node.outputs.size(); ++i) {
    if (!node.outputs[i].empty()) return Wrong(StrCat("has an output \"", node.outputs[i], "\""));
  }
  for (const Array& output : outputs) {
    if (auto count = CountOf(output.dims); !count) {
      return std::unexpected<Error>(std::move(count).error());
    }
  }
  return outputs;
}

Status EvaluateTo(const onnx::Graph& graph, int64_t opset, std::span<const std::string> targets,
                  Bindings& bindings) {
  std::unordered_set<std::string_view> wanted;
  for (const std::string& target : targets) {
    if (!bindings.contains(target)) wanted.insert(target);
  }
  std::vector<bool> needed(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const onnx::Node& node = graph.nodes[i];
    for (const std::string& output : node.outputs) needed[i] = needed[i] || wanted.contains(output);
    if (!needed[i]) continue;
    for (const std::string& input : node.inputs) {
      if (!input.empty() && !bindings.contains(input)) wanted.insert(input);
    }
  }
  int64_t elements = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!needed[i]) continue;
    const onnx::Node& node = graph.nodes[i];
    std::vector<const Array*> inputs;
    for (const std::string& input : node.inputs) {
      const auto found = bindings.find(input);
      if (!input.empty() && found == bindings.end()) {
        return Wrong(StrCat(Describe(node), ": \"", input, "\" is not there"));
      }
      inputs.push_back(input.empty() ? nullptr : &found->second);
    }
    auto outputs = Evaluate(node, inputs, opset);
    if (!outputs) return FailWithContext(std::move(outputs).error(), Describe(node));
    for (size_t o = 0; o < node.outputs.size() && o < outputs->size(); ++o) {
      if (node.outputs[o].empty() || bindings.contains(node.outputs[o])) continue;
      if ((*outputs)[o].known()) elements += (*outputs)[o].count();
      if (elements > kMaxElementsTogether) {
        return Fail(Code::kResourceExhausted,
                    StrCat(Describe(node), ": masks and positions take too much room"));
      }
      bindings.emplace(node.outputs[o], std::move((*outputs)[o]));
    }
  }
  return {};
}

Result<const Array*> Call::Input(size_t index) const {
  if (const Array* array = Optional(index)) return array;
  return Wrong(StrCat("input ", index, " is missing"));
}

Result<std::optional<std::vector<int64_t>>> Call::Ints(size_t input,
                                                       std::string_view attribute) const {
  if (const Array* array = Optional(input)) {
    if (!array->known()) return Wrong(StrCat("input ", input, " depends on the tokens"));
    return ToInts(*array);
  }
  if (const onnx::Attribute* found = node.FindAttribute(attribute)) {
    const auto* ints = std::get_if<std::vector<int64_t>>(&found->value);
    if (ints != nullptr) return *ints;
    const auto* one = std::get_if<int64_t>(&found->value);
    if (one != nullptr) return std::vector<int64_t>{*one};
  }
  return std::nullopt;
}

Result<size_t> Call::Axis(int64_t axis, size_t rank) {
  const auto dims = static_cast<int64_t>(rank);
  if (axis < -dims || axis >= dims) return Wrong(StrCat("axis ", axis, " of ", rank, " dims"));
  return static_cast<size_t>(axis < 0 ? axis + dims : axis);
}

bool Call::AllKnown() const {
  for (const Array* input : inputs) {
    if (input != nullptr && !input->known()) return false;
  }
  return true;
}

}  // namespace shoal::partition
