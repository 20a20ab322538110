#include "onnx/join.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/str_cat.h"
#include "onnx/check.h"
#include "onnx/errors.h"

namespace shoal::onnx {

namespace {

using internal::Invalid;

// "f32 [batch, sequence, 64]"
std::string Describe(const ValueInfo& value) {
  std::string text = StrCat(DTypeName(value.type), " [");
  for (size_t i = 0; i < value.dims.size(); ++i) {
    const Dim& dim = value.dims[i];
    text += i == 0 ? "" : ", ";
    text += dim.symbol.empty() ? StrCat(dim.value) : dim.symbol;
  }
  return text + "]";
}

Status CheckSameType(const ValueInfo& a, const ValueInfo& b) {
  if (a.type == b.type && a.dims == b.dims) return {};
  return Invalid(StrCat("value \"", a.name, "\" is ", Describe(a), " in one block and ",
                        Describe(b), " in another"));
}

// Whether an initialiser can stand where the graph asked for an input.
Status CheckFits(const Tensor& tensor, const ValueInfo& input) {
  bool fits = tensor.type == input.type && tensor.dims.size() == input.dims.size();
  for (size_t i = 0; fits && i < input.dims.size(); ++i) {
    fits = !input.dims[i].symbol.empty() || input.dims[i].value == tensor.dims[i];
  }
  if (fits) return {};
  ValueInfo given{tensor.name, tensor.type, {}};
  for (const int64_t dim : tensor.dims) given.dims.push_back(Dim::Fixed(dim));
  return Invalid(StrCat("initializer \"", tensor.name, "\" is ", Describe(given),
                        " where the input is ", Describe(input)));
}

// What has been joined so far. Names point into the blocks, which outlive it.
class Joiner {
 public:
  Joiner(std::span<const Model> blocks, std::string_view name) : blocks_(blocks) {
    joined_.graph.name = name;
    joined_.ir_version = blocks.front().ir_version;
    joined_.producer = blocks.front().producer;
  }

  Result<Model> Run();

 private:
  Status AddOpsets(const Model& block);
  Status AddInitializers(const Graph& graph);
  Status AddInputs(const Graph& graph);
  Status AddOutputs(const Graph& graph);
  void AddValueInfo(const Graph& graph);
  void AddMetadata();

