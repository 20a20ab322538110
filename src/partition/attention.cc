#include "partition/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <random>

#include "base/str_cat.h"
#include "partition/attention_formula.h"
#include "partition/region.h"

namespace shoal::partition {

namespace {

// Elements of one run of the nodes that turn keys.
constexpr int64_t kProbeElements = int64_t{1} << 20;
constexpr double kTolerance = 2e-4;

class Fuser {
 public:
  Fuser(Reading& reading, int64_t positions) : reading_(reading), positions_(positions) {}

  Status Run() {
    for (LayerCache& layer : reading_.mutable_layers()) {
      const onnx::Node* stock = StockNode(layer);
      Status status = stock != nullptr ? TakeOver(*stock, layer) : Replace(layer);
      RETURN_IF_ERROR(std::move(status));
    }
    RETURN_IF_ERROR(Rewrite());
    return reading_.Refresh();
  }

 private:
  using Values = std::vector<double>;

  // The layer's GroupQueryAttention node, if that is what reads its cache.
  const onnx::Node* StockNode(const LayerCache& layer) const {
    for (const onnx::Node& node : reading_.graph().nodes) {
      if (node.op_type != "GroupQueryAttention" || node.inputs.size() < 7) continue;
      if (node.inputs[3] == layer.past_key || node.inputs[3] == layer.past_value) return &node;
    }
    return nullptr;
  }

  // Whether a control value is the same everywhere, and that number for each sample.
  template <typename Expected>
  bool Is(const std::string& name, Expected expected) const {
    for (size_t i = 0; i < reading_.samples().size(); ++i) {
      const auto found = reading_.traces()[i].find(name);
      if (found == reading_.traces()[i].end() || !found->second.known()) return false;
      const Array& array = found->second;
      for (size_t e = 0; e < array.data->size(); ++e) {
        if (array[e] != static_cast<double>(expected(reading_.samples()[i], e))) return false;
      }
    }
    return true;
  }

  bool IsPositions(const std::string& name) const {
    return Is(name, [](const Sample& sample, size_t e) {
      return sample.past + static_cast<int64_t>(e) % sample.sequence;
    });
  }

  Status TakeOver(const onnx::Node& node, LayerCache& layer) {
    const auto refuse = [&](std::string_view why) {
      return Fail(Code::kUnimplemented, StrCat("node \"", node.name, "\": ", why));
    };
    const bool lengths = Is(node.inputs[5], [](const Sample& s, size_t) { return s.total() - 1; });
    const bool totals = Is(node.inputs[6], [](const Sample& s, size_t) { return s.total(); });
    if (!lengths || !totals) return refuse("its lengths are not those of past and new tokens");
    onnx::Node made = node;
    const auto input = [&](size_t i) { return i < made.inputs.size() ? made.inputs[i] : ""; };
    if (!input(9).empty()) {
      if (!IsPositions(input(9))) return refuse("its position ids are not the tokens' positions");
      made.inputs[9].clear();
    }
    if (!input(10).empty()) return refuse("it adds a bias to its scores");
    if (made.inputs[3] == layer.past_value) {
      std::swap(layer.past_key, layer.past_value);
      std::swap(layer.present_key, layer.present_value);
    }
    made.inputs[5] = kSeqlens;
    made.inputs[6] = kTotalLength;
    std::vector<onnx::Node> nodes;
    if (made.inputs[1].empty()) Unpack(layer, made, nodes);
    AbsorbRotary(made);
    nodes.push_back(std::move(made));
    replaced_[node.outputs[0]] = std::move(nodes);
    return {};
  }

  // Query, key and value in one [batch, sequence, width] are cut apart.
  void Unpack(const LayerCache& layer, onnx::Node& node, std::vector<onnx::Node>& nodes) {
    const int64_t query = node.IntAttribute("num_heads", 0) * layer.size;
    const int64_t key = layer.heads * layer.size;
    const int64_t ends[] = {0, query, query + key, query + 2 * key};
    const std::string packed = node.inputs[0];
    for (size_t i = 0; i < 3; ++i) {
      const std::string name = StrCat(node.outputs[0], ".part.", i);
      std::vector<std::string> inputs = {packed, Ints({ends[i]}), Ints({ends[i + 1]}), Ints({2})};
      nodes.push_back({"Slice", "", name, std::move(inputs), {name}, {}});
      node.inputs[i] = name;
    }
  }

