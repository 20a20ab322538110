#include "store/stage_graph.h"

#include <algorithm>
#include <cstring>

#include "base/str_cat.h"
#include "model/rope.h"
#include "onnx/join.h"
#include "onnx/model.h"
#include "onnx/write.h"
#include "store/block_graph.h"
#include "store/expert_graphs.h"

namespace shoal::store {

namespace {

constexpr uint64_t kTensorAlignment = 64;
constexpr uint64_t kMaxTableBytes = uint64_t{1} << 32;

// [positions, TurningRoom / 2] cosines, then, aligned, as many sines.
GeneratedBlob MakeRotaryBlob(const model::Rope& rope, uint32_t positions, onnx::ExternalData& cos,
                             onnx::ExternalData& sin) {
  const model::RopeTables tables = model::MakeRopeTables(rope, positions);
  const uint64_t table_bytes = tables.cos.size() * sizeof(float);
  const uint64_t sin_offset =
      (table_bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  GeneratedBlob generated;
  generated.bytes.resize(sin_offset + table_bytes);
  std::memcpy(generated.bytes.data(), tables.cos.data(), table_bytes);
  std::memcpy(generated.bytes.data() + sin_offset, tables.sin.data(), table_bytes);
  generated.blob = HashBlob(generated.bytes);
  cos = {Hex(generated.blob.sha), 0, table_bytes};
  sin = {Hex(generated.blob.sha), sin_offset, table_bytes};
  return generated;
}

// Gives the joined graph the rotary tables that its layers name.
Status BindRotaryTables(const Manifest& manifest, StageGraph& stage, onnx::Model& model) {
  for (size_t index = 0; index < manifest.ropes.size(); ++index) {
    const model::Rope& rope = manifest.ropes[index];
    onnx::Tensor cos{RotaryTableName("cos", index), DType::kF32, {}, {}, onnx::ExternalData{}};
    onnx::Tensor sin{RotaryTableName("sin", index), DType::kF32, {}, {}, onnx::ExternalData{}};
    const bool used = std::ranges::any_of(
        model.graph.inputs, [&](const onnx::ValueInfo& input) { return input.name == cos.name; });
    if (!used) continue;
    const uint32_t pairs = model::TurningRoom(rope) / 2;
    if (uint64_t{stage.positions} * pairs * 2 * sizeof(float) > kMaxTableBytes) {
      return Fail(Code::kResourceExhausted,
                  StrCat("rotary tables for ", stage.positions, " positions pass 4 GiB"));
    }
    cos.dims = sin.dims = {stage.positions, pairs};
    GeneratedBlob made = MakeRotaryBlob(rope, stage.positions, *cos.external, *sin.external);
    const auto same = [&](const GeneratedBlob& known) { return known.blob.sha == made.blob.sha; };
    if (std::ranges::none_of(stage.generated, same)) stage.generated.push_back(std::move(made));
    RETURN_IF_ERROR(onnx::BindInput(model, std::move(cos)));
    RETURN_IF_ERROR(onnx::BindInput(model, std::move(sin)));
  }
  return {};
}

}  // namespace

std::string RotaryTableName(std::string_view function, size_t index) {
  return index == 0 ? StrCat(function, "_cache") : StrCat(function, "_cache.", index);
}

namespace {

// Joins blocks one after the other into the stage's parts.
class StageJoiner {
 public:
  StageJoiner(const Pack& pack, const StageVariant& variant, StageGraph& stage)
      : pack_(pack), variant_(variant), stage_(stage) {}

  Status Add(uint32_t index, bool is_divided);
  Status Finish();

 private:
  Status AddGraph(const Sha256& graph, std::span<const Sha256> weights, const std::string& who);
  Status EndPart();