  std::span<const Model> blocks_;
  Model joined_;
  std::unordered_map<std::string_view, const Tensor*> initializers_;
  std::unordered_map<std::string_view, const ValueInfo*> inputs_;
  std::unordered_map<std::string_view, const ValueInfo*> outputs_;
  std::unordered_set<std::string_view> internal_;   // Read inside: no longer inputs or outputs.
  std::unordered_set<std::string_view> described_;  // In value_info.
};

Status Joiner::AddOpsets(const Model& block) {
  if (block.ir_version != joined_.ir_version) {
    return Invalid(StrCat("it has IR version ", block.ir_version, ", the first block has ",
                          joined_.ir_version));
  }
  for (const Opset& opset : block.opsets) {
    const auto same =
        std::ranges::find(joined_.opsets, opset.domain, [](const Opset& o) { return o.domain; });
    if (same == joined_.opsets.end()) {
      joined_.opsets.push_back(opset);
    } else if (same->version != opset.version) {
      return Invalid(StrCat("it imports domain \"", opset.domain, "\" at version ", opset.version,
                            ", an earlier block at ", same->version));
    }
  }
  return {};
}

Status Joiner::AddInitializers(const Graph& graph) {
  for (const Tensor& tensor : graph.initializers) {
    const auto [known, is_new] = initializers_.emplace(tensor.name, &tensor);
    if (is_new) {
      joined_.graph.initializers.push_back(tensor);
    } else if (*known->second != tensor) {
      return Invalid(StrCat("initializer \"", tensor.name, "\" differs from an earlier block's"));
    }
  }
  return {};
}

Status Joiner::AddInputs(const Graph& graph) {
  for (const ValueInfo& input : graph.inputs) {
    if (const auto made = outputs_.find(input.name); made != outputs_.end()) {
      RETURN_IF_ERROR(CheckSameType(*made->second, input));
      internal_.insert(input.name);
      if (described_.insert(input.name).second) joined_.graph.value_info.push_back(input);
    } else if (const auto constant = initializers_.find(input.name);
               constant != initializers_.end()) {
      RETURN_IF_ERROR(CheckFits(*constant->second, input));
    } else {
      const auto [known, is_new] = inputs_.emplace(input.name, &input);
      if (is_new) {
        joined_.graph.inputs.push_back(input);
      } else {
        RETURN_IF_ERROR(CheckSameType(*known->second, input));
      }
    }
  }
  return {};
}

Status Joiner::AddOutputs(const Graph& graph) {
  for (const ValueInfo& output : graph.outputs) {
    if (inputs_.contains(output.name)) {
      return Invalid(StrCat("it makes \"", output.name,
                            "\", which an earlier block reads; blocks are out of order"));
    }
    if (!outputs_.emplace(output.name, &output).second) {
      return Invalid(StrCat("it makes \"", output.name, "\", which an earlier block makes too"));
    }
    joined_.graph.outputs.push_back(output);
  }
  return {};
}

void Joiner::AddValueInfo(const Graph& graph) {
  for (const ValueInfo& value : graph.value_info) {
    if (described_.insert(value.name).second) joined_.graph.value_info.push_back(value);
  }
}

void Joiner::AddMetadata() {
  std::unordered_map<std::string_view, std::string_view> values;
  std::unordered_set<std::string_view> disputed;
  for (const Model& block : blocks_) {
    for (const auto& [key, value] : block.metadata) {
      const auto [known, is_new] = values.emplace(key, value);
      if (!is_new && known->second != value) disputed.insert(key);
    }
  }
  std::unordered_set<std::string_view> added;
  for (const Model& block : blocks_) {
    for (const auto& entry : block.metadata) {
      if (!disputed.contains(entry.first) && added.insert(entry.first).second) {
        joined_.metadata.push_back(entry);
      }
    }
  }
}

Result<Model> Joiner::Run() {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Model& block = blocks_[i];
    Status status = Check(block);
    if (status) status = AddOpsets(block);
    if (status) status = AddInitializers(block.graph);
    if (!status) return FailWithContext(std::move(status).error(), StrCat("joining block ", i));
  }
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Graph& graph = blocks_[i].graph;
    Status status = AddInputs(graph);
    if (status) status = AddOutputs(graph);
    if (!status) return FailWithContext(std::move(status).error(), StrCat("joining block ", i));
    AddValueInfo(graph);
    joined_.graph.nodes.insert(joined_.graph.nodes.end(), graph.nodes.begin(), graph.nodes.end());
  }
  std::erase_if(joined_.graph.outputs,
                [&](const ValueInfo& output) { return internal_.contains(output.name); });
  AddMetadata();
  Status status = Check(joined_);
  if (!status) return FailWithContext(std::move(status).error(), "the joined graph");
  return std::move(joined_);
}

}  // namespace

Result<Model> Join(std::span<const Model> blocks, std::string_view name) {
  if (blocks.empty()) return Invalid("there are no blocks to join");
  return Joiner(blocks, name).Run();
}

Status BindInput(Model& model, Tensor tensor) {
  std::vector<ValueInfo>& inputs = model.graph.inputs;
  const auto input =
      std::ranges::find(inputs, tensor.name, [](const ValueInfo& v) { return v.name; });
  if (input == inputs.end()) {
    return Fail(Code::kNotFound, StrCat("the graph has no input \"", tensor.name, "\""));
  }
  RETURN_IF_ERROR(CheckFits(tensor, *input));
  inputs.erase(input);
  model.graph.initializers.push_back(std::move(tensor));
  return {};
}

}  // namespace shoal::onnx
