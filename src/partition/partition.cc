#include "partition/partition.h"

#include <algorithm>
#include <set>

#include "base/str_cat.h"
#include "onnx/check.h"
#include "partition/attention.h"
#include "partition/canonical.h"
#include "partition/cuts.h"

namespace shoal::partition {

namespace {

using onnx::Dim;

// Constants of at most that many bytes lie in the graphs.
constexpr uint64_t kInlineBytes = 256;

std::vector<Dim> RowDims(int64_t width) {
  return {Dim::Symbolic("batch"), Dim::Symbolic("sequence"), Dim::Fixed(width)};
}

// Assembles the blocks from the canonical graph.
class Assembler {
 public:
  Assembler(const Reading& reading, const Canonical& canonical, std::vector<Cut> cuts)
      : reading_(reading), canonical_(canonical), cuts_(std::move(cuts)) {
    for (uint32_t block = 0; block <= cuts_.size(); ++block) {
      for (const std::string& constant : ConstantsOf(block)) ++users_[constant];
    }
  }

  Result<std::vector<PartitionBlock>> Run() {
    std::vector<PartitionBlock> blocks;
    for (uint32_t block = 0; block <= cuts_.size(); ++block) {
      ASSIGN_OR_RETURN(PartitionBlock made, Block(block));
      RETURN_IF_ERROR(onnx::Check(made.model));
      blocks.push_back(std::move(made));
    }
    return blocks;
  }

  uint64_t ParamsOf(const std::string& constant) const {
    for (const onnx::Node& node : canonical_.nodes) {
      if (node.op_type == "MatMulNBits" && node.inputs[1] == constant) {
        return static_cast<uint64_t>(node.IntAttribute("N", 0) * node.IntAttribute("K", 0));
      }
      if (node.op_type == "GatherBlockQuantized" && node.inputs[0] == constant) {
        const Constant& codes = canonical_.constants.at(constant);
        return codes.bytes() * 8 / static_cast<uint64_t>(node.IntAttribute("bits", 4));
      }
    }
    const Constant& it = canonical_.constants.at(constant);
    const bool is_scale = constant.ends_with(".scales") && it.type == DType::kF16;
    return IsFloat(it.type) && !is_scale ? it.bytes() / DTypeBytes(it.type) : 0;
  }

  // All constants that lie outside of graphs, each once.
  uint64_t Params() const {
    uint64_t params = 0;
    for (const auto& [constant, unused] : users_) {
      if (!IsInline(constant)) params += ParamsOf(constant);
    }
    return params;
  }

 private:
  bool IsInline(const std::string& constant) const {
    return canonical_.constants.at(constant).bytes() <= kInlineBytes;
  }

  std::span<const onnx::Node> NodesOf(uint32_t block) const {
    const size_t begin = block == 0 ? 0 : cuts_[block - 1].after + 1;
    const size_t end = block < cuts_.size() ? cuts_[block].after + 1 : canonical_.nodes.size();
    return std::span(canonical_.nodes).subspan(begin, end - begin);
  }

  // The helpers that a block's nodes need, and theirs, in order.
  std::vector<const onnx::Node*> HelpersOf(uint32_t block) const {
    std::vector<const onnx::Node*> helpers;
    std::set<std::string> taken;
    const auto take = [&](const auto& self, const std::string& value) -> void {
      const auto found = canonical_.helpers.find(value);
      if (found == canonical_.helpers.end() || !taken.insert(value).second) return;
      for (const std::string& input : found->second.inputs) self(self, input);
      helpers.push_back(&found->second);
    };
    for (const onnx::Node& node : NodesOf(block)) {
      for (const std::string& input : node.inputs) take(take, input);
    }
    return helpers;
  }

  std::vector<std::string> ConstantsOf(uint32_t block) const {
    std::vector<std::string> constants;
    std::set<std::string> seen;
    const auto take = [&](const onnx::Node& node) {
      for (const std::string& input : node.inputs) {
        if (canonical_.constants.contains(input) && seen.insert(input).second) {
          constants.push_back(input);
        }
      }
    };
    for (const onnx::Node* helper : HelpersOf(block)) take(*helper);
    for (const onnx::Node& node : NodesOf(block)) take(node);
    return constants;
  }

