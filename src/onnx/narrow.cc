#include "onnx/narrow.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/str_cat.h"
#include "onnx/check.h"
#include "tensor/convert.h"

namespace shoal::onnx {

namespace {

// Operators that bear float16.
constexpr auto kNarrowOps = std::to_array<std::string_view>(
    {"Add", "Cast", "Concat", "Gather", "GatherBlockQuantized", "Gelu", "GroupQueryAttention",
     "LayerNormalization", "MatMul", "MatMulNBits", "Mul", "Pad", "Reshape", "RotaryEmbedding",
     "Sigmoid", "SimplifiedLayerNormalization", "Slice", "Transpose"});
// Routing and what it weighs stay in float32, since rounding there changes who is chosen, and
// logarithms of weights pass float16's precision.
constexpr auto kWideOps =
    std::to_array<std::string_view>({"Div", "GatherElements", "Log", "Max", "MoE", "QMoE",
                                     "ReduceSum", "ScatterElements", "Softmax", "TopK"});

constexpr int64_t kToF32 = static_cast<int64_t>(DType::kF32);
constexpr int64_t kToF16 = static_cast<int64_t>(DType::kF16);

Node MakeCast(const std::string& from, std::string to, int64_t type) {
  return {"Cast", "", StrCat(to, ".cast"), {from}, {std::move(to)}, {{"to", type}}};
}

DType Narrowed(DType type) { return type == DType::kF32 ? DType::kF16 : type; }

// For each node whether it computes in float32: what an operator says, and where all that reads a
// node's results does so, the node does too.
std::vector<bool> FindWideNodes(const Graph& graph) {
  std::unordered_map<std::string_view, bool> read_wide;  // By all readers, of which there is one.
  for (const ValueInfo& output : graph.outputs) read_wide[output.name] = false;
  std::vector<bool> wide(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    wide[i] = std::ranges::find(kWideOps, node.op_type) != kWideOps.end() ||
              std::ranges::all_of(node.outputs, [&](const std::string& output) {
                const auto readers = read_wide.find(output);
                return readers != read_wide.end() && readers->second;
              });
    for (const std::string& input : node.inputs) {
      const auto [at, is_new] = read_wide.try_emplace(input, wide[i]);
      if (!is_new) at->second = at->second && wide[i];
    }
  }
  return wide;
}

// The names under which the narrow graph has a float value of the wide one; empty: not yet.
struct Forms {
  std::string f16;
  std::string f32;
};

class Narrower {
 public:
  Narrower(const Model& model, const std::function<bool(std::string_view)>& stays)
      : model_(model), stays_(stays), wide_(FindWideNodes(model.graph)), narrow_(model) {
    narrow_.graph.nodes.clear();
  }

  Result<Model> Run();

 private:
  void TakeInputs();
  void TakeInitializers();
  void TakeOutputs();
  Status TakeNode(const Node& node, bool is_wide);
  Status TakeOutput(std::string& name, bool is_float, bool is_wide);
  // A value as a node reads it: cast where it is not there in that type; as it is if no float.
  std::string Read(const std::string& name, bool is_wide);
  // Of a node's first output: whether it is a float, as far as the inputs say.
  bool GivesFloats(const Node& node) const;

