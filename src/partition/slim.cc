#include "partition/slim.h"

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/str_cat.h"
#include "onnx/fields.h"
#include "onnx/protobuf.h"

namespace shoal::partition {

namespace {

namespace fields = onnx::fields;
using onnx::FieldReader;
using onnx::FieldWriter;
using onnx::WireType;

std::unexpected<Error> Malformed(std::string_view what) {
  return Fail(Code::kInvalidArgument, StrCat("ONNX: malformed ", what));
}

// Copies the reader's current field.
void Copy(const FieldReader& field, ByteVector& out) {
  FieldWriter writer(out);
  switch (field.type()) {
    case WireType::kVarint:
      writer.Varint(field.number(), field.scalar());
      return;
    case WireType::kBytes:
      writer.Data(field.number(), field.bytes());
      return;
    case WireType::kFixed32:
      writer.Float(field.number(), std::bit_cast<float>(static_cast<uint32_t>(field.scalar())));
      return;
    case WireType::kFixed64:
      // ONNX has none outside of packed lists, which are kBytes.
      return;
  }
}

ByteVector Entry(std::string_view key, std::string_view value) {
  ByteVector out;
  FieldWriter writer(out);
  writer.Text(fields::entry::kKey, key);
  writer.Text(fields::entry::kValue, value);
  return out;
}

// One NodeProto as far as an If asks for it.
struct Choice {
  bool is_if = false;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<Bytes> branches;
};

// A branch of an If, or the graph around it.
struct Parts {
  std::vector<Bytes> nodes;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
};

Result<std::string_view> NameOfValue(Bytes message) {
  std::string_view name;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.number() == fields::value_info::kName && reader.type() == WireType::kBytes) {
      name = AsText(reader.bytes());
    }
  }
  if (!reader.ok()) return Malformed("value");
  return name;
}

Result<Bytes> GraphOfAttribute(Bytes message) {
  Bytes graph;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.number() == fields::attribute::kGraph && reader.type() == WireType::kBytes) {
      graph = reader.bytes();
    }
  }
  if (!reader.ok()) return Malformed("attribute");
  return graph;
}

Result<Choice> ReadNode(Bytes message) {
  Choice node;
  std::string_view domain;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.type() != WireType::kBytes) continue;
    const std::string_view text = AsText(reader.bytes());
    switch (reader.number()) {
      case fields::node::kInput:
        node.inputs.push_back(text);
        break;
      case fields::node::kOutput:
        node.outputs.push_back(text);
        break;
      case fields::node::kOpType:
        node.is_if = text == "If";
        break;
      case fields::node::kDomain:
        domain = text;
        break;
      case fields::node::kAttribute: {
        ASSIGN_OR_RETURN(const Bytes graph, GraphOfAttribute(reader.bytes()));
        if (!graph.empty()) node.branches.push_back(graph);
        break;
      }
      default:
        break;
    }
  }
  if (!reader.ok()) return Malformed("node");
  node.is_if = node.is_if && domain.empty() && node.branches.size() == 2;
  return node;
}

Result<Parts> ReadGraph(Bytes message) {
  Parts parts;
  FieldReader reader(message);
  while (reader.Next()) {
    if (reader.type() != WireType::kBytes) continue;
    if (reader.number() == fields::graph::kNode) parts.nodes.push_back(reader.bytes());
    const bool is_input = reader.number() == fields::graph::kInput;
    if (is_input || reader.number() == fields::graph::kOutput) {
      ASSIGN_OR_RETURN(const std::string_view name, NameOfValue(reader.bytes()));
      (is_input ? parts.inputs : parts.outputs).push_back(name);
    }
  }
  if (!reader.ok()) return Malformed("graph");
  return parts;
}

class Slimmer {
 public:
  Slimmer(Bytes file, std::string_view location) : file_(file), location_(location) {}

  Result<ByteVector> Model() {
    ByteVector out;
    FieldReader reader(file_);
    while (reader.Next()) {
      if (reader.number() == fields::model::kGraph && reader.type() == WireType::kBytes) {
        ByteVector graph;
        RETURN_IF_ERROR(Graph(reader.bytes(), graph));
        FieldWriter(out).Data(reader.number(), graph);
      } else if (reader.number() != fields::model::kMetadata) {
        Copy(reader, out);
      }
    }
    if (!reader.ok()) return Malformed("model");
    return out;
  }

