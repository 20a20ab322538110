#include "onnx/read.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/str_cat.h"
#include "onnx/errors.h"
#include "onnx/fields.h"
#include "onnx/protobuf.h"
#include "onnx/read_parts.h"

namespace shoal::onnx {

namespace {

using fields::AttributeType;
using internal::AppendFixed;
using internal::AppendInts;
using internal::BytesOf;
using internal::CheckEnd;
using internal::Describe;
using internal::IntOf;
using internal::NameOf;
using internal::PartBudget;
using internal::ReadTensor;
using internal::ReadValueInfo;

constexpr size_t kMaxMetadataBytes = 1 << 20;

// The fields of one AttributeProto; `type` says which of them counts.
struct AttributeParts {
  int64_t type = 0;
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::optional<Tensor> tensor;
  std::vector<int64_t> integers;
  ByteVector floats;
  std::vector<std::string> texts;
  bool has_graph = false;
  bool is_reference = false;
};

Status ReadAttributeField(const FieldReader& field, PartBudget& budget, std::string& name,
                          AttributeParts& parts) {
  namespace f = fields::attribute;
  switch (field.number()) {
    case f::kName: {
      ASSIGN_OR_RETURN(name, NameOf(field, "its name"));
      return {};
    }
    case f::kType: {
      ASSIGN_OR_RETURN(parts.type, IntOf(field, "its type"));
      return {};
    }
    case f::kFloat: {
      if (field.type() != WireType::kFixed32) {
        return Fail(Code::kInvalidArgument, "its float is not stored in four bytes");
      }
      parts.number = std::bit_cast<float>(static_cast<uint32_t>(field.scalar()));
      return {};
    }
    case f::kInt: {
      ASSIGN_OR_RETURN(parts.integer, IntOf(field, "its integer"));
      return {};
    }
    case f::kString: {
      ASSIGN_OR_RETURN(const Bytes text, BytesOf(field, "its string"));
      parts.text = AsText(text);
      return {};
    }
    case f::kTensor: {
      if (parts.tensor) return Fail(Code::kInvalidArgument, "has two tensors");
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "its tensor"));
      ASSIGN_OR_RETURN(parts.tensor, ReadTensor(message, budget));
      return {};
    }
    case f::kFloats:
      return AppendFixed(field, "its list of floats", 4, parts.floats);
    case f::kInts:
      return AppendInts(field, "its list of integers", parts.integers);
    case f::kStrings: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes text, BytesOf(field, "its list of strings"));
      parts.texts.emplace_back(AsText(text));
      return {};
    }
    case f::kGraph:
    case f::kGraphs:
      parts.has_graph = true;
      return {};
    case f::kRefName:
      parts.is_reference = true;
      return {};
    default:
      return {};
  }
}

Status FinishAttribute(AttributeParts& parts, Attribute& attribute) {
  const auto type = static_cast<AttributeType>(parts.type);
  if (parts.has_graph || type == AttributeType::kGraph || type == AttributeType::kGraphs) {
    return Fail(Code::kUnimplemented, "is a graph, and Shoal runs no sub-graphs");
  }
  if (parts.is_reference) {
    return Fail(Code::kUnimplemented, "refers to a function's attribute");
  }
  switch (type) {
    case AttributeType::kFloat:
      attribute.value = parts.number;
      return {};
    case AttributeType::kInt:
      attribute.value = parts.integer;
      return {};
    case AttributeType::kString:
      attribute.value = std::move(parts.text);
      return {};
    case AttributeType::kInts:
      attribute.value = std::move(parts.integers);
      return {};
    case AttributeType::kStrings:
      attribute.value = std::move(parts.texts);
      return {};
    case AttributeType::kTensor:
      if (!parts.tensor) return Fail(Code::kInvalidArgument, "is a tensor without a value");
      attribute.value = *std::move(parts.tensor);
      return {};
    case AttributeType::kFloats: {
      std::vector<float> floats(parts.floats.size() / 4);
      if (!floats.empty()) std::memcpy(floats.data(), parts.floats.data(), parts.floats.size());
      attribute.value = std::move(floats);
      return {};
    }
    default:
      break;
  }
  return Fail(Code::kUnimplemented, StrCat("has type ", parts.type, ", which Shoal does not know"));
}

