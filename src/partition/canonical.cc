#include "partition/canonical.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/str_cat.h"
#include "partition/canonical_writer.h"

namespace shoal::partition {

namespace {

// Constants of no more elements than this are compared and copied by their values.
constexpr int64_t kSmallElements = int64_t{1} << 20;
constexpr int64_t kOpsetMin = 13;

bool PassesOn(const onnx::Node& node) {
  return node.op_type == "Cast" || node.op_type == "Identity" || node.op_type == "Dropout";
}

}  // namespace

CanonicalWriter::CanonicalWriter(const Reading& reading) : reading_(reading) {
  out_.opset = std::max(reading.opset(), kOpsetMin);
  out_.dims["tokens"] = TracedDims(reading.tokens());
  Name(reading.tokens(), "tokens");
  for (const LayerCache& layer : reading.layers()) {
    Name(layer.past_key, layer.past_key);
    Name(layer.past_value, layer.past_value);
  }
}

bool CanonicalWriter::IsData(const std::string& name) const {
  return !name.empty() && reading_.KindOf(name) == Kind::kData;
}

const onnx::Tensor* CanonicalWriter::Table(const std::string& name) const {
  std::string at = name;
  for (const onnx::Node* node = reading_.Maker(at); node != nullptr && PassesOn(*node);
       node = reading_.Maker(at)) {
    at = node->inputs.front();
  }
  return reading_.Initializer(at);
}

const Array* CanonicalWriter::ConstantArray(const std::string& name) const {
  const Array* first = nullptr;
  for (const Bindings& trace : reading_.traces()) {
    const auto found = trace.find(name);
    if (found == trace.end() || !found->second.known()) return nullptr;
    const Array& array = found->second;
    if (first == nullptr) {
      if (array.count() > kSmallElements) return nullptr;
      first = &array;
    } else if (array.dims != first->dims || *array.data != *first->data) {
      return nullptr;
    }
  }
  return first;
}

std::optional<std::vector<int64_t>> CanonicalWriter::Ints(const onnx::Node& node, size_t input,
                                                          std::string_view attribute) const {
  if (input < node.inputs.size() && !node.inputs[input].empty()) {
    const Array* array = ConstantArray(node.inputs[input]);
    return array != nullptr ? std::optional(ToInts(*array)) : std::nullopt;
  }
  const onnx::Attribute* found = node.FindAttribute(attribute);
  const auto* ints = found != nullptr ? std::get_if<std::vector<int64_t>>(&found->value) : nullptr;
  return ints != nullptr ? std::optional(*ints) : std::nullopt;
}

bool CanonicalWriter::IsPositions(const std::string& name) const {
  for (size_t i = 0; i < reading_.samples().size(); ++i) {
    const Sample& sample = reading_.samples()[i];
    const auto found = reading_.traces()[i].find(name);
    if (found == reading_.traces()[i].end() || !found->second.known()) return false;
    const Array& array = found->second;
    if (array.dims.size() != 2 || array.dims[1] != sample.sequence) return false;
    for (size_t e = 0; e < array.data->size(); ++e) {
      const auto at = static_cast<int64_t>(e) % sample.sequence;
      if (array[e] != static_cast<double>(sample.past + at)) return false;
    }
  }
  return true;
}

DimsOfSamples CanonicalWriter::TracedDims(const std::string& name) const {
  DimsOfSamples dims;
  bool flat = true;
  for (size_t i = 0; i < reading_.samples().size(); ++i) {
    const Sample& sample = reading_.samples()[i];
    dims.push_back(reading_.traces()[i].at(name).dims);
    flat = flat && dims.back().size() == 2 && dims.back()[0] == sample.batch * sample.sequence;
  }
  for (size_t i = 0; flat && i < dims.size(); ++i) {
    dims[i] = {reading_.samples()[i].batch, reading_.samples()[i].sequence, dims[i][1]};
  }
  return dims;
}

Result<std::string> CanonicalWriter::Use(const std::string& name) {
  if (name.empty()) return std::string();
  if (const auto known = named_.find(name); known != named_.end()) return known->second;
  if (name == "seqlens_k" || name == "total_sequence_length") return name;
  if (IsData(name)) {
    return Fail(Code::kUnimplemented, StrCat("\"", name, "\" cannot be carried over"));
  }
  ASSIGN_OR_RETURN(std::string value, UseControl(name));
  named_[name] = value;
  return value;
}

Result<std::string> CanonicalWriter::UseControl(const std::string& name) {
  if (const onnx::Tensor* tensor = Table(name)) {
    const bool floats = IsFloat(tensor->type);
    const std::string stored = AddConstant(tensor->name, Stored(*tensor, reading_.bytes()));
    return floats ? AsFloat(stored) : stored;
  }
  const onnx::Node* maker = reading_.Maker(name);
  if (maker != nullptr && maker->op_type == "Transpose") {
    const onnx::Tensor* tensor = Table(maker->inputs[0]);
    if (tensor != nullptr && tensor->dims.size() == 2) {
      return AsFloat(AddConstant(StrCat(tensor->name, ".transposed"),
                                 StoredTransposed(*tensor, reading_.bytes())));
    }
  }
  if (const Array* array = ConstantArray(name)) {
    return AddConstant(name, FromValues(array->type, array->dims, *array->data));
  }
  if (IsPositions(name)) return std::string("positions");
  // A row of a table for every position.
  if (maker != nullptr && maker->op_type == "Gather" && maker->IntAttribute("axis", 0) == 0 &&
      Table(maker->inputs[0]) != nullptr && IsPositions(maker->inputs[1])) {
    const onnx::Tensor& tensor = *Table(maker->inputs[0]);
    const std::string table = AddConstant(tensor.name, Stored(tensor, reading_.bytes()));
    const bool wide = tensor.type == DType::kF32;
    const std::string rows = wide ? name : StrCat(name, ".stored");
    out_.helpers[rows] = {"Gather", "", rows, {table, "positions"}, {rows}, {{"axis", int64_t{0}}}};
    if (!wide) {
      out_.helpers[name] = {"Cast", "", name, {rows}, {name}, {{"to", int64_t{1}}}};
    }
    out_.dims[name] = TracedDims(name);
    return name;
  }
  return Fail(Code::kUnimplemented,
              StrCat("\"", name,
                     "\" depends on how long the rows are in a way that is neither "
                     "attention nor a look-up of positions"));
}

std::string CanonicalWriter::Add(std::string op, std::vector<std::string> inputs,
                                 std::string output, DimsOfSamples dims,
                                 std::vector<onnx::Attribute> attributes, std::string domain) {
  out_.dims[output] = std::move(dims);
  out_.nodes.push_back({std::move(op),
                        std::move(domain),
                        output,
                        std::move(inputs),
                        {output},
                        std::move(attributes)});
  return output;
}

std::string CanonicalWriter::Between(const std::string& output) {
  return StrCat(output, ".", ++fresh_);
}

std::string CanonicalWriter::AddConstant(const std::string& key, Constant constant) {
  out_.constants.emplace(key, std::move(constant));
  return key;
}

std::string CanonicalWriter::Scalar(float value) {
  return AddConstant(StrCat("shoal.scalar.", std::bit_cast<uint32_t>(value)),
                     FromValues(DType::kF32, {}, {value}));
}

std::string CanonicalWriter::IntVector(const std::vector<int64_t>& values) {
  std::string key = "shoal.vector";
  for (const int64_t value : values) key += StrCat(".", value);
  return AddConstant(key, FromValues(DType::kI64, {static_cast<int64_t>(values.size())},
                                     {values.begin(), values.end()}));
}

std::string CanonicalWriter::AsFloat(const std::string& constant) {
  const DType type = out_.constants.at(constant).type;
  if (type == DType::kF32) return constant;
  const std::string cast = StrCat(constant, ".f32");
  out_.helpers[cast] = {"Cast", "", cast, {constant}, {cast}, {{"to", int64_t{1}}}};
  return cast;
}

Result<std::string> CanonicalWriter::Reshape(const std::string& value, const DimsOfSamples& dims,
                                             const std::string& output) {
  const DimsOfSamples& from = DimsOf(value);
  if (from == dims) return value;
  std::vector<int64_t> numbers;
  size_t open = 0;
  for (size_t d = 0; d < dims.front().size(); ++d) {
    bool fixed = true;
    bool kept = true;
    for (size_t i = 0; i < dims.size(); ++i) {
      fixed = fixed && dims[i][d] == dims.front()[d];
      kept = kept && d < from[i].size() && dims[i][d] == from[i][d];
    }
    open += !fixed && !kept;
    numbers.push_back(fixed ? dims.front()[d] : kept ? 0 : -1);
  }
  if (open > 1) {
    return Fail(Code::kUnimplemented,
                StrCat("reshaping to \"", output, "\" mixes tokens in more than one dim"));
  }
  return Add("Reshape", {value, IntVector(numbers)}, output, dims);
}

std::string CanonicalWriter::Slice(const std::string& value, size_t axis, int64_t begin,
                                   int64_t end, const std::string& output) {
  DimsOfSamples dims = DimsOf(value);
  for (std::vector<int64_t>& sample : dims) sample[axis] = end - begin;
  return Add("Slice",
             {value, IntVector({begin}), IntVector({end}), IntVector({static_cast<int64_t>(axis)})},
             output, std::move(dims));
}

namespace {

// A table that tokens are looked up in and that, turned, is the head's matrix too, lies there once:
// as the matrix, in which the look-up goes along the columns.
void ShareTiedTable(CanonicalWriter& writer) {
  Canonical& out = writer.out();
  for (auto node = out.nodes.begin(); node != out.nodes.end(); ++node) {
    if (node->op_type != "Gather" || node->inputs[1] != "tokens") continue;
    const std::string table = node->inputs[0];
    const std::string turned = StrCat(table, ".transposed");
    const auto reads = [&](const onnx::Node& other) {
      return &other != &*node && std::ranges::find(other.inputs, table) != other.inputs.end();
    };
    if (!out.constants.contains(turned) || std::ranges::any_of(out.nodes, reads)) continue;
    const std::string output = node->outputs[0];
    const std::string columns = writer.Between(output);
    node->inputs[0] = turned;
    node->outputs[0] = node->name = columns;
    node->attributes = {{"axis", int64_t{1}}};
    DimsOfSamples dims = out.dims.at(output);
    for (std::vector<int64_t>& sample : dims) std::ranges::rotate(sample, sample.end() - 1);
    out.dims[columns] = std::move(dims);
    out.nodes.insert(
        node + 1,
        {"Transpose", "", output, {columns}, {output}, {{"perm", std::vector<int64_t>{1, 2, 0}}}});
    return;
  }
}

}  // namespace

Result<Canonical> Canonicalise(const Reading& reading) {
  CanonicalWriter writer(reading);
  const std::vector<onnx::Node>& nodes = reading.graph().nodes;
  std::unordered_set<std::string> needed = {reading.logits()};
  std::vector<const onnx::Node*> order;
  for (size_t i = nodes.size(); i-- > 0;) {
    const auto is_needed = [&](const std::string& output) { return needed.contains(output); };
    if (!std::ranges::any_of(nodes[i].outputs, is_needed)) continue;
    for (const std::string& input : nodes[i].inputs) {
      if (writer.IsData(input)) needed.insert(input);
    }
    order.push_back(&nodes[i]);
  }
  std::ranges::reverse(order);
  for (const onnx::Node* node : order) {
    Status status = WriteNode(writer, *node);
    if (!status) {
      return FailWithContext(std::move(status).error(),
                             StrCat("node \"", node->name, "\" (", node->op_type, ")"));
    }
  }
  ASSIGN_OR_RETURN(writer.out().logits, writer.Use(reading.logits()));
  ShareTiedTable(writer);
  return std::move(writer.out());
}

}  // namespace shoal::partition