 private:
  // The graph's fields, one If replaced by its branch.
  Status Graph(Bytes message, ByteVector& out) {
    ASSIGN_OR_RETURN(const Parts parts, ReadGraph(message));
    inputs_ = {parts.inputs.begin(), parts.inputs.end()};
    FieldReader reader(message);
    while (reader.Next()) {
      if (reader.type() != WireType::kBytes) continue;
      if (reader.number() == fields::graph::kValueInfo) continue;
      if (reader.number() == fields::graph::kInitializer) {
        RETURN_IF_ERROR(Initializer(reader.bytes(), out));
      } else if (reader.number() == fields::graph::kNode) {
        RETURN_IF_ERROR(Node(reader.bytes(), out));
      } else {
        Copy(reader, out);
      }
    }
    return {};
  }

  Status Node(Bytes message, ByteVector& out) {
    ASSIGN_OR_RETURN(const Choice node, ReadNode(message));
    if (!node.is_if || node.inputs.size() != 1 || !inputs_.contains(node.inputs[0])) {
      FieldWriter(out).Data(fields::graph::kNode, message);
      return {};
    }
    size_t most = 0;
    Bytes chosen = node.branches.front();
    for (const Bytes branch : node.branches) {
      ASSIGN_OR_RETURN(const size_t count, InputsRead(branch));
      if (count <= most) continue;
      most = count;
      chosen = branch;
    }
    return Inline(chosen, node.outputs, out);
  }

  // How many of the graph's inputs a branch reads.
  Result<size_t> InputsRead(Bytes branch) const {
    ASSIGN_OR_RETURN(const Parts parts, ReadGraph(branch));
    std::unordered_set<std::string_view> read;
    for (const Bytes message : parts.nodes) {
      ASSIGN_OR_RETURN(const Choice node, ReadNode(message));
      for (const std::string_view input : node.inputs) {
        if (inputs_.contains(input)) read.insert(input);
      }
    }
    return read.size();
  }

  Status Inline(Bytes branch, const std::vector<std::string_view>& names, ByteVector& out) {
    ASSIGN_OR_RETURN(const Parts parts, ReadGraph(branch));
    if (parts.outputs.size() != names.size()) return Malformed("If: outputs of a branch");
    FieldReader reader(branch);
    while (reader.Next()) {
      if (reader.number() == fields::graph::kInitializer) {
        RETURN_IF_ERROR(Initializer(reader.bytes(), out));
      } else if (reader.number() == fields::graph::kNode) {
        Copy(reader, out);
      }
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (parts.outputs[i] == names[i]) continue;
      ByteVector node;
      FieldWriter writer(node);
      writer.Text(fields::node::kInput, parts.outputs[i]);
      writer.Text(fields::node::kOutput, names[i]);
      writer.Text(fields::node::kOpType, "Identity");
      FieldWriter(out).Data(fields::graph::kNode, node);
    }
    return {};
  }

  // A TensorProto, its raw bytes external if there are many.
  Status Initializer(Bytes message, ByteVector& out) {
    std::optional<Bytes> raw;
    ByteVector rest;
    FieldReader reader(message);
    while (reader.Next()) {
      const bool large = reader.number() == fields::tensor::kRawData &&
                         reader.type() == WireType::kBytes && reader.bytes().size() >= kLargeBytes;
      if (large && raw) return Malformed("tensor: two values");
      if (large) {
        raw = reader.bytes();
      } else {
        Copy(reader, rest);
      }
    }
    if (!reader.ok()) return Malformed("tensor");
    if (raw) {
      FieldWriter writer(rest);
      const auto offset = static_cast<uint64_t>(raw->data() - file_.data());
      writer.Data(fields::tensor::kExternalData, Entry("location", location_));
      writer.Data(fields::tensor::kExternalData, Entry("offset", StrCat(offset)));
      writer.Data(fields::tensor::kExternalData, Entry("length", StrCat(raw->size())));
      writer.Varint(fields::tensor::kDataLocation, fields::tensor::kLocationExternal);
    }
    FieldWriter(out).Data(fields::graph::kInitializer, rest);
    return {};
  }

  const Bytes file_;
  const std::string location_;
  std::unordered_set<std::string_view> inputs_;  // Of the graph, by name.
};

}  // namespace

Result<ByteVector> Slim(Bytes file, std::string_view location) {
  return Slimmer(file, location).Model();
}

}  // namespace shoal::partition
