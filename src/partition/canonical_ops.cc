// How each operator of a model is written with those that every executor has.
#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "base/str_cat.h"
#include "partition/canonical_writer.h"

namespace shoal::partition {

namespace {

using Rewrite = Status (*)(CanonicalWriter&, const onnx::Node&);

std::unexpected<Error> Refuse(std::string why) {
  return Fail(Code::kUnimplemented, std::move(why));
}

std::string Input(const onnx::Node& node, size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : std::string();
}

// Every input as it can be read, the node otherwise as it is.
Status WriteAsIs(CanonicalWriter& writer, const onnx::Node& node) {
  onnx::Node made = node;
  for (std::string& input : made.inputs) {
    ASSIGN_OR_RETURN(input, writer.Use(input));
  }
  for (const std::string& output : node.outputs) {
    if (output.empty()) continue;
    writer.out().dims[output] = writer.TracedDims(output);
    writer.Name(output, output);
  }
  made.name = node.outputs.front();
  writer.out().nodes.push_back(std::move(made));
  return {};
}

Status WriteUnchanged(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(std::string value, writer.Use(node.inputs.front()));
  if (node.op_type == "Cast" && value != "tokens") {
    const auto to = DTypeFromOnnx(static_cast<int32_t>(node.IntAttribute("to", 0)));
    if (!to || !IsFloat(*to)) return Refuse("what is computed from tokens becomes integers");
  }
  writer.Name(node.outputs.front(), std::move(value));
  return {};
}

// Reshape, Squeeze, Unsqueeze, Flatten, Expand: the dims that come out are known.
Status WriteReshape(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(const std::string value, writer.Use(node.inputs.front()));
  const std::string& output = node.outputs.front();
  const DimsOfSamples dims = writer.TracedDims(output);
  if (node.op_type == "Expand" && dims != writer.DimsOf(value)) return Refuse("repeats its input");
  ASSIGN_OR_RETURN(std::string made, writer.Reshape(value, dims, output));
  writer.Name(output, std::move(made));
  return {};
}

Status WriteSplit(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(const std::string value, writer.Use(node.inputs.front()));
  const DimsOfSamples& dims = writer.DimsOf(value);
  const auto rank = static_cast<int64_t>(dims.front().size());
  const int64_t given = node.IntAttribute("axis", 0);
  const auto axis = static_cast<size_t>(given < 0 ? given + rank : given);
  int64_t begin = 0;
  for (const std::string& output : node.outputs) {
    const DimsOfSamples part = writer.TracedDims(output);
    for (const std::vector<int64_t>& sample : part) {
      if (sample[axis] != part.front()[axis]) return Refuse("splits the tokens");
    }
    const int64_t end = begin + part.front()[axis];
    writer.Name(output, writer.Slice(value, axis, begin, end, output));
    begin = end;
  }
  return {};
}

Status WriteSlice(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(std::string value, writer.Use(node.inputs.front()));
  const auto starts = writer.Ints(node, 1, "starts");
  const auto ends = writer.Ints(node, 2, "ends");
  const auto axes = writer.Ints(node, 3, "axes");
  const auto steps = writer.Ints(node, 4, "steps");
  if (!starts || !ends) return Refuse("what it takes depends on how long the rows are");
  for (size_t i = 0; i < starts->size(); ++i) {
    const std::vector<int64_t>& dims = writer.DimsOf(value).front();
    const int64_t given = axes ? (*axes)[i] : static_cast<int64_t>(i);
    const auto axis =
        static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(dims.size()) : given);
    if (steps && (*steps)[i] != 1) return Refuse("takes only some of its elements");
    for (const std::vector<int64_t>& sample : writer.DimsOf(value)) {
      if (sample[axis] != dims[axis]) return Refuse("takes only some of the tokens");
    }
    const auto clamp = [&](int64_t at) {
      return std::clamp<int64_t>(at < 0 ? at + dims[axis] : at, 0, dims[axis]);
    };
    const bool last = i + 1 == starts->size();
    const std::string& output = node.outputs.front();
    value = writer.Slice(value, axis, clamp((*starts)[i]), clamp((*ends)[i]),
                         last ? output : writer.Between(output));
  }
  writer.Name(node.outputs.front(), value);
  return {};
}

Status WriteGather(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  ASSIGN_OR_RETURN(const std::string indices, writer.Use(node.inputs[1]));
  const int64_t axis = node.IntAttribute("axis", 0);
  if (!writer.IsData(node.inputs[0])) {
    const onnx::Tensor* table = writer.Table(node.inputs[0]);
    if (indices != "tokens" || axis != 0 || table == nullptr || table->dims.size() != 2) {
      return Refuse("looks up something else than rows of tokens");
    }
    const std::string stored =
        writer.AddConstant(table->name, Stored(*table, writer.reading().bytes()));
    const bool wide = table->type == DType::kF32;
    const DimsOfSamples dims = writer.TracedDims(output);
    std::string rows =
        writer.Add("Gather", {stored, "tokens"}, wide ? output : writer.Between(output), dims,
                   {{"axis", int64_t{0}}});
    if (!wide) rows = writer.Add("Cast", {rows}, output, dims, {{"to", int64_t{1}}});
    writer.Name(output, rows);
    return {};
  }
  // One number along a dim: a slice without that dim.
  const Array* index = writer.ConstantArray(node.inputs[1]);
  if (index == nullptr || index->data->size() != 1) return Refuse("picks by more than one number");
  ASSIGN_OR_RETURN(const std::string value, writer.Use(node.inputs[0]));
  const std::vector<int64_t>& dims = writer.DimsOf(value).front();
  const auto at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis);
  for (const std::vector<int64_t>& sample : writer.DimsOf(value)) {
    if (sample[at] != dims[at]) return Refuse("picks one of the tokens");
  }
  const int64_t begin = ToInt((*index)[0]) < 0 ? ToInt((*index)[0]) + dims[at] : ToInt((*index)[0]);
  const std::string part = writer.Slice(value, at, begin, begin + 1, writer.Between(output));
  ASSIGN_OR_RETURN(std::string made, writer.Reshape(part, writer.TracedDims(output), output));
  writer.Name(output, std::move(made));
  return {};
}

