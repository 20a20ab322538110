#include "engine/ops.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal::engine {

namespace {

struct Operator {
  std::string_view domain;
  std::string_view op_type;
  PlanNode plan;
};

constexpr Operator kOperators[] = {
    {"", "Add", PlanAdd},
    {"", "Cast", PlanCast},
    {"", "Concat", PlanConcat},
    {"", "Div", PlanDiv},
    {"", "Erf", PlanErf},
    {"", "Gather", PlanGather},
    {"", "GatherElements", PlanGatherElements},
    {"", "Gelu", PlanGelu},
    {"", "LayerNormalization", PlanLayerNorm},
    {"", "Log", PlanLog},
    {"", "MatMul", PlanMatMul},
    {"", "Max", PlanMax},
    {"", "Mul", PlanMul},
    {"", "Pad", PlanPad},
    {"", "ReduceSum", PlanReduceSum},
    {"", "Reshape", PlanReshape},
    {"", "ScatterElements", PlanScatterElements},
    {"", "Sigmoid", PlanSigmoid},
    {"", "SimplifiedLayerNormalization", PlanRmsNorm},
    {"", "Slice", PlanSlice},
    {"", "Softmax", PlanSoftmax},
    {"", "Sqrt", PlanSqrt},
    {"", "Tanh", PlanTanh},
    {"", "TopK", PlanTopK},
    {"", "Transpose", PlanTranspose},
    {"com.microsoft", "GatherBlockQuantized", PlanGatherBlockQuantized},
    {"com.microsoft", "GroupQueryAttention", PlanAttention},
    {"com.microsoft", "MatMulNBits", PlanMatMulNBits},
    {"com.microsoft", "MoE", PlanExperts},
    {"com.microsoft", "QMoE", PlanBlockExperts},
};

// The attribute if it is there and of type T; null if it is not there.
template <typename T>
Result<const T*> Typed(const onnx::Node& node, std::string_view name) {
  const onnx::Attribute* attribute = node.FindAttribute(name);
  if (attribute == nullptr) return nullptr;
  const T* value = std::get_if<T>(&attribute->value);
  if (value == nullptr) return Invalid(StrCat("attribute ", name, " has the wrong type"));
  return value;
}

}  // namespace

Result<RowsOf> SplitLastDim(const Shape& shape) {
  if (!shape.back().IsFixed()) {
    return Unsupported(
        StrCat("works along the last dim of ", ToString(shape), ", which would mix rows"));
  }
  return RowsOf{*ElementCount(std::span(shape).first(shape.size() - 1)),
                static_cast<size_t>(shape.back().factor)};
}

PlanNode FindOperator(std::string_view domain, std::string_view op_type) {
  for (const Operator& entry : kOperators) {
    if (entry.domain == domain && entry.op_type == op_type) return entry.plan;
  }
  return nullptr;
}

Result<const Value*> NodeContext::Required(size_t index) const {
  if (index < inputs.size() && inputs[index] != nullptr) return inputs[index];
  return Invalid(StrCat("input ", index, " is missing"));
}

Result<const Value*> NodeContext::Computed(size_t index) const {
  ASSIGN_OR_RETURN(const Value* value, Required(index));
  if (value->kind != Value::Kind::kComputed) {
    return Unsupported(
        StrCat("input ", index, " \"", value->name, "\" is not computed from hidden states"));
  }
  if (value->shape.empty()) return Unsupported(StrCat("input ", index, " is a scalar"));
  return value;
}

Result<const Weight*> NodeContext::Constant(size_t index) const {
  ASSIGN_OR_RETURN(const Weight* weight, ConstantUnloaded(index));
  RETURN_IF_ERROR(weights.Load(*weight));
  return weight;
}

Result<const Weight*> NodeContext::ConstantUnloaded(size_t index) const {
  ASSIGN_OR_RETURN(const Value* value, Required(index));
  if (value->kind == Value::Kind::kConstant) return value->weight;
  return Unsupported(StrCat("input ", index, " \"", value->name, "\" is not a constant"));
}

Status NodeContext::Expect(size_t least, size_t most, size_t outputs,
                           std::initializer_list<std::string_view> attributes) const {
  const size_t given =
      inputs.size() - static_cast<size_t>(std::find_if(inputs.rbegin(), inputs.rend(),
                                                       [](const Value* v) { return v; }) -
                                          inputs.rbegin());
  if (given < least) return Invalid(StrCat("has ", given, " inputs and needs ", least));
  if (given > most) {
    return Unsupported(StrCat("input ", given - 1, " \"", inputs[given - 1]->name,
                              "\" is not supported: only the first ", most, " inputs are"));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (i < outputs ? node.outputs[i].empty() : !node.outputs[i].empty()) {
      return Unsupported(StrCat("must have exactly ", outputs, " outputs"));
    }
  }
  if (node.outputs.size() < outputs) {
    return Unsupported(StrCat("must have exactly ", outputs, " outputs"));
  }
  for (const onnx::Attribute& attribute : node.attributes) {
    if (std::ranges::find(attributes, attribute.name) == attributes.end()) {
      return Unsupported(StrCat("attribute ", attribute.name, " is not supported"));
    }
  }
  return {};
}

Result<int64_t> NodeContext::Int(std::string_view attribute, int64_t otherwise) const {
  ASSIGN_OR_RETURN(const int64_t* value, Typed<int64_t>(node, attribute));
  return value != nullptr ? *value : otherwise;
}

Result<float> NodeContext::Float(std::string_view attribute, float otherwise) const {
  ASSIGN_OR_RETURN(const float* value, Typed<float>(node, attribute));
  return value != nullptr ? *value : otherwise;
}

Result<std::string> NodeContext::Text(std::string_view attribute,
                                      std::string_view otherwise) const {
  ASSIGN_OR_RETURN(const std::string* value, Typed<std::string>(node, attribute));
  return value != nullptr ? *value : std::string(otherwise);
}

Result<size_t> NodeContext::Axis(int64_t axis, size_t rank) const {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return Invalid(StrCat("axis ", axis, " of a tensor with ", rank, " dims"));
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

}  // namespace shoal::engine