  const Model& model_;
  const std::function<bool(std::string_view)>& stays_;
  const std::vector<bool> wide_;  // By node.
  Model narrow_;
  std::unordered_map<std::string, Forms> floats_;
  std::unordered_map<std::string_view, bool> outputs_;  // Of the graph: whether one stays.
  std::vector<Node> last_;                              // Casts of the outputs that stay.
};

void Narrower::TakeInputs() {
  for (ValueInfo& input : narrow_.graph.inputs) {
    if (input.type == DType::kF32 && stays_(input.name)) {
      floats_[input.name].f32 = input.name;
    } else {
      input.type = Narrowed(input.type);
      if (input.type == DType::kF16) floats_[input.name].f16 = input.name;
    }
  }
}

void Narrower::TakeInitializers() {
  std::unordered_set<std::string_view> read_wide;
  for (size_t i = 0; i < wide_.size(); ++i) {
    if (wide_[i]) {
      const std::vector<std::string>& inputs = model_.graph.nodes[i].inputs;
      read_wide.insert(inputs.begin(), inputs.end());
    }
  }
  for (Tensor& tensor : narrow_.graph.initializers) {
    if (tensor.type == DType::kF16) floats_[tensor.name].f16 = tensor.name;
    if (tensor.type != DType::kF32) continue;
    if (tensor.external || read_wide.contains(tensor.name)) {
      floats_[tensor.name].f32 = tensor.name;
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
    floats_[tensor.name].f16 = tensor.name;
  }
}

void Narrower::TakeOutputs() {
  for (ValueInfo& output : narrow_.graph.outputs) {
    const bool stays = output.type == DType::kF32 && stays_(output.name);
    outputs_[output.name] = stays;
    if (!stays) output.type = Narrowed(output.type);
  }
}

std::string Narrower::Read(const std::string& name, bool is_wide) {
  const auto at = floats_.find(name);
  if (at == floats_.end()) return name;
  Forms& forms = at->second;
  std::string& form = is_wide ? forms.f32 : forms.f16;
  if (form.empty()) {
    form = StrCat(name, is_wide ? ".f32" : ".f16");
    narrow_.graph.nodes.push_back(
        MakeCast(is_wide ? forms.f16 : forms.f32, form, is_wide ? kToF32 : kToF16));
  }
  return form;
}

bool Narrower::GivesFloats(const Node& node) const {
  if (node.op_type == "Cast") {
    const int64_t to = node.IntAttribute("to", 0);
    return to == kToF32 || to == kToF16;
  }
  return floats_.contains(node.inputs[node.op_type == "GatherBlockQuantized" ? 2 : 0]);
}

// Renames the output where it stays float32 and is computed in float16.
Status Narrower::TakeOutput(std::string& name, bool is_float, bool is_wide) {
  if (!is_float || name.empty()) return {};
  Forms& forms = floats_[name];
  const auto output = outputs_.find(name);
  if (is_wide) {
    if (output != outputs_.end() && !output->second) {
      return Fail(Code::kUnimplemented, StrCat("\"", name, "\" is not computed in float16"));
    }
    forms.f32 = name;
  } else if (output != outputs_.end() && output->second) {
    forms.f16 = StrCat(name, ".f16");
    last_.push_back(MakeCast(forms.f16, name, kToF32));
    name = forms.f16;
  } else {
    forms.f16 = name;
  }
  return {};
}

Status Narrower::TakeNode(const Node& node, bool is_wide) {
  const bool bears = std::ranges::find(kNarrowOps, node.op_type) != kNarrowOps.end();
  if ((!is_wide && !bears) || node.inputs.empty()) {
    return Fail(Code::kUnimplemented,
                StrCat("node \"", node.name, "\": ", node.op_type, " is not computed in float16"));
  }
  if (node.op_type == "GatherBlockQuantized" && node.inputs.size() < 3) {
    return Fail(Code::kInvalidArgument, StrCat("node \"", node.name, "\" has no scales"));
  }
  const bool is_float = GivesFloats(node);
  Node taken = node;
  if (node.op_type == "Cast" && is_float) {
    const auto from = floats_.find(node.inputs.front());
    const bool is_there = from != floats_.end() && !from->second.f16.empty();
    if (!is_wide && is_there && !outputs_.contains(node.outputs.front())) {
      floats_[node.outputs.front()].f16 = from->second.f16;
      return {};
    }
    // Read as it is, and given as what it is for.
    if (is_there) taken.inputs.front() = from->second.f16;
    taken.attributes = {{"to", is_wide ? kToF32 : kToF16}};
  } else {
    for (std::string& input : taken.inputs) input = Read(input, is_wide);
  }
  for (size_t i = 0; i < taken.outputs.size(); ++i) {
    // The second output of TopK, indices, is no float.
    const bool is_index = node.op_type == "TopK" && i == 1;
    RETURN_IF_ERROR(TakeOutput(taken.outputs[i], is_float && !is_index, is_wide));
  }
  narrow_.graph.nodes.push_back(std::move(taken));
  return {};
}

Result<Model> Narrower::Run() {
  RETURN_IF_ERROR(Check(model_));
  TakeInputs();
  TakeInitializers();
  TakeOutputs();
  for (size_t i = 0; i < model_.graph.nodes.size(); ++i) {
    RETURN_IF_ERROR(TakeNode(model_.graph.nodes[i], wide_[i]));
  }
  for (ValueInfo& value : narrow_.graph.value_info) {
    const auto at = floats_.find(value.name);
    if (at == floats_.end() || at->second.f32 != value.name) value.type = Narrowed(value.type);
  }
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
