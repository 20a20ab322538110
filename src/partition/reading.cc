#include "partition/reading.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <set>

#include "base/str_cat.h"
#include "partition/operators.h"

namespace shoal::partition {

namespace {

constexpr int64_t kLoadedElements = int64_t{1} << 22;
constexpr size_t kMaxControls = 6;
constexpr size_t kMaxCaches = 2048;

std::unexpected<Error> NoDecoder(std::string detail) {
  return Fail(Code::kInvalidArgument, StrCat("this is no decoder that can be cut: ", detail));
}

const onnx::ValueInfo* FindValue(const std::vector<onnx::ValueInfo>& values,
                                 const std::string& name) {
  const auto found = std::ranges::find(values, name, &onnx::ValueInfo::name);
  return found != values.end() ? &*found : nullptr;
}

bool IsInteger(DType type) { return type == DType::kI64 || type == DType::kI32; }

bool IsFixed(const onnx::Dim& dim) { return dim.symbol.empty(); }

// The control inputs that an input of those dims can be, the likeliest first.
std::vector<Control> Candidates(const onnx::ValueInfo& input, const onnx::ValueInfo& tokens) {
  const std::vector<onnx::Dim>& dims = input.dims;
  if (dims.empty() || (dims.size() == 1 && IsFixed(dims[0]) && dims[0].value == 1)) {
    return {Control::kTotal};
  }
  if (dims.size() == 1) {
    return dims[0] == tokens.dims[0] ? std::vector{Control::kSeqlens, Control::kFlatPositions}
                                     : std::vector{Control::kFlatPositions, Control::kSeqlens};
  }
  if (dims.size() != 2) return {};
  return dims[1] == tokens.dims[1] ? std::vector{Control::kPositions, Control::kMask}
                                   : std::vector{Control::kMask, Control::kPositions};
}

// Follows what only renames or casts a value back to where it comes from.
std::string Origin(const Reading& reading, std::string value) {
  for (const onnx::Node* node = reading.Maker(value); node != nullptr;
       node = reading.Maker(value)) {
    if (node->op_type != "Cast" && node->op_type != "Identity") break;
    value = node->inputs.front();
  }
  return value;
}

}  // namespace

const onnx::Tensor* Reading::Initializer(const std::string& name) const {
  const auto found = std::ranges::find(model_.graph.initializers, name, &onnx::Tensor::name);
  return found != model_.graph.initializers.end() ? &*found : nullptr;
}

const onnx::Node* Reading::Maker(const std::string& value) const {
  const auto found = makers_.find(value);
  return found != makers_.end() ? &model_.graph.nodes[found->second] : nullptr;
}

Kind Reading::KindOf(const std::string& value) const {
  const auto found = kinds_.find(value);
  return found != kinds_.end() ? found->second : Kind::kConstant;
}

Status Reading::FindOutputs() {
  const onnx::ValueInfo* logits = nullptr;
  for (const onnx::ValueInfo& output : model_.graph.outputs) {
    if (IsFloat(output.type) && output.dims.size() == 4) {
      presents_.push_back(output.name);
    } else if (IsFloat(output.type) && output.dims.size() == 3 && IsFixed(output.dims[2])) {
      if (logits == nullptr || output.dims[2].value > logits->dims[2].value) logits = &output;
    }
  }
  if (logits == nullptr) {
    return NoDecoder("no output is [batch, sequence, vocabulary], with a number for the last");
  }
  logits_ = logits->name;
  vocab_ = logits->dims[2].value;
  if (presents_.empty()) {
    return NoDecoder(
        "no output has four dims, so it keeps no caches of keys and values; export it with a past");
  }
  return {};
}

void Reading::Prune() {
  std::vector<onnx::Node>& nodes = model_.graph.nodes;
  std::set<std::string> needed(presents_.begin(), presents_.end());
  needed.insert(logits_);
  std::vector<onnx::Node> kept;
  for (size_t i = nodes.size(); i-- > 0;) {
    const auto is_needed = [&](const std::string& output) { return needed.contains(output); };
    if (!std::ranges::any_of(nodes[i].outputs, is_needed)) continue;
    needed.insert(nodes[i].inputs.begin(), nodes[i].inputs.end());
    kept.push_back(std::move(nodes[i]));
  }
  std::ranges::reverse(kept);
  nodes = std::move(kept);
}

Status Reading::FindTokens(const std::vector<const onnx::ValueInfo*>& integers) {
  int64_t most = 0;
  for (const onnx::Node& node : model_.graph.nodes) {
    if ((node.op_type != "Gather" && node.op_type != "GatherBlockQuantized") ||
        node.inputs.size() < 2) {
      continue;
    }
    const onnx::Tensor* table = Initializer(Origin(*this, node.inputs[0]));
    const onnx::ValueInfo* input = FindValue(model_.graph.inputs, Origin(*this, node.inputs[1]));
    if (table == nullptr || input == nullptr || table->dims.size() != 2) continue;
    if (!IsInteger(input->type) || input->dims.size() != 2) continue;
    // Logits for every row of the table: the vocabulary. Else the largest table.
    const int64_t rank = table->dims[0] == vocab_ ? INT64_MAX : table->dims[0];
    if (rank > most) tokens_ = input->name;
    most = std::max(most, rank);
  }
  if (!tokens_.empty()) return {};
  return NoDecoder(StrCat("none of its ", integers.size(),
                          " integer inputs looks up rows of a table, as token ids would"));
}

Status Reading::FindInputs() {
  std::vector<const onnx::ValueInfo*> integers;
  std::vector<const onnx::ValueInfo*> caches;
  for (const onnx::ValueInfo& input : model_.graph.inputs) {
    const bool read = std::ranges::any_of(model_.graph.nodes, [&](const onnx::Node& node) {
      return std::ranges::find(node.inputs, input.name) != node.inputs.end();
    });
    if (!read) continue;
    if (IsInteger(input.type)) {
      integers.push_back(&input);
    } else if (IsFloat(input.type) && input.dims.size() == 4 && IsFixed(input.dims[1]) &&
               !IsFixed(input.dims[2]) && IsFixed(input.dims[3])) {
      caches.push_back(&input);
    } else {
      return NoDecoder(StrCat("its input \"", input.name,
                              "\" is neither integers nor a cache [batch, heads, past, size] with "
                              "numbers for heads and size"));
    }
  }
  if (caches.empty()) return NoDecoder("it has no inputs for cached keys and values");
  cache_type_ = caches.front()->type;
  RETURN_IF_ERROR(FindTokens(integers));
  RETURN_IF_ERROR(FindLayers(caches));
  std::erase_if(integers, [&](const auto* input) { return input->name == tokens_; });
  return FindControls(std::move(integers));
}

// Tries the meanings that the control inputs' dims allow until all shapes fit.
Status Reading::FindControls(std::vector<const onnx::ValueInfo*> integers) {
  if (integers.size() > kMaxControls) {
    return NoDecoder(StrCat("it has ", integers.size(), " integer inputs beside the tokens"));
  }
  const onnx::ValueInfo& tokens = *FindValue(model_.graph.inputs, tokens_);
  std::vector<std::vector<Control>> candidates;
  size_t combinations = 1;
  for (const onnx::ValueInfo* input : integers) {
    candidates.push_back(Candidates(*input, tokens));
    if (candidates.back().empty()) {
      return NoDecoder(StrCat("its input \"", input->name, "\" is integers of ", input->dims.size(),
                              " dims, which no mask or position has"));
    }
    combinations *= candidates.back().size();
  }
  const bool one_batch = IsFixed(tokens.dims[0]);
  for (const auto& [batch, sequence, past] :
       {std::array<int64_t, 3>{2, 3, 5}, {3, 4, 7}, {1, 1, 4}, {1, 6, 0}}) {
    samples_.push_back({one_batch ? 1 : batch, sequence, past});
  }
  Status first;
  for (size_t c = 0; c < combinations; ++c) {
    size_t rest = c;
    for (size_t i = 0; i < integers.size(); ++i) {
      controls_[integers[i]->name] = candidates[i][rest % candidates[i].size()];
      rest /= candidates[i].size();
    }
    Status status = Trace();
    if (status) return {};
    if (c == 0) first = std::move(status);
  }
  return FailWithContext(std::move(first).error(), "following the graph's shapes");
}

// Which caches each value depends on, then which outputs and caches belong together.
Status Reading::FindLayers(const std::vector<const onnx::ValueInfo*>& caches) {
  using Set = std::bitset<kMaxCaches>;
  if (caches.size() > kMaxCaches) return NoDecoder(StrCat("it has ", caches.size(), " caches"));
  std::unordered_map<std::string, Set> reached;
  for (size_t i = 0; i < caches.size(); ++i) reached[caches[i]->name].set(i);
  const auto gather = [&](const onnx::Node& node, std::initializer_list<size_t> inputs) {
    Set set;
    for (const size_t i : inputs) {
      if (i < node.inputs.size()) set |= reached[node.inputs[i]];
    }
    return set;
  };
  for (const onnx::Node& node : model_.graph.nodes) {
    Set all;
    for (const std::string& input : node.inputs) {
      if (!input.empty()) all |= reached[input];
    }
    const bool shape = node.op_type == "Shape" || node.op_type == "Size";
    for (const std::string& output : node.outputs) reached[output] = shape ? Set{} : all;
    if (node.op_type == "GroupQueryAttention" && node.outputs.size() >= 3) {
      const bool packed = node.inputs.size() > 1 && node.inputs[1].empty();
      reached[node.outputs[1]] = gather(node, {packed ? size_t{0} : size_t{1}, 3});
      reached[node.outputs[2]] = gather(node, {packed ? size_t{0} : size_t{2}, 4});
    }
  }
  struct Pair {
    const onnx::ValueInfo* past;
    std::string present;
    Set before;
  };
  std::vector<Pair> pairs;
  for (size_t i = 0; i < caches.size(); ++i) {
    const std::string* best = nullptr;
    for (const std::string& present : presents_) {
      const Set& set = reached[present];
      if (set.test(i) && (best == nullptr || set.count() < reached[*best].count())) {
        best = &present;
      }
    }
    if (best == nullptr) {
      return NoDecoder(StrCat("no output continues the cache \"", caches[i]->name, "\""));
    }
    Set before = reached[*best];
    before.reset(i);
    pairs.push_back({caches[i], *best, before});
  }
  std::ranges::sort(pairs, {}, [&](const Pair& pair) {
    return std::pair(pair.before.count(), std::ranges::find(caches, pair.past) - caches.begin());
  });
  if (pairs.size() % 2 != 0) return NoDecoder("its caches do not come in pairs of key and value");
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const auto& [key, present_key, before] = pairs[i];
    const auto& [value, present_value, also_before] = pairs[i + 1];
    if (before != also_before || present_key == present_value || before.count() != i) {
      return NoDecoder(StrCat("the caches \"", key->name, "\" and \"", value->name,
                              "\" are not the key and value of one layer, each after the last"));
    }
    if (key->dims[1] != value->dims[1] || key->dims[3] != value->dims[3]) {
      return NoDecoder(StrCat("the caches \"", key->name, "\" and \"", value->name,
                              "\" have other heads or sizes"));
    }
    layers_.push_back({key->name, value->name, present_key, present_value, key->dims[1].value,
                       key->dims[3].value});
  }
  return {};
}

