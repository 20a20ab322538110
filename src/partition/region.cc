#include "partition/region.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/str_cat.h"

namespace shoal::partition {

namespace {

using Names = std::unordered_set<std::string>;

std::unexpected<Error> NotAttention(const LayerCache& cache, std::string_view why) {
  return Fail(Code::kUnimplemented, StrCat("what is done with the cache \"", cache.past_key,
                                           "\" is no attention that Shoal can take over: ", why));
}

// Whether a value has these dims in every sample.
template <typename DimsOf>
bool HasDims(const Reading& reading, const std::string& name, DimsOf dims_of) {
  for (size_t i = 0; i < reading.samples().size(); ++i) {
    const auto found = reading.traces()[i].find(name);
    if (found == reading.traces()[i].end() || found->second.dims != dims_of(reading.samples()[i])) {
      return false;
    }
  }
  return true;
}

std::optional<HeadValue> LayoutOf(const Reading& reading, const std::string& name, int64_t heads,
                                  int64_t size) {
  using Dims = std::vector<int64_t>;
  const auto has = [&](auto dims_of) { return HasDims(reading, name, dims_of); };
  if (has([&](const Sample& s) { return Dims{s.batch, s.sequence, heads * size}; })) {
    return HeadValue{name, HeadLayout::kFlat};
  }
  if (has([&](const Sample& s) { return Dims{s.batch, s.sequence, heads, size}; })) {
    return HeadValue{name, HeadLayout::kSplit};
  }
  return std::nullopt;
}

bool IsData(const Reading& reading, const std::string& name) {
  return !name.empty() && reading.KindOf(name) == Kind::kData;
}

// Whether a node's output is linear in its data: what turns, moves and scales.
bool IsLinear(const Reading& reading, const onnx::Node& node) {
  static const std::set<std::string_view> kAlways = {
      "Reshape", "Transpose", "Squeeze",  "Unsqueeze", "Slice",   "Split",           "Concat",
      "Neg",     "Cast",      "Identity", "Expand",    "Flatten", "RotaryEmbedding", "Gather"};
  static const std::set<std::string_view> kOneSided = {"Mul", "Div"};
  static const std::set<std::string_view> kBothSided = {"Add", "Sub"};
  const auto data = std::ranges::count_if(
      node.inputs, [&](const std::string& input) { return IsData(reading, input); });
  if (kAlways.contains(node.op_type)) return true;
  if (kOneSided.contains(node.op_type)) return data == 1;
  return kBothSided.contains(node.op_type) && data == 2;
}

// What `name` is made of by linear nodes alone: the values on which all of it depends, the
// earliest first, as far as heads lie in them as the graph contract has it.
std::vector<HeadValue> SourcesOf(const Reading& reading, const std::string& name, int64_t heads,
                                 int64_t size) {
  const onnx::Node* const nodes = reading.graph().nodes.data();
  std::vector<HeadValue> sources;
  Names open = {name};
  while (true) {
    if (open.size() == 1) {
      if (auto layout = LayoutOf(reading, *open.begin(), heads, size)) {
        sources.insert(sources.begin(), *layout);
      }
    }
    const onnx::Node* last = nullptr;
    for (const std::string& value : open) {
      const onnx::Node* maker = reading.Maker(value);
      if (maker == nullptr) return sources;
      if (last == nullptr || maker - nodes > last - nodes) last = maker;
    }
    if (!IsLinear(reading, *last)) return sources;
    for (const std::string& output : last->outputs) open.erase(output);
    for (const std::string& input : last->inputs) {
      if (IsData(reading, input)) open.insert(input);
    }
  }
}

// Walks from the caches to where all paths meet.
class Walk {
 public:
  Walk(const Reading& reading, LayerCache cache) : reading_(reading), cache_(std::move(cache)) {
    for (const onnx::Node& node : reading_.graph().nodes) {
      if (!MakesData(node)) continue;
      for (const std::string& input : node.inputs) ++readers_[input];
    }
  }

  Result<Region> Run() {
    Names open = {cache_.past_key, cache_.past_value};
    std::unordered_map<std::string, size_t> unread = readers_;
    key_side_ = {cache_.past_key};
    value_side_ = {cache_.past_value};
    for (const onnx::Node& node : reading_.graph().nodes) {
      if (!Touches(node)) continue;
      RETURN_IF_ERROR(Take(node));
      for (const std::string& input : node.inputs) {
        if (--unread[input] == 0) open.erase(input);
      }
      for (const std::string& output : node.outputs) {
        if (IsData(reading_, output) && readers_[output] > 0) open.insert(output);
      }
      if (open.size() != 1) continue;
      // Heads are known by what comes out; any number of them is tried that the query's has.
      if (auto region = Finish(*open.begin())) return std::move(*region);
    }
    return NotAttention(cache_, "its paths never meet in one value for each token");
  }