// output = a op b with dims as traced.
Status WriteBinary(CanonicalWriter& writer, const std::string& op, const std::string& a,
                   const std::string& b, const std::string& output) {
  writer.Name(output, writer.Add(op, {a, b}, output, writer.TracedDims(output)));
  return {};
}

Status WriteSub(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  ASSIGN_OR_RETURN(const std::string a, writer.Use(node.inputs[0]));
  if (const Array* array = writer.ConstantArray(node.inputs[1])) {
    std::vector<double> negative = *array->data;
    for (double& value : negative) value = -value;
    const std::string b = writer.AddConstant(StrCat(node.inputs[1], ".negative"),
                                             FromValues(array->type, array->dims, negative));
    return WriteBinary(writer, "Add", a, b, output);
  }
  ASSIGN_OR_RETURN(const std::string b, writer.Use(node.inputs[1]));
  if (!writer.IsData(node.inputs[1])) return Refuse("subtracts a large constant");
  const std::string negative =
      writer.Add("Mul", {b, writer.Scalar(-1)}, writer.Between(output), writer.DimsOf(b));
  return WriteBinary(writer, "Add", a, negative, output);
}

Status WriteNeg(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  return WriteBinary(writer, "Mul", x, writer.Scalar(-1), node.outputs.front());
}

Status WriteReciprocal(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  return WriteBinary(writer, "Div", writer.Scalar(1), x, node.outputs.front());
}

Status WritePow(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  const Array* exponent = writer.ConstantArray(node.inputs[1]);
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  if (exponent == nullptr || exponent->data->size() != 1) return Refuse("has several exponents");
  const double power = (*exponent)[0];
  if (power == 2) return WriteBinary(writer, "Mul", x, x, output);
  if (power == 3) {
    const std::string square = writer.Add("Mul", {x, x}, writer.Between(output), writer.DimsOf(x));
    return WriteBinary(writer, "Mul", square, x, output);
  }
  if (power != 0.5) return Refuse(StrCat("raises to the power of ", power));
  writer.Name(output, writer.Add("Sqrt", {x}, output, writer.DimsOf(x)));
  return {};
}