  // RotaryEmbedding nodes right before the attention are done by it.
  void AbsorbRotary(onnx::Node& node) {
    if (node.IntAttribute("do_rotary", 0) != 0) return;
    const onnx::Node* query = reading_.Maker(node.inputs[0]);
    const onnx::Node* key = reading_.Maker(node.inputs[1]);
    for (const onnx::Node* rotary : {query, key}) {
      if (rotary == nullptr || rotary->op_type != "RotaryEmbedding" || rotary->inputs.size() < 4 ||
          !IsPositions(rotary->inputs[1]) || rotary->IntAttribute("scale", 1) != 1 ||
          reading_.traces().front().at(rotary->inputs[0]).dims.size() != 3) {
        return;
      }
    }
    const auto interleaved = query->IntAttribute("interleaved", 0);
    if (query->inputs[2] != key->inputs[2] || query->inputs[3] != key->inputs[3] ||
        interleaved != key->IntAttribute("interleaved", 0)) {
      return;
    }
    node.inputs.resize(std::max<size_t>(node.inputs.size(), 9));
    node.inputs[7] = query->inputs[2];
    node.inputs[8] = query->inputs[3];
    node.inputs[0] = query->inputs[0];
    node.inputs[1] = key->inputs[0];
    std::erase_if(node.attributes, [](const onnx::Attribute& attribute) {
      return attribute.name == "do_rotary" || attribute.name == "rotary_interleaved";
    });
    node.attributes.push_back({"do_rotary", int64_t{1}});
    node.attributes.push_back({"rotary_interleaved", interleaved});
  }

  Values Random(int64_t count) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    Values values(static_cast<size_t>(count));
    for (double& value : values) value = uniform(random_);
    return values;
  }

  Array HeadArray(const HeadValue& value, const Sample& sample, int64_t heads, int64_t size,
                  Values values) const {
    std::vector<int64_t> dims = {sample.batch, sample.sequence, heads, size};
    if (value.layout == HeadLayout::kFlat) dims = {sample.batch, sample.sequence, heads * size};
    return MakeArray(DType::kF32, std::move(dims), std::move(values));
  }

  // What the nodes make of `bindings`; `target` comes out known or it is an error.
  Result<Values> Run(const std::string& target, Bindings& bindings) const {
    const std::string targets[] = {target};
    RETURN_IF_ERROR(EvaluateTo(reading_.graph(), reading_.opset(), targets, bindings));
    const Array& array = bindings.at(target);
    if (!array.known()) {
      return Fail(Code::kUnimplemented, StrCat("\"", target, "\" depends on more than it should"));
    }
    return *array.data;
  }

  // Keys [heads, size], the same for each head, after the nodes turned them for positions from
  // `first` on: [count, size] of the first head.
  Result<Values> Turn(const Region& region, const HeadValue& source, int64_t first, int64_t count,
                      const Values& key) const {
    const auto& [heads, size] = std::pair(region.cache.heads, region.cache.size);
    const Sample sample{1, count, first};
    Values keys;
    for (int64_t i = 0; i < count * heads; ++i) keys.insert(keys.end(), key.begin(), key.end());
    Bindings bindings = reading_.Bind(sample);
    bindings[source.name] = HeadArray(source, sample, heads, size, std::move(keys));
    ASSIGN_OR_RETURN(Values turned, Run(region.key, bindings));
    if (turned.size() != static_cast<size_t>(heads * count * size)) {
      return Fail(Code::kUnimplemented, "keys come out in another shape");
    }
    turned.resize(static_cast<size_t>(count * size));
    return turned;
  }

