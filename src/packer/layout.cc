#include "packer/layout.h"

#include "base/str_cat.h"

namespace shoal::packer {

namespace {

// Appends a weight to the blob; its initialisers are called `name` and a suffix.
void Append(LaidOutBlob& blob, const model::WeightSpec& spec, model::WeightKind stored_as,
            const std::string& name, const TensorFormat& format) {
  PlacedWeight weight{spec, stored_as, &format, {}};
  for (const StoredPart& part : format.Parts(stored_as, spec.shape)) {
    blob.bytes = (blob.bytes + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
    onnx::Tensor tensor;
    tensor.name = name + part.suffix;
    tensor.type = part.type;
    tensor.dims = part.dims;
    tensor.external = onnx::ExternalData{{}, blob.bytes, part.bytes()};
    blob.bytes += part.bytes();
    weight.parts.push_back(std::move(tensor));
  }
  blob.weights.push_back(std::move(weight));
}

}  // namespace

store::ModelFacts FactsOf(const model::Architecture& arch) {
  return {.family = arch.family,
          .hidden = arch.hidden,
          .layers = arch.layers,
          .vocab = arch.vocab,
          .heads = arch.attention.heads,
          .kv_heads = arch.attention.kv_heads,
          .head_size = arch.attention.head_size,
          .positions = arch.positions,
          .params = model::TotalParams(arch)};
}

store::Block BlockFacts(const model::Architecture& arch, uint32_t index) {
  store::Block block;
  block.index = index;
  block.kind = index == 0            ? store::BlockKind::kEmbedding
               : arch.IsLayer(index) ? store::BlockKind::kLayer
                                     : store::BlockKind::kHead;
  if (arch.IsLayer(index)) {
    block.kv = store::KvShape{arch.attention.kv_heads, arch.HeadLayoutOf(index).size};
  }
  const model::BlockCosts costs = model::CostsOf(arch, index);
  block.params = costs.params;
  block.flops_per_token = costs.flops_per_token;
  block.attention_flops_per_position = costs.attention_flops_per_position;
  return block;
}

std::vector<LaidOutBlob> LayOut(const model::Architecture& arch, const Recipe& recipe) {
  std::vector<LaidOutBlob> blobs;
  if (arch.tied) {
    LaidOutBlob shared{"shared", {}, {0, arch.layers + 1}, 0};
    const model::WeightSpec table = model::BlockWeights(arch, 0).front();
    Append(shared, table, model::WeightKind::kMatrix, "shared.table", recipe.FormatOf(arch, table));
    blobs.push_back(std::move(shared));
  }
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    LaidOutBlob blob{StrCat("block.", block), {}, {block}, 0};
    std::vector<LaidOutBlob> groups;  // Of experts.
    for (const model::WeightSpec& spec : model::BlockWeights(arch, block)) {
      if (arch.tied && (spec.role == "table" || spec.role == "head")) continue;
      if (spec.expert_group && *spec.expert_group == groups.size()) {
        groups.push_back({StrCat(blob.key, ".experts.", groups.size()), {}, {block}, 0});
      }
      LaidOutBlob& target = spec.expert_group ? groups[*spec.expert_group] : blob;
      Append(target, spec, spec.kind, StrCat(blob.key, ".", spec.role),
             recipe.FormatOf(arch, spec));
    }
    if (!blob.weights.empty()) blobs.push_back(std::move(blob));
    for (LaidOutBlob& experts : groups) blobs.push_back(std::move(experts));
  }
  return blobs;
}

}  // namespace shoal::packer