Status WriteReduce(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  const auto axes = writer.Ints(node, 1, "axes");
  DimsOfSamples dims = writer.DimsOf(x);
  const auto rank = static_cast<int64_t>(dims.front().size());
  const int64_t width = dims.front().back();
  const auto last = [&](int64_t axis) { return axis == -1 || axis == rank - 1; };
  if (!axes || axes->size() != 1 || !last(axes->front())) return Refuse("sums over several dims");
  for (std::vector<int64_t>& sample : dims) sample.back() = 1;
  std::string sum = writer.Add("ReduceSum", {x, writer.IntVector({-1})}, writer.Between(output),
                               dims, {{"keepdims", int64_t{1}}});
  if (node.op_type == "ReduceMean") {
    const std::string part = writer.Scalar(static_cast<float>(1.0 / static_cast<double>(width)));
    sum = writer.Add("Mul", {sum, part}, writer.Between(output), dims);
  }
  ASSIGN_OR_RETURN(std::string made, writer.Reshape(sum, writer.TracedDims(output), output));
  writer.Name(output, std::move(made));
  return {};
}

Status WriteSoftmax(CanonicalWriter& writer, const onnx::Node& node) {
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  const auto rank = static_cast<int64_t>(writer.TracedDims(node.inputs[0]).front().size());
  const int64_t axis = node.IntAttribute("axis", writer.reading().opset() < 13 ? 1 : -1);
  if (axis != -1 && axis != rank - 1) return Refuse("another axis than the last");
  writer.Name(node.outputs.front(), writer.Add("Softmax", {x}, node.outputs.front(),
                                               writer.DimsOf(x), {{"axis", int64_t{-1}}}));
  return {};
}

Status WriteGemm(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  if (node.FloatAttribute("alpha", 1) != 1 || node.FloatAttribute("beta", 1) != 1 ||
      node.IntAttribute("transA", 0) != 0) {
    return Refuse("alpha, beta or transA are not what they are by default");
  }
  ASSIGN_OR_RETURN(const std::string a, writer.Use(node.inputs[0]));
  std::string b;
  if (node.IntAttribute("transB", 0) != 0) {
    const onnx::Tensor* tensor = writer.Table(node.inputs[1]);
    if (tensor == nullptr) return Refuse("its matrix is no initialiser");
    b = writer.AsFloat(writer.AddConstant(StrCat(tensor->name, ".transposed"),
                                          StoredTransposed(*tensor, writer.reading().bytes())));
  } else {
    ASSIGN_OR_RETURN(b, writer.Use(node.inputs[1]));
  }
  const std::string bias = Input(node, 2);
  const DimsOfSamples dims = writer.TracedDims(output);
  std::string made =
      writer.Add("MatMul", {a, b}, bias.empty() ? output : writer.Between(output), dims);
  if (!bias.empty()) {
    ASSIGN_OR_RETURN(const std::string c, writer.Use(bias));
    made = writer.Add("Add", {made, c}, output, dims);
  }
  writer.Name(output, std::move(made));
  return {};
}

// Skip[Simplified]LayerNormalization: outputs are the normed sum, two that only training needs, and
// the sum.
Status WriteSkipNorm(CanonicalWriter& writer, const onnx::Node& node) {
  const bool simple = node.op_type == "SkipSimplifiedLayerNormalization";
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  ASSIGN_OR_RETURN(const std::string skip, writer.Use(node.inputs[1]));
  const std::string& output = node.outputs.front();
  const DimsOfSamples dims = writer.DimsOf(x);
  const bool kept = node.outputs.size() > 3 && !node.outputs[3].empty();
  const std::string bias = Input(node, simple ? 3 : 4);
  const std::string total = kept ? node.outputs[3] : writer.Between(output);
  std::string sum =
      writer.Add("Add", {x, skip}, bias.empty() ? total : writer.Between(output), dims);
  if (!bias.empty()) {
    ASSIGN_OR_RETURN(const std::string b, writer.Use(bias));
    sum = writer.Add("Add", {sum, b}, total, dims);
  }
  if (kept) writer.Name(node.outputs[3], sum);
  std::vector<std::string> inputs = {sum};
  for (const size_t i : simple ? std::vector<size_t>{2} : std::vector<size_t>{2, 3}) {
    ASSIGN_OR_RETURN(inputs.emplace_back(), writer.Use(Input(node, i)));
  }
  std::vector<onnx::Attribute> attributes = {
      {"axis", int64_t{-1}}, {"epsilon", node.FloatAttribute("epsilon", simple ? 1e-5f : 1e-12f)}};
  const std::string op = simple ? "SimplifiedLayerNormalization" : "LayerNormalization";
  writer.Name(output, writer.Add(op, std::move(inputs), output, dims, std::move(attributes)));
  return {};
}