  // What a value is called in a block's graph.
  std::string NameIn(uint32_t block, const std::string& value) const {
    if (value.empty() || value == kSeqlens || value == kTotalLength || value == "tokens" ||
        value == "positions") {
      return value;
    }
    for (size_t i = 0; i < cuts_.size(); ++i) {
      if (cuts_[i].value != value) continue;
      // The head reads the rows that are asked for.
      if (i + 1 == cuts_.size() && block == cuts_.size())
        return StrCat("block.", block, ".shoal.rows");
      return StrCat("hidden.", i + 1);
    }
    const auto constant = canonical_.constants.find(value);
    if (constant != canonical_.constants.end() && users_.at(value) > 1 && !IsInline(value)) {
      return StrCat("shared.", value);
    }
    if (block >= 1 && block <= reading_.layers().size()) {
      const LayerCache& layer = reading_.layers()[block - 1];
      if (value == layer.past_key) return StrCat("past.", block, ".key");
      if (value == layer.past_value) return StrCat("past.", block, ".value");
      if (value == layer.present_key) return StrCat("present.", block, ".key");
      if (value == layer.present_value) return StrCat("present.", block, ".value");
    }
    return StrCat("block.", block, ".", value);
  }

  void AddNode(uint32_t block, const onnx::Node& node, PartitionBlock& made) const {
    onnx::Node renamed = node;
    renamed.name = StrCat("block.", block, ".", node.name);
    for (std::string& input : renamed.inputs) input = NameIn(block, input);
    for (std::string& output : renamed.outputs) output = NameIn(block, output);
    made.model.graph.nodes.push_back(std::move(renamed));
    if (node.op_type == "MatMulNBits") {
      made.flops_per_token += 2 * ParamsOf(node.inputs[1]);
    } else if (node.op_type == "MatMul") {
      for (const std::string& input : node.inputs) {
        std::string stored = input;
        if (const auto cast = canonical_.helpers.find(input); cast != canonical_.helpers.end()) {
          stored = cast->second.inputs[0];
        }
        if (canonical_.constants.contains(stored)) made.flops_per_token += 2 * ParamsOf(stored);
      }
    }
  }

  Status AddConstants(uint32_t block, PartitionBlock& made) const {
    for (const std::string& key : ConstantsOf(block)) {
      const Constant& constant = canonical_.constants.at(key);
      onnx::Tensor tensor{NameIn(block, key), constant.type, constant.dims, {}, {}};
      if (IsInline(key)) {
        ASSIGN_OR_RETURN(tensor.raw, constant.make());
      } else {
        tensor.external = onnx::ExternalData{"?", 0, constant.bytes()};
        made.constants.push_back({tensor.name, key, users_.at(key) > 1});
        made.params += ParamsOf(key);
      }
      made.model.graph.initializers.push_back(std::move(tensor));
    }
    return {};
  }

  // Small int64 constants of the head's own nodes.
  static std::string Vector(onnx::Graph& graph, std::string name, std::vector<int64_t> values) {
    ByteVector raw;
    ByteWriter writer(raw);
    for (const int64_t value : values) writer.Write(value);
    const auto count = static_cast<int64_t>(values.size());
    graph.initializers.push_back({name, DType::kI64, {count}, std::move(raw), {}});
    return name;
  }

  // hidden -> its rows of which logits are asked for, [1, selected, width].
  void AddSelection(uint32_t block, onnx::Graph& graph) const {
    const std::string at = StrCat("block.", block, ".shoal.select");
    const int64_t width = cuts_.back().width;
    const std::string flat = Vector(graph, at + ".flat", {-1, width});
    const std::string rows = Vector(graph, at + ".shape", {1, -1, width});
    const std::string hidden = StrCat("hidden.", block);
    graph.nodes.push_back({"Reshape", "", at + ".1", {hidden, flat}, {at + ".all"}, {}});
    graph.nodes.push_back({"Gather",
                           "",
                           at + ".2",
                           {at + ".all", "logit_rows"},
                           {at + ".some"},
                           {{"axis", int64_t{0}}}});
    graph.nodes.push_back({"Reshape",
                           "",
                           at + ".3",
                           {at + ".some", rows},
                           {StrCat("block.", block, ".shoal.rows")},
                           {}});
    graph.inputs.push_back({"logit_rows", DType::kI32, {Dim::Symbolic("selected")}});
  }

