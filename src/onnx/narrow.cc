#include "onnx/narrow.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/str_cat.h"
#include "onnx/check.h"
#include "tensor/convert.h"

namespace shoal::onnx {

namespace {

// What decides the type of a node's first output.
enum class TypeRule : uint8_t { kOfFirstInput, kOfScales, kOfCast };

struct KnownOp {
  std::string_view name;
  TypeRule rule;
};
// Routers and recurrences are not among them: rounding there changes what is computed.
constexpr auto kKnownOps = std::to_array<KnownOp>({
    {"Add", TypeRule::kOfFirstInput},
    {"Cast", TypeRule::kOfCast},
    {"Concat", TypeRule::kOfFirstInput},
    {"Gather", TypeRule::kOfFirstInput},
    {"GatherBlockQuantized", TypeRule::kOfScales},
    {"Gelu", TypeRule::kOfFirstInput},
    {"GroupQueryAttention", TypeRule::kOfFirstInput},
    {"LayerNormalization", TypeRule::kOfFirstInput},
    {"MatMul", TypeRule::kOfFirstInput},
    {"MatMulNBits", TypeRule::kOfFirstInput},
    {"Mul", TypeRule::kOfFirstInput},
    {"Reshape", TypeRule::kOfFirstInput},
    {"RotaryEmbedding", TypeRule::kOfFirstInput},
    {"Sigmoid", TypeRule::kOfFirstInput},
    {"SimplifiedLayerNormalization", TypeRule::kOfFirstInput},
    {"Slice", TypeRule::kOfFirstInput},
    {"Transpose", TypeRule::kOfFirstInput},
});

constexpr int64_t kToF32 = static_cast<int64_t>(DType::kF32);
constexpr int64_t kToF16 = static_cast<int64_t>(DType::kF16);

Node MakeCast(const std::string& from, std::string to, int64_t type) {
  return {"Cast", "", StrCat(to, ".cast"), {from}, {std::move(to)}, {{"to", type}}};
}

DType Narrowed(DType type) { return type == DType::kF32 ? DType::kF16 : type; }

class Narrower {
 public:
  Narrower(const Model& model, const std::function<bool(std::string_view)>& stays)
      : model_(model), stays_(stays), narrow_(model) {
    narrow_.graph.nodes.clear();
  }

  Result<Model> Run();

 private:
  void TakeInputs();
  void TakeInitializers();
  void RenameOutputs();
  Status TakeNode(const Node& node);
  // Type of a value of the narrow graph; f16 for what nothing is known of.
  DType TypeOf(const std::string& name) const;
  const std::string& Current(const std::string& name) const;

  const Model& model_;
  const std::function<bool(std::string_view)>& stays_;
  Model narrow_;
  // Values of the wide graph that go by another name in the narrow one.
  std::unordered_map<std::string, std::string> names_;
  std::unordered_map<std::string, DType> types_;
  std::vector<Node> last_;  // Casts of the outputs that stay.
};

void Narrower::TakeInputs() {
  for (ValueInfo& input : narrow_.graph.inputs) {
    if (input.type == DType::kF32 && stays_(input.name)) {
      const std::string inner = StrCat(input.name, ".f16");
      narrow_.graph.nodes.push_back(MakeCast(input.name, inner, kToF16));
      names_[input.name] = inner;
      types_[inner] = DType::kF16;
    } else {
      input.type = Narrowed(input.type);
      types_[input.name] = input.type;
    }
  }
}

void Narrower::TakeInitializers() {
  for (Tensor& tensor : narrow_.graph.initializers) {
    types_[tensor.name] = Narrowed(tensor.type);
    if (tensor.type != DType::kF32) continue;
    if (tensor.external) {
      const std::string inner = StrCat(tensor.name, ".f16");
      narrow_.graph.nodes.push_back(MakeCast(tensor.name, inner, kToF16));
      names_[tensor.name] = inner;
      types_[inner] = DType::kF16;
      continue;
    }
    ByteVector narrow(tensor.raw.size() / 2);
    for (size_t i = 0; i < narrow.size() / 2; ++i) {
      float value = 0;
      std::memcpy(&value, tensor.raw.data() + 4 * i, sizeof(value));
      const uint16_t bits = F32ToF16(value);
      std::memcpy(narrow.data() + 2 * i, &bits, sizeof(bits));
    }
    tensor.raw = std::move(narrow);
    tensor.type = DType::kF16;
  }
}

void Narrower::RenameOutputs() {
  for (ValueInfo& output : narrow_.graph.outputs) {
    if (output.type == DType::kF32 && stays_(output.name)) {
      const std::string inner = StrCat(output.name, ".f16");
      names_[output.name] = inner;
      last_.push_back(MakeCast(inner, output.name, kToF32));
    } else {
      output.type = Narrowed(output.type);
    }
  }
  for (ValueInfo& value : narrow_.graph.value_info) value.type = Narrowed(value.type);
}

DType Narrower::TypeOf(const std::string& name) const {
  const auto at = types_.find(name);
  return at == types_.end() ? DType::kF16 : at->second;
}

const std::string& Narrower::Current(const std::string& name) const {
  const auto at = names_.find(name);
  return at == names_.end() ? name : at->second;
}

Status Narrower::TakeNode(const Node& node) {
  const auto known = std::ranges::find(kKnownOps, node.op_type, &KnownOp::name);
  if (known == kKnownOps.end() || node.inputs.empty()) {
    return Fail(Code::kUnimplemented,
                StrCat("node \"", node.name, "\": ", node.op_type, " is not computed in float16"));
  }
  Node narrow = node;
  for (std::string& input : narrow.inputs) input = Current(input);
  DType type = DType::kF16;
  switch (known->rule) {
    case TypeRule::kOfFirstInput:
      type = TypeOf(narrow.inputs.front());
      break;
    case TypeRule::kOfScales:
      if (narrow.inputs.size() < 3) {
        return Fail(Code::kInvalidArgument, StrCat("node \"", node.name, "\" has no scales"));
      }
      type = TypeOf(narrow.inputs[2]);
      break;
    case TypeRule::kOfCast: {
      const int64_t to = node.IntAttribute("to", 0);
      const bool to_float = to == kToF32 || to == kToF16;
      const bool is_output = std::ranges::any_of(
          model_.graph.outputs, [&](const ValueInfo& o) { return o.name == node.outputs.front(); });
      if (to_float && TypeOf(narrow.inputs.front()) == DType::kF16 && !is_output) {
        names_[node.outputs.front()] = narrow.inputs.front();
        return {};
      }
      if (to_float) narrow.attributes = {{"to", kToF16}};
      type = to_float ? DType::kF16 : DTypeFromOnnx(static_cast<int32_t>(to)).value_or(DType::kF16);
      break;
    }
  }
  for (std::string& output : narrow.outputs) {
    output = Current(output);
    types_[output] = type;
  }
  narrow_.graph.nodes.push_back(std::move(narrow));
  return {};
}

Result<Model> Narrower::Run() {
  RETURN_IF_ERROR(Check(model_));
  TakeInputs();
  TakeInitializers();
  RenameOutputs();
  for (const Node& node : model_.graph.nodes) RETURN_IF_ERROR(TakeNode(node));
  std::ranges::move(last_, std::back_inserter(narrow_.graph.nodes));
  Status status = Check(narrow_);
  if (!status) return FailWithContext(std::move(status).error(), "the graph in float16");
  return std::move(narrow_);
}

}  // namespace

Result<Model> NarrowToF16(const Model& model, const std::function<bool(std::string_view)>& stays) {
  return Narrower(model, stays).Run();
}

}  // namespace shoal::onnx