// Elements of the constants that masks, positions and tables are made of. Those that only take part
// in products stay where they are.
Status Reading::LoadConstants() {
  std::set<std::string_view> read;
  for (const onnx::Node& node : model_.graph.nodes) {
    static const std::set<std::string_view> kHeavy = {
        "MatMul", "Gemm", "MatMulNBits", "GatherBlockQuantized", "MoE", "QMoE", "Transpose"};
    if (kHeavy.contains(node.op_type)) continue;
    const bool lookup = node.op_type == "Gather";
    if (lookup && node.inputs.size() > 1 && Origin(*this, node.inputs[1]) == tokens_) continue;
    for (const std::string& input : node.inputs) read.insert(input);
  }
  for (const onnx::Tensor& tensor : model_.graph.initializers) {
    if (!tensor.external || !read.contains(tensor.name) ||
        tensor.ElementCount() > kLoadedElements) {
      ASSIGN_OR_RETURN(constants_[tensor.name], ArrayOf(tensor));
      continue;
    }
    ASSIGN_OR_RETURN(const Bytes raw, bytes_(tensor));
    onnx::Tensor inside{tensor.name, tensor.type, tensor.dims, {raw.begin(), raw.end()}, {}};
    ASSIGN_OR_RETURN(constants_[tensor.name], ArrayOf(inside));
  }
  return {};
}