  Result<PartitionBlock> Block(uint32_t block) {
    PartitionBlock made;
    made.model.opsets = {{"", canonical_.opset}, {"com.microsoft", 1}};
    onnx::Graph& graph = made.model.graph;
    graph.name = StrCat("block.", block);
    const bool head = block == cuts_.size();
    if (block > 0) {
      graph.inputs.push_back({StrCat("hidden.", block), DType::kF32, RowDims(cuts_.back().width)});
    }
    if (head) AddSelection(block, graph);
    const std::vector<const onnx::Node*> helpers = HelpersOf(block);
    for (const onnx::Node* helper : helpers) AddNode(block, *helper, made);
    for (const onnx::Node& node : NodesOf(block)) AddNode(block, node, made);
    RETURN_IF_ERROR(AddConstants(block, made));
    RETURN_IF_ERROR(AddInputs(block, graph));
    if (!head) {
      graph.outputs.push_back(
          {StrCat("hidden.", block + 1), DType::kF32, RowDims(cuts_.back().width)});
      return made;
    }
    const std::string shape =
        Vector(graph, StrCat("block.", block, ".shoal.flatten.shape"), {-1, reading_.vocab()});
    const std::string logits = NameIn(block, canonical_.logits);
    graph.nodes.push_back({"Reshape",
                           "",
                           StrCat("block.", block, ".shoal.flatten"),
                           {logits, shape},
                           {"logits"},
                           {}});
    graph.outputs.push_back(
        {"logits", DType::kF32, {Dim::Symbolic("selected"), Dim::Fixed(reading_.vocab())}});
    return made;
  }

  // Ids, and in a layer the caches and what attention is told.
  Status AddInputs(uint32_t block, onnx::Graph& graph) const {
    const std::vector<Dim> ids = {Dim::Symbolic("batch"), Dim::Symbolic("sequence")};
    const auto reads = [&](std::string_view name) {
      return std::ranges::any_of(graph.nodes, [&](const onnx::Node& node) {
        return std::ranges::find(node.inputs, name) != node.inputs.end();
      });
    };
    for (const char* name : {"tokens", "positions"}) {
      if (!reads(name)) continue;
      if (block != 0) {
        return Fail(Code::kUnimplemented,
                    StrCat("block ", block, " reads the ", name, ", which only block 0 is given"));
      }
      graph.inputs.push_back({name, DType::kI32, ids});
    }
    if (block == 0 || block == cuts_.size()) return {};
    const LayerCache& layer = reading_.layers()[block - 1];
    for (const char* what : {"key", "value"}) {
      graph.inputs.push_back({StrCat("past.", block, ".", what),
                              DType::kF32,
                              {Dim::Symbolic("batch"), Dim::Fixed(layer.heads),
                               Dim::Symbolic("past_length"), Dim::Fixed(layer.size)}});
      graph.outputs.push_back({StrCat("present.", block, ".", what),
                               DType::kF32,
                               {Dim::Symbolic("batch"), Dim::Fixed(layer.heads),
                                Dim::Symbolic("total_length"), Dim::Fixed(layer.size)}});
    }
    graph.inputs.push_back({std::string(kSeqlens), DType::kI32, {Dim::Symbolic("batch")}});
    graph.inputs.push_back({std::string(kTotalLength), DType::kI32, {}});
    return {};
  }

  const Reading& reading_;
  const Canonical& canonical_;
  std::vector<Cut> cuts_;
  std::map<std::string, size_t> users_;  // Blocks that read a constant.
};

}  // namespace

Result<Partition> Divide(onnx::Model model, TensorBytes bytes, int64_t positions) {
  RETURN_IF_ERROR(onnx::Check(model));
  ASSIGN_OR_RETURN(Reading reading, Reading::Of(std::move(model), std::move(bytes)));
  RETURN_IF_ERROR(FuseAttention(reading, positions));
  ASSIGN_OR_RETURN(Canonical canonical, Canonicalise(reading));
  ASSIGN_OR_RETURN(std::vector<Cut> cuts, FindCuts(reading, canonical));
  Partition result;
  result.hidden = cuts.front().width;
  Assembler assembler(reading, canonical, std::move(cuts));
  ASSIGN_OR_RETURN(result.blocks, assembler.Run());
  result.params = assembler.Params();
  result.vocab = reading.vocab();
  result.layers = reading.layers();
  result.kv_heads = result.layers.front().heads;
  result.head_size = result.layers.front().size;
  for (const onnx::Node& node : canonical.nodes) {
    if (node.op_type != "GroupQueryAttention") continue;
    result.heads = node.IntAttribute("num_heads", 0);
    break;
  }
  uint32_t layer = 1;
  for (const onnx::Node& node : canonical.nodes) {
    if (node.op_type != "GroupQueryAttention") continue;
    const int64_t width = node.IntAttribute("num_heads", 0) * result.layers[layer - 1].size;
    result.blocks[layer++].attention_flops_per_position = 4 * static_cast<uint64_t>(width);
  }
  result.constants = std::move(canonical.constants);
  return result;
}

}  // namespace shoal::partition