Result<Attribute> ReadAttribute(Bytes message, PartBudget& budget) {
  Attribute attribute;
  AttributeParts parts;
  FieldReader field(message);
  Status status;
  while (status && field.Next()) {
    status = ReadAttributeField(field, budget, attribute.name, parts);
  }
  if (status) status = CheckEnd(field, "its message");
  if (status) status = FinishAttribute(parts, attribute);
  if (!status) {
    return FailWithContext(std::move(status).error(), StrCat("attribute \"", attribute.name, "\""));
  }
  return attribute;
}

Status ReadNodeField(const FieldReader& field, PartBudget& budget, Node& node,
                     std::vector<Bytes>& attributes) {
  namespace f = fields::node;
  switch (field.number()) {
    case f::kInput:
    case f::kOutput: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(std::string name, NameOf(field, "a value's name"));
      (field.number() == f::kInput ? node.inputs : node.outputs).push_back(std::move(name));
      return {};
    }
    case f::kName: {
      ASSIGN_OR_RETURN(node.name, NameOf(field, "its name"));
      return {};
    }
    case f::kOpType: {
      ASSIGN_OR_RETURN(node.op_type, NameOf(field, "its operator"));
      return {};
    }
    case f::kDomain: {
      ASSIGN_OR_RETURN(node.domain, NameOf(field, "its domain"));
      return {};
    }
    case f::kAttribute: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes attribute, BytesOf(field, "an attribute"));
      attributes.push_back(attribute);
      return {};
    }
    case f::kOverload: {
      ASSIGN_OR_RETURN(const Bytes overload, BytesOf(field, "its overload"));
      if (overload.empty()) return {};
      return Fail(Code::kUnimplemented, "calls an overloaded function");
    }
    default:
      return {};
  }
}

// Attributes are read when the node's name is known, so that errors can say it.
Result<Node> ReadNode(Bytes message, size_t index, PartBudget& budget) {
  Node node;
  std::vector<Bytes> attributes;
  FieldReader field(message);
  Status status;
  while (status && field.Next()) status = ReadNodeField(field, budget, node, attributes);
  if (status) status = CheckEnd(field, "its message");
  for (size_t i = 0; status && i < attributes.size(); ++i) {
    Result<Attribute> attribute = ReadAttribute(attributes[i], budget);
    if (attribute) {
      node.attributes.push_back(*std::move(attribute));
    } else {
      status = std::unexpected(std::move(attribute).error());
    }
  }
  if (!status) return FailWithContext(std::move(status).error(), Describe(node, index));
  // The two names of the standard operators' domain.
  if (node.domain == "ai.onnx") node.domain.clear();
  return node;
}

Status ReadGraphField(const FieldReader& field, PartBudget& budget, Graph& graph) {
  namespace f = fields::graph;
  const auto append_value = [&](std::vector<ValueInfo>& values) -> Status {
    RETURN_IF_ERROR(budget.Take());
    ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "a value"));
    ASSIGN_OR_RETURN(ValueInfo value, ReadValueInfo(message, budget));
    values.push_back(std::move(value));
    return {};
  };
  switch (field.number()) {
    case f::kName: {
      ASSIGN_OR_RETURN(graph.name, NameOf(field, "its name"));
      return {};
    }
    case f::kNode: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "a node"));
      ASSIGN_OR_RETURN(Node node, ReadNode(message, graph.nodes.size(), budget));
      graph.nodes.push_back(std::move(node));
      return {};
    }
    case f::kInitializer: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "an initializer"));
      ASSIGN_OR_RETURN(Tensor tensor, ReadTensor(message, budget));
      graph.initializers.push_back(std::move(tensor));
      return {};
    }
    case f::kInput:
      return append_value(graph.inputs);
    case f::kOutput:
      return append_value(graph.outputs);
    case f::kValueInfo:
      return append_value(graph.value_info);
    case f::kSparseInitializer:
      return Fail(Code::kUnimplemented, "has a sparse initializer, which Shoal does not hold");
    default:
      return {};
  }
}

