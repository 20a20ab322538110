#include "store/stage_graph.h"

#include <algorithm>
#include <cstring>

#include "base/str_cat.h"
#include "model/rope.h"
#include "onnx/join.h"
#include "onnx/model.h"
#include "onnx/narrow.h"
#include "onnx/read.h"
#include "onnx/write.h"

namespace shoal::store {

namespace {

constexpr uint64_t kTensorAlignment = 64;
constexpr uint64_t kMaxTableBytes = uint64_t{1} << 32;

// A block's graph, verified and parsed; every weight it names lies within one of its blobs.
Result<onnx::Model> ReadBlockGraph(const Pack& pack, const Block& block) {
  const std::string who = StrCat("block ", block.index);
  ASSIGN_OR_RETURN(const model::MappedFile file, pack.MapBlob(block.graph));
  if (HashBytes(file.bytes()) != block.graph) {
    return Fail(Code::kDataLoss, StrCat(who, ": the graph does not have the hash it is named by"));
  }
  auto model = onnx::Parse(file.bytes());
  if (!model) return FailWithContext(std::move(model).error(), who);
  for (const onnx::Tensor& tensor : model->graph.initializers) {
    if (!tensor.external) continue;
    const auto blob = std::ranges::find_if(
        block.weights, [&](const Sha256& sha) { return Hex(sha) == tensor.external->location; });
    const uint64_t bytes = blob != block.weights.end() ? pack.FindBlob(*blob)->bytes : 0;
    if (blob == block.weights.end() || tensor.external->offset > bytes ||
        tensor.external->length > bytes - tensor.external->offset) {
      return Fail(Code::kDataLoss, StrCat(who, ": weight \"", tensor.name,
                                          "\" does not lie in a blob of the block"));
    }
  }
  return std::move(*model);
}

// [positions, dims / 2] cosines, then, aligned, as many sines.
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
    const uint32_t half = rope.dims / 2;
    if (uint64_t{stage.positions} * half * 2 * sizeof(float) > kMaxTableBytes) {
      return Fail(Code::kResourceExhausted,
                  StrCat("rotary tables for ", stage.positions, " positions pass 4 GiB"));
    }
    cos.dims = sin.dims = {stage.positions, half};
    stage.generated.push_back(MakeRotaryBlob(rope, stage.positions, *cos.external, *sin.external));
    RETURN_IF_ERROR(onnx::BindInput(model, std::move(cos)));
    RETURN_IF_ERROR(onnx::BindInput(model, std::move(sin)));
  }
  return {};
}

}  // namespace

std::string RotaryTableName(std::string_view function, size_t index) {
  return index == 0 ? StrCat(function, "_cache") : StrCat(function, "_cache.", index);
}

Result<size_t> FindWeights(const Manifest& manifest, std::string_view weights) {
  if (weights.empty()) return size_t{0};
  std::string names;
  for (size_t i = 0; i < manifest.variants.size(); ++i) {
    if (manifest.variants[i].weights == weights) return i;
    names += StrCat(names.empty() ? "" : ", ", manifest.variants[i].weights);
  }
  return Fail(Code::kNotFound, StrCat("the pack has no ", weights, " weights; it has ", names));
}

Activations NarrowestActivations(const Manifest& manifest, size_t weights) {
  const bool wide = manifest.variants[weights].weights == "f32" ||
                    std::string_view(manifest.model.family).starts_with("gemma");
  return wide ? Activations::kF32 : Activations::kF16;
}

Result<StageGraph> JoinStage(const Pack& pack, uint32_t first, uint32_t last, uint32_t positions,
                             const StageVariant& variant) {
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
  std::vector<onnx::Model> graphs;
  for (uint32_t index = first; index < last; ++index) {
    const Block& block = manifest.variants[variant.weights].blocks[index];
    ASSIGN_OR_RETURN(onnx::Model graph, ReadBlockGraph(pack, block));
    graphs.push_back(std::move(graph));
    for (const Sha256& sha : block.weights) {
      const auto same = [&](const Blob& blob) { return blob.sha == sha; };
      if (std::ranges::none_of(stage.weights, same)) stage.weights.push_back(*pack.FindBlob(sha));
    }
    if (block.kv) stage.kv.push_back({index, block.kv->heads, block.kv->head_size});
  }
  ASSIGN_OR_RETURN(onnx::Model joined, onnx::Join(graphs, StrCat("stage.", first, ".", last)));
  RETURN_IF_ERROR(BindRotaryTables(manifest, stage, joined));
  if (variant.activations == Activations::kF16) {
    const auto is_cache = [](std::string_view name) {
      return name.starts_with("past.") || name.starts_with("present.");
    };
    ASSIGN_OR_RETURN(
        joined, onnx::NarrowToF16(joined, [&](std::string_view name) { return !is_cache(name); }));
  }
  stage.onnx = onnx::Serialize(joined);
  stage.graph = HashBlob(stage.onnx);
  for (const Blob& blob : stage.weights) stage.weight_bytes += blob.bytes;
  for (const GeneratedBlob& generated : stage.generated) {
    stage.weight_bytes += generated.blob.bytes;
  }
  return stage;
}

Status VerifyStageWeights(const Pack& pack, const StageGraph& stage) {
  for (const Blob& blob : stage.weights) RETURN_IF_ERROR(pack.VerifyBlob(blob.sha));
  return {};
}

}  // namespace shoal::store