 private:
  bool MakesData(const onnx::Node& node) const {
    return std::ranges::any_of(node.outputs,
                               [&](const std::string& output) { return IsData(reading_, output); });
  }

  bool OnSide(const Names& side, const onnx::Node& node) const {
    return std::ranges::any_of(node.inputs,
                               [&](const std::string& input) { return side.contains(input); });
  }

  bool Touches(const onnx::Node& node) const {
    return MakesData(node) && (OnSide(key_side_, node) || OnSide(value_side_, node));
  }

  Status Take(const onnx::Node& node) {
    const bool on_key = OnSide(key_side_, node);
    const bool on_value = OnSide(value_side_, node);
    if (node.op_type == "Softmax") (on_key ? softmax_of_key_ : softmax_of_value_) = true;
    if (node.op_type == "MatMulNBits" || node.op_type == "Gemm" ||
        (node.op_type == "MatMul" && !IsData(reading_, node.inputs[1]))) {
      return NotAttention(cache_, "its paths do not meet before the next product with weights");
    }
    for (const std::string& output : node.outputs) {
      if (on_key) key_side_.insert(output);
      if (on_value) value_side_.insert(output);
    }
    for (const std::string& input : node.inputs) {
      if (input.empty() || key_side_.contains(input) || value_side_.contains(input)) continue;
      if (IsData(reading_, input)) {
        side_inputs_.insert(input);
      } else if (reading_.KindOf(input) == Kind::kControl) {
        control_inputs_.insert(input);
      }
    }
    return {};
  }

  // Of the values that flow in from the side: the one that `present` is made of besides `past`.
  std::optional<std::string> PartOf(const std::string& present) const {
    Names needed = {present};
    std::optional<std::string> part;
    const std::vector<onnx::Node>& nodes = reading_.graph().nodes;
    for (size_t i = nodes.size(); i-- > 0;) {
      const auto makes = [&](const std::string& output) { return needed.contains(output); };
      if (!std::ranges::any_of(nodes[i].outputs, makes)) continue;
      for (const std::string& input : nodes[i].inputs) {
        if (side_inputs_.contains(input)) {
          if (part && *part != input) return std::nullopt;
          part = input;
        } else if (IsData(reading_, input)) {
          needed.insert(input);
        }
      }
    }
    return part;
  }

  // The region that ends in `out`, if heads can lie in that.
  std::optional<Region> Finish(const std::string& out) {
    if (side_inputs_.size() != 3 || softmax_of_key_ == softmax_of_value_) return std::nullopt;
    if (softmax_of_value_) {
      std::swap(cache_.past_key, cache_.past_value);
      std::swap(cache_.present_key, cache_.present_value);
      std::swap(key_side_, value_side_);
      std::swap(softmax_of_key_, softmax_of_value_);
    }
    Region region;
    region.cache = cache_;
    const auto key = PartOf(cache_.present_key);
    const auto value = PartOf(cache_.present_value);
    if (!key || !value || *key == *value) return std::nullopt;
    region.key = *key;
    region.value = *value;
    for (const std::string& input : side_inputs_) {
      if (input != *key && input != *value) region.query = input;
    }
    const std::vector<int64_t>& dims = reading_.traces().front().at(region.query).dims;
    if (dims.size() != 4 || dims[3] != cache_.size) return std::nullopt;
    region.heads = dims[1];
    if (region.heads % cache_.heads != 0) return std::nullopt;
    const auto layout = LayoutOf(reading_, out, region.heads, cache_.size);
    if (!layout) return std::nullopt;
    region.out = *layout;
    region.query_sources = SourcesOf(reading_, region.query, region.heads, cache_.size);
    region.key_sources = SourcesOf(reading_, region.key, cache_.heads, cache_.size);
    region.value_sources = SourcesOf(reading_, region.value, cache_.heads, cache_.size);
    for (const std::string& input : control_inputs_) {
      const std::vector<int64_t>& mask = reading_.traces().front().at(input).dims;
      const int64_t total = reading_.samples().front().total();
      if (!mask.empty() && mask.back() == total) region.masks.push_back(input);
    }
    return region;
  }

  const Reading& reading_;
  LayerCache cache_;
  std::unordered_map<std::string, size_t> readers_;
  Names key_side_;
  Names value_side_;
  Names side_inputs_;
  Names control_inputs_;
  bool softmax_of_key_ = false;
  bool softmax_of_value_ = false;
};

}  // namespace

Result<Region> FindRegion(const Reading& reading, LayerCache cache) {
  return Walk(reading, std::move(cache)).Run();
}

}  // namespace shoal::partition