Status WriteRmsNorm(CanonicalWriter& writer, const onnx::Node& node) {
  onnx::Node made = node;
  made.op_type = "SimplifiedLayerNormalization";
  made.domain.clear();
  std::erase_if(made.attributes, [](const onnx::Attribute& a) { return a.name == "stash_type"; });
  return WriteAsIs(writer, made);
}

// x Phi(x), and its approximations, of x or x + bias.
Status WriteGelu(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  ASSIGN_OR_RETURN(std::string x, writer.Use(node.inputs[0]));
  const DimsOfSamples dims = writer.DimsOf(x);
  const auto between = [&](std::string op, std::vector<std::string> inputs) {
    return writer.Add(std::move(op), std::move(inputs), writer.Between(output), dims);
  };
  if (!Input(node, 1).empty()) {
    ASSIGN_OR_RETURN(const std::string bias, writer.Use(node.inputs[1]));
    x = between("Add", {x, bias});
  }
  if (node.op_type == "QuickGelu") {
    const float alpha = node.FloatAttribute("alpha", 1.702f);
    const std::string gate = between("Sigmoid", {between("Mul", {x, writer.Scalar(alpha)})});
    return WriteBinary(writer, "Mul", x, gate, output);
  }
  const onnx::Attribute* attribute = node.FindAttribute("approximate");
  const auto* text = attribute != nullptr ? std::get_if<std::string>(&attribute->value) : nullptr;
  const bool tanh = node.op_type == "FastGelu" || (text != nullptr && *text == "tanh");
  std::string inner;
  if (tanh) {
    const std::string cube = between("Mul", {between("Mul", {x, x}), x});
    const std::string sum = between("Add", {x, between("Mul", {cube, writer.Scalar(0.044715f)})});
    inner = between("Tanh", {between("Mul", {sum, writer.Scalar(0.7978845608028654f)})});
  } else {
    const auto root = static_cast<float>(1 / std::numbers::sqrt2);
    inner = between("Erf", {between("Mul", {x, writer.Scalar(root)})});
  }
  const std::string gate = between("Add", {inner, writer.Scalar(1)});
  const std::string half = between("Mul", {x, writer.Scalar(0.5f)});
  return WriteBinary(writer, "Mul", half, gate, output);
}

Result<RepackedBlocks> ReadBlocks(const CanonicalWriter& writer, const onnx::Node& node, int64_t n,
                                  int64_t k, size_t codes_at) {
  const onnx::Tensor* codes = writer.Table(Input(node, codes_at));
  const onnx::Tensor* scales = writer.Table(Input(node, 2));
  const std::string zeros_name = Input(node, 3);
  const onnx::Tensor* zeros = zeros_name.empty() ? nullptr : writer.Table(zeros_name);
  if (codes == nullptr || scales == nullptr || (zeros == nullptr && !zeros_name.empty())) {
    return Refuse("its codes, scales or zero points are no initialisers");
  }
  BlockWeights weights{*codes,
                       *scales,
                       {},
                       n,
                       k,
                       node.IntAttribute("bits", 4),
                       node.IntAttribute("block_size", codes_at == 0 ? 128 : 32)};
  if (zeros != nullptr) weights.zeros = *zeros;
  return Repack(weights, writer.reading().bytes());
}

// The names under which both parts can be read.
std::pair<std::string, std::string> AddBlocks(CanonicalWriter& writer, const std::string& key,
                                              RepackedBlocks blocks) {
  const std::string codes = writer.AddConstant(StrCat(key, ".codes"), std::move(blocks.codes));
  const std::string scales = writer.AddConstant(StrCat(key, ".scales"), std::move(blocks.scales));
  return {codes, writer.AsFloat(scales)};
}