  const Pack& pack_;
  const StageVariant variant_;
  StageGraph& stage_;
  std::vector<onnx::Model> graphs_;  // Of the part under way.
  uint32_t parts_ = 0;
};

Status StageJoiner::AddGraph(const Sha256& graph, std::span<const Sha256> weights,
                             const std::string& who) {
  ASSIGN_OR_RETURN(onnx::Model model, ReadGraph(pack_, graph, weights, who));
  graphs_.push_back(std::move(model));
  return {};
}

Status StageJoiner::Add(uint32_t index, bool is_divided) {
  const Block& block = pack_.manifest().variants[variant_.weights].blocks[index];
  const std::string who = StrCat("block ", index);
  std::vector<Sha256> weights = block.weights;
  if (is_divided) {
    std::erase_if(weights, [&](const Sha256& sha) {
      const auto& groups = block.mixture->groups;
      return std::ranges::find(groups, sha, &ExpertGroup::weights) != groups.end();
    });
  }
  for (const Sha256& sha : weights) {
    const auto same = [&](const Blob& blob) { return blob.sha == sha; };
    if (std::ranges::none_of(stage_.weights, same)) stage_.weights.push_back(*pack_.FindBlob(sha));
  }
  if (block.kv) stage_.kv.push_back({index, block.kv->heads, block.kv->head_size});
  if (!is_divided) return AddGraph(block.graph, weights, who);
  RETURN_IF_ERROR(AddGraph(block.mixture->before, weights, who));
  RETURN_IF_ERROR(EndPart());
  RETURN_IF_ERROR(AddGraph(block.mixture->after, weights, who));
  const std::string routed = StrCat("routed.", index);
  const bool takes_routed =
      std::ranges::any_of(graphs_.back().graph.inputs,
                          [&](const onnx::ValueInfo& input) { return input.name == routed; });
  stage_.more.push_back({.block = index,
                         .experts = ExpertCount(*block.mixture),
                         .takes_routed = takes_routed,
                         .graph = {},
                         .onnx = {}});
  return {};
}

Status StageJoiner::EndPart() {
  std::string name = StrCat("stage.", stage_.first, ".", stage_.last);
  if (parts_ > 0) name += StrCat(".part.", parts_);
  ASSIGN_OR_RETURN(onnx::Model joined, onnx::Join(graphs_, name));
  RETURN_IF_ERROR(BindRotaryTables(pack_.manifest(), stage_, joined));
  ASSIGN_OR_RETURN(joined, InActivations(std::move(joined), variant_.activations));
  ByteVector& onnx = parts_ == 0 ? stage_.onnx : stage_.more.back().onnx;
  Blob& graph = parts_ == 0 ? stage_.graph : stage_.more.back().graph;
  onnx = onnx::Serialize(joined);
  graph = HashBlob(onnx);
  graphs_.clear();
  ++parts_;
  return {};
}

Status StageJoiner::Finish() {
  RETURN_IF_ERROR(EndPart());
  for (const Blob& blob : stage_.weights) stage_.weight_bytes += blob.bytes;
  for (const GeneratedBlob& generated : stage_.generated) {
    stage_.weight_bytes += generated.blob.bytes;
  }
  return {};
}

}  // namespace

Result<StageGraph> JoinStage(const Pack& pack, uint32_t first, uint32_t last, uint32_t positions,
                             const StageVariant& variant, std::span<const uint32_t> divided) {
  const Manifest& manifest = pack.manifest();
  if (first >= last || last > manifest.block_count()) {
    return Fail(Code::kOutOfRange, StrCat("no stage [", first, ", ", last,
                                          "): the blocks are 0 to ", manifest.block_count() - 1));
  }
  if (positions == 0 || positions > manifest.model.positions) {
    return Fail(Code::kOutOfRange, StrCat("no context of ", positions, " positions: the model has ",
                                          manifest.model.positions));
  }
  if (variant.weights >= manifest.variants.size()) {
    return Fail(Code::kOutOfRange, StrCat("no variant ", variant.weights, ": the pack has ",
                                          manifest.variants.size()));
  }
  StageGraph stage;
  stage.first = first;
  stage.last = last;
  stage.positions = positions;
  StageJoiner joiner(pack, variant, stage);
  for (uint32_t index = first; index < last; ++index) {
    const bool is_divided = std::ranges::find(divided, index) != divided.end();
    if (is_divided && !manifest.variants[variant.weights].blocks[index].mixture) {
      return Fail(Code::kOutOfRange, StrCat("block ", index, " has no experts to divide"));
    }
    RETURN_IF_ERROR(joiner.Add(index, is_divided));
  }
  RETURN_IF_ERROR(joiner.Finish());
  return stage;
}

Status VerifyStageWeights(const Pack& pack, const StageGraph& stage) {
  for (const Blob& blob : stage.weights) RETURN_IF_ERROR(pack.VerifyBlob(blob.sha));
  return {};
}

}  // namespace shoal::store