Bindings Reading::Bind(const Sample& sample) const {
  Bindings bindings = constants_;
  const onnx::ValueInfo& tokens = *FindValue(model_.graph.inputs, tokens_);
  bindings[tokens_] = ShapeOnly(tokens.type, {sample.batch, sample.sequence});
  for (const LayerCache& layer : layers_) {
    for (const std::string& past : {layer.past_key, layer.past_value}) {
      bindings[past] = ShapeOnly(cache_type_, {sample.batch, layer.heads, sample.past, layer.size});
    }
  }
  const int64_t first = sample.position >= 0 ? sample.position : sample.past;
  for (const auto& [name, control] : controls_) {
    const onnx::ValueInfo& input = *FindValue(model_.graph.inputs, name);
    std::vector<int64_t> dims;
    if (control == Control::kMask) dims = {sample.batch, sample.total()};
    if (control == Control::kPositions) dims = {sample.batch, sample.sequence};
    if (control == Control::kFlatPositions) dims = {sample.sequence};
    if (control == Control::kSeqlens) dims = {sample.batch};
    if (control == Control::kTotal) dims.assign(input.dims.size(), 1);
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    std::vector<double> values(static_cast<size_t>(count), 1);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<int64_t>(i) % sample.sequence;
      if (control == Control::kPositions || control == Control::kFlatPositions) {
        values[i] = static_cast<double>(first + at);
      } else if (control == Control::kSeqlens) {
        values[i] = static_cast<double>(sample.total() - 1);
      } else if (control == Control::kTotal) {
        values[i] = static_cast<double>(sample.total());
      }
    }
    bindings[name] = MakeArray(input.type, std::move(dims), std::move(values));
  }
  return bindings;
}