Result<Graph> ReadGraph(Bytes message, PartBudget& budget) {
  Graph graph;
  FieldReader field(message);
  while (field.Next()) RETURN_IF_ERROR(ReadGraphField(field, budget, graph));
  RETURN_IF_ERROR(CheckEnd(field, "its message"));
  std::unordered_set<std::string_view> constants;
  for (const Tensor& tensor : graph.initializers) constants.insert(tensor.name);
  std::erase_if(graph.inputs, [&](const ValueInfo& v) { return constants.contains(v.name); });
  return graph;
}

Result<Opset> ReadOpset(Bytes message) {
  Opset opset;
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() == fields::opset::kDomain) {
      ASSIGN_OR_RETURN(opset.domain, NameOf(field, "an opset's domain"));
    } else if (field.number() == fields::opset::kVersion) {
      ASSIGN_OR_RETURN(opset.version, IntOf(field, "an opset's version"));
    }
  }
  RETURN_IF_ERROR(CheckEnd(field, "an opset import"));
  if (opset.domain == "ai.onnx") opset.domain.clear();
  return opset;
}

Status ReadModelField(const FieldReader& field, PartBudget& budget, Model& model, bool& has_graph) {
  namespace f = fields::model;
  switch (field.number()) {
    case f::kIrVersion: {
      ASSIGN_OR_RETURN(model.ir_version, IntOf(field, "ir_version"));
      return {};
    }
    case f::kProducerName: {
      ASSIGN_OR_RETURN(model.producer, NameOf(field, "producer_name"));
      return {};
    }
    case f::kGraph: {
      if (has_graph) return Fail(Code::kInvalidArgument, "two graphs in one model");
      has_graph = true;
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "graph"));
      Result<Graph> graph = ReadGraph(message, budget);
      if (!graph) return FailWithContext(std::move(graph).error(), "graph");
      model.graph = *std::move(graph);
      return {};
    }
    case f::kOpsetImport: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "opset_import"));
      ASSIGN_OR_RETURN(Opset opset, ReadOpset(message));
      model.opsets.push_back(std::move(opset));
      return {};
    }
    case f::kMetadata: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "metadata_props"));
      ASSIGN_OR_RETURN(internal::Entry entry,
                       internal::ReadEntry(message, "metadata_props", kMaxMetadataBytes));
      model.metadata.emplace_back(std::move(entry.key), std::move(entry.value));
      return {};
    }
    case f::kTrainingInfo:
      return Fail(Code::kUnimplemented, "training information is not supported");
    case f::kFunctions:
      return Fail(Code::kUnimplemented, "local functions are not supported");
    default:
      return {};
  }
}

}  // namespace

Result<Model> Parse(Bytes bytes) {
  if (bytes.size() > kMaxModelBytes) {
    return Fail(Code::kResourceExhausted, StrCat("the ONNX model has ", FormatSize(bytes.size()),
                                                 ", more than ", FormatSize(kMaxModelBytes)));
  }
  Model model;
  model.ir_version = 0;
  model.producer.clear();
  bool has_graph = false;
  PartBudget budget;
  FieldReader field(bytes);
  Status status;
  while (status && field.Next()) status = ReadModelField(field, budget, model, has_graph);
  if (status) status = CheckEnd(field, "the model");
  if (status && !has_graph) status = Fail(Code::kInvalidArgument, "there is no graph in it");
  if (!status) return FailWithContext(std::move(status).error(), "reading an ONNX model");
  return model;
}

}  // namespace shoal::onnx
