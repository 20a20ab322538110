#include "onnx/write.h"

#include "base/str_cat.h"
#include "onnx/fields.h"
#include "onnx/protobuf.h"

namespace shoal::onnx {

namespace {

using fields::AttributeType;

// Writes one field that is a message of its own: `fill` gets a writer for its contents.
template <typename Fill>
void Message(ByteVector& out, uint32_t number, Fill fill) {
  ByteVector contents;
  fill(contents);
  FieldWriter(out).Data(number, contents);
}

void WriteEntry(ByteVector& out, uint32_t number, std::string_view key, std::string_view value) {
  Message(out, number, [&](ByteVector& entry) {
    FieldWriter(entry).Text(fields::entry::kKey, key);
    FieldWriter(entry).Text(fields::entry::kValue, value);
  });
}

void WriteTensor(ByteVector& out, const Tensor& tensor) {
  namespace f = fields::tensor;
  FieldWriter writer(out);
  for (const int64_t dim : tensor.dims) writer.Int(f::kDims, dim);
  writer.Int(f::kDataType, static_cast<int64_t>(tensor.type));
  writer.TextIfAny(f::kName, tensor.name);
  if (!tensor.external) {
    writer.Data(f::kRawData, tensor.raw);
    return;
  }
  WriteEntry(out, f::kExternalData, "location", tensor.external->location);
  WriteEntry(out, f::kExternalData, "offset", StrCat(tensor.external->offset));
  WriteEntry(out, f::kExternalData, "length", StrCat(tensor.external->length));
  writer.Varint(f::kDataLocation, f::kLocationExternal);
}

struct AttributeValueWriter {
  ByteVector& out;

  AttributeType operator()(float value) const {
    FieldWriter(out).Float(fields::attribute::kFloat, value);
    return AttributeType::kFloat;
  }
  AttributeType operator()(int64_t value) const {
    FieldWriter(out).Int(fields::attribute::kInt, value);
    return AttributeType::kInt;
  }
  AttributeType operator()(const std::string& value) const {
    FieldWriter(out).Text(fields::attribute::kString, value);
    return AttributeType::kString;
  }
  AttributeType operator()(const Tensor& value) const {
    Message(out, fields::attribute::kTensor, [&](ByteVector& t) { WriteTensor(t, value); });
    return AttributeType::kTensor;
  }
  AttributeType operator()(const std::vector<float>& values) const {
    for (const float value : values) FieldWriter(out).Float(fields::attribute::kFloats, value);
    return AttributeType::kFloats;
  }
  AttributeType operator()(const std::vector<int64_t>& values) const {
    for (const int64_t value : values) FieldWriter(out).Int(fields::attribute::kInts, value);
    return AttributeType::kInts;
  }
  AttributeType operator()(const std::vector<std::string>& values) const {
    for (const auto& value : values) FieldWriter(out).Text(fields::attribute::kStrings, value);
    return AttributeType::kStrings;
  }
};

void WriteAttribute(ByteVector& out, const Attribute& attribute) {
  FieldWriter(out).Text(fields::attribute::kName, attribute.name);
  const AttributeType type = std::visit(AttributeValueWriter{out}, attribute.value);
  FieldWriter(out).Int(fields::attribute::kType, static_cast<int64_t>(type));
}

void WriteNode(ByteVector& out, const Node& node) {
  namespace f = fields::node;
  FieldWriter writer(out);
  for (const std::string& input : node.inputs) writer.Text(f::kInput, input);
  for (const std::string& output : node.outputs) writer.Text(f::kOutput, output);
  writer.TextIfAny(f::kName, node.name);
  writer.Text(f::kOpType, node.op_type);
  for (const Attribute& attribute : node.attributes) {
    Message(out, f::kAttribute, [&](ByteVector& a) { WriteAttribute(a, attribute); });
  }
  writer.TextIfAny(f::kDomain, node.domain);
}

void WriteDim(ByteVector& out, const Dim& dim) {
  if (dim.symbol.empty()) {
    FieldWriter(out).Int(fields::type::kDimValue, dim.value);
  } else {
    FieldWriter(out).Text(fields::type::kDimParam, dim.symbol);
  }
}

void WriteTensorType(ByteVector& out, const ValueInfo& value) {
  namespace f = fields::type;
  FieldWriter(out).Int(f::kElementType, static_cast<int64_t>(value.type));
  // Written for a scalar too: no shape at all would mean an unknown one.
  Message(out, f::kShape, [&](ByteVector& shape) {
    for (const Dim& dim : value.dims) {
      Message(shape, f::kDim, [&](ByteVector& d) { WriteDim(d, dim); });
    }
  });
}

void WriteValueInfo(ByteVector& out, uint32_t number, const ValueInfo& value) {
  Message(out, number, [&](ByteVector& info) {
    FieldWriter(info).Text(fields::value_info::kName, value.name);
    Message(info, fields::value_info::kType, [&](ByteVector& type) {
      Message(type, fields::type::kTensorType, [&](ByteVector& t) { WriteTensorType(t, value); });
    });
  });
}

void WriteGraph(ByteVector& out, const Graph& graph) {
  namespace f = fields::graph;
  for (const Node& node : graph.nodes) {
    Message(out, f::kNode, [&](ByteVector& n) { WriteNode(n, node); });
  }
  FieldWriter(out).Text(f::kName, graph.name);
  for (const Tensor& tensor : graph.initializers) {
    Message(out, f::kInitializer, [&](ByteVector& t) { WriteTensor(t, tensor); });
  }
  for (const ValueInfo& value : graph.inputs) WriteValueInfo(out, f::kInput, value);
  for (const ValueInfo& value : graph.outputs) WriteValueInfo(out, f::kOutput, value);
  for (const ValueInfo& value : graph.value_info) WriteValueInfo(out, f::kValueInfo, value);
}

}  // namespace

ByteVector Serialize(const Model& model) {
  namespace f = fields::model;
  ByteVector out;
  FieldWriter writer(out);
  writer.Int(f::kIrVersion, model.ir_version);
  writer.TextIfAny(f::kProducerName, model.producer);
  Message(out, f::kGraph, [&](ByteVector& graph) { WriteGraph(graph, model.graph); });
  for (const Opset& opset : model.opsets) {
    Message(out, f::kOpsetImport, [&](ByteVector& o) {
      FieldWriter(o).Text(fields::opset::kDomain, opset.domain);
      FieldWriter(o).Int(fields::opset::kVersion, opset.version);
    });
  }
  for (const auto& [key, value] : model.metadata) WriteEntry(out, f::kMetadata, key, value);
  return out;
}

}  // namespace shoal::onnx
