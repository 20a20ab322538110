#include "onnx/check.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/str_cat.h"
#include "onnx/errors.h"

namespace shoal::onnx {

namespace {

using internal::Describe;
using internal::Invalid;

Status CheckOpsets(const Model& model) {
  if (model.ir_version < kIrVersionMin || model.ir_version > kIrVersionMax) {
    return Fail(Code::kUnimplemented, StrCat("IR version ", model.ir_version, " is not one of ",
                                             kIrVersionMin, " to ", kIrVersionMax));
  }
  std::unordered_set<std::string_view> imported;
  for (const Opset& opset : model.opsets) {
    if (opset.version < 1) {
      return Invalid(
          StrCat("domain \"", opset.domain, "\" is imported at version ", opset.version));
    }
    if (!imported.insert(opset.domain).second) {
      return Invalid(StrCat("domain \"", opset.domain, "\" is imported twice"));
    }
  }
  for (size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const Node& node = model.graph.nodes[i];
    if (!imported.contains(node.domain)) {
      return Invalid(StrCat(Describe(node, i), ": domain \"", node.domain, "\" is not imported"));
    }
  }
  return {};
}

// What is inside one tensor, wherever it stands.
Status CheckTensor(const Tensor& tensor) {
  const auto invalid = [&](std::string detail) {
    return Invalid(StrCat("tensor \"", tensor.name, "\" ", detail));
  };
  const std::optional<int64_t> count = CheckedElementCount(tensor.dims);
  uint64_t bytes = 0;
  if (!count ||
      __builtin_mul_overflow(static_cast<uint64_t>(*count), DTypeBytes(tensor.type), &bytes)) {
    return invalid("has a negative dim or more bytes than can be counted");
  }
  if (!tensor.external) {
    if (tensor.raw.size() == bytes) return {};
    return invalid(
        StrCat("holds ", tensor.raw.size(), " bytes where its dims and type ask for ", bytes));
  }
  const ExternalData& external = *tensor.external;
  uint64_t end = 0;
  if (!tensor.raw.empty()) return invalid("has both external and inline data");
  if (external.location.empty()) return invalid("lies outside the file, but no location is given");
  if (external.length != bytes) {
    return invalid(StrCat("is ", external.length,
                          " bytes of external data where its dims and type ask for ", bytes));
  }
  if (__builtin_add_overflow(external.offset, external.length, &end)) {
    return invalid("lies past the end of any file");
  }
  return {};
}

Status CheckValueInfos(const std::vector<ValueInfo>& values, std::string_view kind) {
  std::unordered_set<std::string_view> names;
  for (const ValueInfo& value : values) {
    if (value.name.empty()) return Invalid(StrCat("a graph ", kind, " has no name"));
    if (!names.insert(value.name).second) {
      return Invalid(StrCat("graph ", kind, " \"", value.name, "\" is there twice"));
    }
    for (const Dim& dim : value.dims) {
      if (dim.symbol.empty() && dim.value < 0) {
        return Invalid(StrCat("graph ", kind, " \"", value.name, "\" has the dim ", dim.value));
      }
    }
  }
  return {};
}

Status CheckAttributes(const Node& node) {
  std::unordered_set<std::string_view> names;
  for (const Attribute& attribute : node.attributes) {
    if (attribute.name.empty()) return Invalid("an attribute has no name");
    if (!names.insert(attribute.name).second) {
      return Invalid(StrCat("attribute \"", attribute.name, "\" is there twice"));
    }
    if (const auto* tensor = std::get_if<Tensor>(&attribute.value)) {
      if (tensor->external) {
        return Invalid(StrCat("attribute \"", attribute.name, "\" has external data"));
      }
      RETURN_IF_ERROR(CheckTensor(*tensor));
    }
  }
  return {};
}

constexpr int64_t kNotANode = -1;

// Which node makes each value; kNotANode for graph inputs and initialisers.
using Makers = std::unordered_map<std::string_view, int64_t>;

Status AddMaker(Makers& makers, std::string_view name, int64_t maker) {
  if (makers.emplace(name, maker).second) return {};
  return Invalid(StrCat("value \"", name, "\" is made twice; names must be unique"));
}

Status CheckNode(const Node& node, int64_t index, const Makers& makers) {
  if (node.op_type.empty()) return Invalid("it has no operator");
  for (const std::string& input : node.inputs) {
    if (input.empty()) continue;
    const auto maker = makers.find(input);
    if (maker == makers.end()) {
      return Invalid(StrCat("its input \"", input,
                            "\" is no graph input, no initializer and no node's output"));
    }
    if (maker->second >= index) {
      return Invalid(StrCat("its input \"", input, "\" is made by node ", maker->second,
                            "; nodes must come in topological order"));
    }
  }
  return CheckAttributes(node);
}

Result<Makers> CollectMakers(const Graph& graph) {
  Makers makers;
  for (const ValueInfo& input : graph.inputs) {
    RETURN_IF_ERROR(AddMaker(makers, input.name, kNotANode));
  }
  for (const Tensor& tensor : graph.initializers) {
    if (tensor.name.empty()) return Invalid("an initializer has no name");
    RETURN_IF_ERROR(CheckTensor(tensor));
    RETURN_IF_ERROR(AddMaker(makers, tensor.name, kNotANode));
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    bool has_output = false;
    for (const std::string& output : graph.nodes[i].outputs) {
      if (output.empty()) continue;
      has_output = true;
      RETURN_IF_ERROR(AddMaker(makers, output, static_cast<int64_t>(i)));
    }
    if (!has_output) return Invalid(StrCat(Describe(graph.nodes[i], i), " has no output"));
  }
  return makers;
}

}  // namespace

Status Check(const Model& model) {
  const Graph& graph = model.graph;
  RETURN_IF_ERROR(CheckOpsets(model));
  RETURN_IF_ERROR(CheckValueInfos(graph.inputs, "input"));
  RETURN_IF_ERROR(CheckValueInfos(graph.outputs, "output"));
  RETURN_IF_ERROR(CheckValueInfos(graph.value_info, "value"));
  ASSIGN_OR_RETURN(const Makers makers, CollectMakers(graph));
  std::unordered_set<std::string_view> node_names;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    Status status = CheckNode(node, static_cast<int64_t>(i), makers);
    if (!status) return FailWithContext(std::move(status).error(), Describe(node, i));
    if (!node.name.empty() && !node_names.insert(node.name).second) {
      return Invalid(StrCat("two nodes are called \"", node.name, "\""));
    }
  }
  if (graph.outputs.empty()) return Invalid("the graph has no output");
  for (const ValueInfo& output : graph.outputs) {
    const auto maker = makers.find(output.name);
    if (maker == makers.end() || maker->second == kNotANode) {
      return Invalid(StrCat("graph output \"", output.name, "\" is not made by any node"));
    }
  }
  return {};
}

}  // namespace shoal::onnx