  // Which pairs of a head turn, and the tables for all positions.
  Result<Rotary> LearnRotary(const Region& region, const HeadValue& source) {
    const auto size = static_cast<size_t>(region.cache.size);
    Values key(size, 0);
    key[0] = 1;
    ASSIGN_OR_RETURN(const Values first, Turn(region, source, 3, 1, key));
    Rotary rotary;
    for (size_t i = 1; i < size; ++i) {
      if (first[i] != 0) rotary.pairs = i;
    }
    if (rotary.pairs == 0) return rotary;
    rotary.interleaved = rotary.pairs == 1 && size > 2;
    for (size_t i = 0; i < size; i += 2) key[i] = rotary.interleaved;
    if (rotary.interleaved) {
      ASSIGN_OR_RETURN(const Values all, Turn(region, source, 3, 1, key));
      while (2 * rotary.pairs + 1 < size && all[2 * rotary.pairs + 1] != 0) ++rotary.pairs;
    } else {
      if (2 * rotary.pairs > size) return Fail(Code::kUnimplemented, "keys turn in unknown pairs");
      std::fill_n(key.begin(), rotary.pairs, 1);
    }
    const int64_t step =
        std::max<int64_t>(1, kProbeElements / (region.cache.heads * region.cache.size));
    for (int64_t at = 0; at < positions_; at += step) {
      const int64_t count = std::min(step, positions_ - at);
      ASSIGN_OR_RETURN(const Values turned, Turn(region, source, at, count, key));
      for (size_t row = 0; row < static_cast<size_t>(count); ++row) {
        for (size_t i = 0; i < rotary.pairs; ++i) {
          rotary.cos.push_back(static_cast<float>(turned[row * size + rotary.First(i)]));
          rotary.sin.push_back(static_cast<float>(turned[row * size + rotary.Second(i)]));
        }
      }
    }
    return rotary;
  }

  // Inputs of one run of the formula and of the nodes.
  AttentionInputs RandomInputs(const Region& region, const Sample& sample) {
    AttentionInputs inputs{
        sample, region.heads, region.cache.heads, region.cache.size, {}, {}, {}, {}, {}};
    const int64_t rows = sample.batch * sample.sequence;
    inputs.query = Random(rows * region.heads * region.cache.size);
    inputs.key = Random(rows * region.cache.heads * region.cache.size);
    inputs.value = Random(rows * region.cache.heads * region.cache.size);
    const int64_t cached = sample.batch * region.cache.heads * sample.past * region.cache.size;
    inputs.past_key = Random(cached);
    inputs.past_value = Random(cached);
    return inputs;
  }

  struct Sources {
    HeadValue query;
    HeadValue key;
    HeadValue value;
  };

  Bindings BindInputs(const Region& region, const Sources& sources,
                      const AttentionInputs& in) const {
    Bindings bindings = reading_.Bind(in.sample);
    const auto& [heads, size] = std::pair(region.cache.heads, region.cache.size);
    const auto bind = [&](const HeadValue& source, int64_t n, const Values& values) {
      bindings[source.name] = HeadArray(source, in.sample, n, size, values);
    };
    if (!sources.query.name.empty()) bind(sources.query, region.heads, in.query);
    if (!sources.key.name.empty()) bind(sources.key, heads, in.key);
    if (!sources.value.name.empty()) bind(sources.value, heads, in.value);
    const std::vector<int64_t> dims = {in.sample.batch, heads, in.sample.past, size};
    bindings[region.cache.past_key] = MakeArray(DType::kF32, dims, in.past_key);
    bindings[region.cache.past_value] = MakeArray(DType::kF32, dims, in.past_value);
    return bindings;
  }