Status WriteMatMulNBits(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  const int64_t n = node.IntAttribute("N", 0);
  const int64_t k = node.IntAttribute("K", 0);
  if (!Input(node, 4).empty()) return Refuse("its inputs are in another order (g_idx)");
  ASSIGN_OR_RETURN(const std::string x, writer.Use(node.inputs[0]));
  ASSIGN_OR_RETURN(RepackedBlocks blocks, ReadBlocks(writer, node, n, k, 1));
  const int64_t bits = blocks.bits;
  const auto [codes, scales] = AddBlocks(writer, node.inputs[1], std::move(blocks));
  const std::string bias = Input(node, 5);
  const DimsOfSamples dims = writer.TracedDims(output);
  std::string made = writer.Add(
      "MatMulNBits", {x, codes, scales}, bias.empty() ? output : writer.Between(output), dims,
      {{"K", k}, {"N", n}, {"bits", bits}, {"block_size", int64_t{32}}}, "com.microsoft");
  if (!bias.empty()) {
    ASSIGN_OR_RETURN(const std::string b, writer.Use(bias));
    made = writer.Add("Add", {made, b}, output, dims);
  }
  writer.Name(output, std::move(made));
  return {};
}

Status WriteGatherBlocks(CanonicalWriter& writer, const onnx::Node& node) {
  const std::string& output = node.outputs.front();
  ASSIGN_OR_RETURN(const std::string tokens, writer.Use(node.inputs[1]));
  const DimsOfSamples dims = writer.TracedDims(output);
  const onnx::Tensor* table = writer.Table(node.inputs[0]);
  if (tokens != "tokens" || table == nullptr) return Refuse("looks up something else than tokens");
  const int64_t rows = table->dims[0];
  const int64_t width = dims.front().back();
  ASSIGN_OR_RETURN(RepackedBlocks blocks, ReadBlocks(writer, node, rows, width, 0));
  const int64_t bits = blocks.bits;
  blocks.codes.dims = {rows, width * bits / 8};
  const auto [codes, scales] = AddBlocks(writer, node.inputs[0], std::move(blocks));
  writer.Name(output, writer.Add("GatherBlockQuantized", {codes, tokens, scales}, output, dims,
                                 {{"gather_axis", int64_t{0}},
                                  {"quantize_axis", int64_t{1}},
                                  {"block_size", int64_t{32}},
                                  {"bits", bits}},
                                 "com.microsoft"));
  return {};
}

const std::map<std::string_view, Rewrite>& Rewrites() {
  static const std::map<std::string_view, Rewrite> kRewrites = {
      {"BiasGelu", WriteGelu},
      {"Cast", WriteUnchanged},
      {"Dropout", WriteUnchanged},
      {"Expand", WriteReshape},
      {"FastGelu", WriteGelu},
      {"Flatten", WriteReshape},
      {"Gather", WriteGather},
      {"GatherBlockQuantized", WriteGatherBlocks},
      {"Gelu", WriteGelu},
      {"Gemm", WriteGemm},
      {"Identity", WriteUnchanged},
      {"MatMulNBits", WriteMatMulNBits},
      {"Neg", WriteNeg},
      {"Pow", WritePow},
      {"QuickGelu", WriteGelu},
      {"RMSNormalization", WriteRmsNorm},
      {"Reciprocal", WriteReciprocal},
      {"ReduceMean", WriteReduce},
      {"ReduceSum", WriteReduce},
      {"Reshape", WriteReshape},
      {"SimplifiedLayerNormalization", WriteRmsNorm},
      {"SkipLayerNormalization", WriteSkipNorm},
      {"SkipSimplifiedLayerNormalization", WriteSkipNorm},
      {"Slice", WriteSlice},
      {"Softmax", WriteSoftmax},
      {"Split", WriteSplit},
      {"Squeeze", WriteReshape},
      {"Sub", WriteSub},
      {"Unsqueeze", WriteReshape},
  };
  return kRewrites;
}

}  // namespace

Status WriteNode(CanonicalWriter& writer, const onnx::Node& node) {
  const auto rewrite = Rewrites().find(node.op_type);
  return rewrite != Rewrites().end() ? rewrite->second(writer, node) : WriteAsIs(writer, node);
}

}  // namespace shoal::partition