Status Reading::Trace() {
  traces_.clear();
  std::vector<std::string> targets = presents_;
  targets.push_back(logits_);
  for (const Sample& sample : samples_) {
    Bindings bindings = Bind(sample);
    RETURN_IF_ERROR(EvaluateTo(model_.graph, opset_, targets, bindings));
    const auto& [batch, sequence, past, position] = sample;
    if (bindings.at(logits_).dims != std::vector{batch, sequence, vocab_}) {
      return NoDecoder("its logits are not [batch, sequence, vocabulary]: one row for each token");
    }
    for (const LayerCache& layer : layers_) {
      for (const std::string& present : {layer.present_key, layer.present_value}) {
        if (bindings.at(present).dims ==
            std::vector{batch, layer.heads, past + sequence, layer.size})
          continue;
        return NoDecoder(StrCat("its output \"", present,
                                "\" is not its cache with the new positions at the end"));
      }
    }
    traces_.push_back(std::move(bindings));
  }
  return {};
}

void Reading::FindKinds() {
  makers_.clear();
  kinds_.clear();
  for (const auto& [name, control] : controls_) kinds_[name] = Kind::kControl;
  kinds_[tokens_] = Kind::kData;
  for (const LayerCache& layer : layers_) {
    kinds_[layer.past_key] = kinds_[layer.past_value] = Kind::kData;
  }
  for (size_t i = 0; i < model_.graph.nodes.size(); ++i) {
    const onnx::Node& node = model_.graph.nodes[i];
    Kind kind = Kind::kConstant;
    for (const std::string& input : node.inputs) kind = std::max(kind, KindOf(input));
    if (node.op_type == "Shape" || node.op_type == "Size") kind = std::min(kind, Kind::kControl);
    for (const std::string& output : node.outputs) {
      if (output.empty()) continue;
      kinds_[output] = kind;
      makers_[output] = i;
    }
  }
}

void Reading::AddControl(onnx::ValueInfo input, Control control) {
  controls_[input.name] = control;
  if (FindValue(model_.graph.inputs, input.name) == nullptr) {
    model_.graph.inputs.push_back(std::move(input));
  }
}

Status Reading::Refresh() {
  RETURN_IF_ERROR(LoadConstants());
  FindKinds();
  return Trace();
}

Result<Reading> Reading::Of(onnx::Model model, TensorBytes bytes) {
  Reading reading;
  reading.model_ = std::move(model);
  reading.bytes_ = std::move(bytes);
  for (const onnx::Opset& opset : reading.model_.opsets) {
    if (opset.domain.empty() || opset.domain == "ai.onnx") reading.opset_ = opset.version;
  }
  RETURN_IF_ERROR(reading.FindOutputs());
  reading.Prune();
  reading.FindKinds();
  const onnx::Graph& graph = reading.model_.graph;
  // Needs the tokens, which FindInputs finds; the elements are needed by its traces.
  std::vector<const onnx::ValueInfo*> integers;
  for (const onnx::ValueInfo& input : graph.inputs) {
    if (IsInteger(input.type)) integers.push_back(&input);
  }
  RETURN_IF_ERROR(reading.FindTokens(integers));
  RETURN_IF_ERROR(reading.LoadConstants());
  RETURN_IF_ERROR(reading.FindInputs());
  reading.FindKinds();
  return reading;
}

}  // namespace shoal::partition