  static double Difference(const Values& a, const Values& b) {
    if (a.size() != b.size()) return INFINITY;
    double most = 0;
    double largest = 1e-9;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!(std::abs(a[i] - b[i]) <= most)) most = std::abs(a[i] - b[i]);
      largest = std::max(largest, std::abs(b[i]));
    }
    return most / largest;
  }

  // Whether the nodes agree with the formula on one of its results, in every sample.
  Result<bool> Agree(const Region& region, const Sources& sources, const Formula& formula,
                     const std::string& target, Values AttentionOutputs::* result) {
    for (const Sample& sample : reading_.samples()) {
      const AttentionInputs inputs = RandomInputs(region, sample);
      Bindings bindings = BindInputs(region, sources, inputs);
      const std::string targets[] = {target};
      RETURN_IF_ERROR(EvaluateTo(reading_.graph(), reading_.opset(), targets, bindings));
      const Array& array = bindings.at(target);
      if (!array.known()) return false;
      const AttentionOutputs expected = formula.Run(inputs);
      if (!(Difference(*array.data, expected.*result) < kTolerance)) return false;
    }
    return true;
  }

  // How many of the last positions a token sees; 0 for all.
  Result<int64_t> LearnWindow(const Region& region) {
    const Sample sample{1, 1, positions_ - 1};
    Bindings bindings = reading_.Bind(sample);
    int64_t seen = positions_;
    for (const std::string& mask : region.masks) {
      ASSIGN_OR_RETURN(const Values values, Run(mask, bindings));
      if (values.size() < static_cast<size_t>(positions_)) continue;
      int64_t run = 0;
      while (run < positions_ &&
             values[values.size() - 1 - static_cast<size_t>(run)] == values.back()) {
        ++run;
      }
      seen = std::min(seen, run);
    }
    return seen == positions_ ? 0 : seen;
  }

  // From how the weights of two cached positions compare.
  Result<double> LearnScale(const Region& region, const Sources& sources, const Formula& formula) {
    const Sample sample{1, 1, 4};
    AttentionInputs inputs = RandomInputs(region, sample);
    const auto size = static_cast<size_t>(region.cache.size);
    std::ranges::fill(inputs.past_value, 0);
    std::ranges::fill(inputs.value, 0);
    inputs.past_value[2 * size] = 1;
    inputs.past_value[3 * size + 1] = 1;
    Bindings bindings = BindInputs(region, sources, inputs);
    ASSIGN_OR_RETURN(const Values out, Run(region.out.name, bindings));
    const auto turned = formula.Turned(inputs.query, sample, region.heads);
    double difference = 0;
    for (size_t i = 0; i < size; ++i) {
      difference += turned[i] * (inputs.past_key[2 * size + i] - inputs.past_key[3 * size + i]);
    }
    const double scale = std::log(out[0] / out[1]) / difference;
    const double usual = 1 / std::sqrt(static_cast<double>(size));
    return std::abs(scale / usual - 1) < 1e-3 ? usual : scale;
  }

  Status Replace(LayerCache& layer) {
    ASSIGN_OR_RETURN(const Region region, FindRegion(reading_, layer));
    layer = region.cache;
    Formula formula;
    formula.size = region.cache.size;
    Sources sources;
    for (const HeadValue& key : region.key_sources) {
      auto rotary = LearnRotary(region, key);
      if (!rotary) continue;
      formula.rotary = std::move(*rotary);
      ASSIGN_OR_RETURN(const bool agree, Agree(region, {{}, key, {}}, formula, layer.present_key,
                                               &AttentionOutputs::present_key));
      if (!agree) continue;
      sources.key = key;
      break;
    }
    for (const HeadValue& value : region.value_sources) {
      ASSIGN_OR_RETURN(const bool agree,
                       Agree(region, {{}, {}, value}, formula, layer.present_value,
                             &AttentionOutputs::present_value));
      if (!agree) continue;
      sources.value = value;
      break;
    }
    const auto refuse = [&](std::string_view why) {
      return Fail(Code::kUnimplemented,
                  StrCat("the attention over the cache \"", layer.past_key, "\": ", why));
    };
    if (sources.key.name.empty()) return refuse("its keys are not turned by their positions alone");
    if (sources.value.name.empty()) return refuse("its values are changed before they are cached");
    ASSIGN_OR_RETURN(formula.window, LearnWindow(region));
    for (const HeadValue& query : region.query_sources) {
      sources.query = query;
      auto scale = LearnScale(region, sources, formula);
      if (!scale || !std::isfinite(*scale)) continue;
      formula.scale = *scale;
      ASSIGN_OR_RETURN(const bool agree,
                       Agree(region, sources, formula, region.out.name, &AttentionOutputs::out));
      if (agree) return Emit(region, sources, formula);
    }
    return refuse(
        "it differs from softmax(scale * query * keys) * values over the positions up to the "
        "token's");
  }

  Status Emit(const Region& region, const Sources& sources, const Formula& formula) {
    std::vector<onnx::Node> nodes;
    const std::string at = StrCat("shoal.attention.", replaced_.size());
    const auto flat = [&](const HeadValue& source, int64_t heads, std::string_view what) {
      if (source.layout == HeadLayout::kFlat) return source.name;
      const std::string name = StrCat(at, ".", what);
      nodes.push_back(
          {"Reshape", "", name, {source.name, Ints({0, 0, heads * formula.size})}, {name}, {}});
      return name;
    };
    onnx::Node node{"GroupQueryAttention", "com.microsoft", at, {}, {}, {}};
    node.inputs = {flat(sources.query, region.heads, "query"),
                   flat(sources.key, region.cache.heads, "key"),
                   flat(sources.value, region.cache.heads, "value"),
                   region.cache.past_key,
                   region.cache.past_value,
                   std::string(kSeqlens),
                   std::string(kTotalLength)};
    node.attributes = {{"num_heads", region.heads},
                       {"kv_num_heads", region.cache.heads},
                       {"scale", static_cast<float>(formula.scale)}};
    if (formula.rotary.pairs > 0) {
      node.attributes.push_back({"do_rotary", int64_t{1}});
      node.attributes.push_back({"rotary_interleaved", int64_t{formula.rotary.interleaved}});
      const auto pairs = static_cast<int64_t>(formula.rotary.pairs);
      node.inputs.push_back(Table("cos", formula.rotary.cos, pairs));
      node.inputs.push_back(Table("sin", formula.rotary.sin, pairs));
    }
    if (formula.window > 0) node.attributes.push_back({"local_window_size", formula.window});
    const bool is_flat = region.out.layout == HeadLayout::kFlat;
    const std::string out = is_flat ? region.out.name : StrCat(at, ".out");
    node.outputs = {out, region.cache.present_key, region.cache.present_value};
    nodes.push_back(std::move(node));
    if (!is_flat) {
      nodes.push_back({"Reshape",
                       "",
                       StrCat(at, ".split"),
                       {out, Ints({0, 0, region.heads, formula.size})},
                       {region.out.name},
                       {}});
    }
    replaced_[region.out.name] = std::move(nodes);
    return {};
  }

  // A table as an initialiser; equal ones are one.
  std::string Table(std::string_view what, const std::vector<float>& values, int64_t pairs) {
    const auto rows = static_cast<int64_t>(values.size()) / pairs;
    onnx::Tensor table{
        "", DType::kF32, {rows, pairs}, ByteVector(values.size() * sizeof(float)), {}};
    std::memcpy(table.raw.data(), values.data(), table.raw.size());
    for (const onnx::Tensor& known : tables_) {
      if (known.dims == table.dims && known.raw == table.raw) return known.name;
    }
    table.name = StrCat("shoal.", what, ".", tables_.size());
    tables_.push_back(std::move(table));
    return tables_.back().name;
  }

  std::string Ints(const std::vector<int64_t>& values) {
    onnx::Tensor tensor{"",
                        DType::kI64,
                        {static_cast<int64_t>(values.size())},
                        ByteVector(values.size() * sizeof(int64_t)),
                        {}};
    std::memcpy(tensor.raw.data(), values.data(), tensor.raw.size());
    for (const onnx::Tensor& known : tables_) {
      if (known.dims == tensor.dims && known.raw == tensor.raw && known.type == tensor.type) {
        return known.name;
      }
    }
    tensor.name = StrCat("shoal.ints.", tables_.size());
    tables_.push_back(std::move(tensor));
    return tables_.back().name;
  }

  // Puts the new nodes where what they make was made, and takes out what nobody reads any more.
  Status Rewrite() {
    onnx::Graph& graph = reading_.mutable_graph();
    std::vector<onnx::Node> nodes;
    std::unordered_map<std::string, bool> made;
    for (const auto& [unused, fresh] : replaced_) {
      for (const onnx::Node& node : fresh) {
        for (const std::string& output : node.outputs) made[output] = true;
      }
    }
    for (onnx::Node& node : graph.nodes) {
      const auto fresh = replaced_.find(node.outputs.front());
      if (fresh != replaced_.end()) {
        nodes.insert(nodes.end(), fresh->second.begin(), fresh->second.end());
        continue;
      }
      // The caches' outputs are made by the attention now.
      if (!made.contains(node.outputs.front())) nodes.push_back(std::move(node));
    }
    graph.nodes = std::move(nodes);
    graph.initializers.insert(graph.initializers.end(), tables_.begin(), tables_.end());
    reading_.AddControl({std::string(kSeqlens), DType::kI32, {onnx::Dim::Symbolic("batch")}},
                        Control::kSeqlens);
    reading_.AddControl({std::string(kTotalLength), DType::kI32, {}}, Control::kTotal);
    return {};
  }

  Reading& reading_;
  const int64_t positions_;
  std::mt19937 random_{1};
  // By the value that the nodes make.
  std::map<std::string, std::vector<onnx::Node>> replaced_;
  std::vector<onnx::Tensor> tables_;
};

}  // namespace

Status FuseAttention(Reading& reading, int64_t positions) {
  return Fuser(reading, positions).Run();
}

}  // namespace shoal::partition
