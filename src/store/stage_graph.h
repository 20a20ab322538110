// Joins the graph of a stage, blocks [first, last), from the blocks' graphs of a pack, for a served
// context length. Rotary tables are made here, as one more blob.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/pack.h"
#include "store/stage_variant.h"

namespace shoal::store {

// The KV cache of one layer block: the graph's values `past.{block}.key` and so on.
struct KvSlot {
  uint32_t block = 0;
  uint32_t heads = 0;
  uint32_t head_size = 0;
  bool operator==(const KvSlot&) const = default;
};

struct GeneratedBlob {
  Blob blob;
  ByteVector bytes;
};

// What follows the experts of a layer that lie elsewhere: from residual.{block}, routed.{block}
// where `takes_routed`, and expert_sum.{block} on. What comes before it gives residual.{block},
// routed.{block} and routes.{block}.
struct StagePart {
  uint32_t block = 0;
  uint32_t experts = 0;  // What routes.{block} is wide.
  bool takes_routed = false;
  Blob graph;  // Of `onnx`.
  ByteVector onnx;
};

struct StageGraph {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t positions = 0;  // The context it was made for.
  Blob graph;              // Of `onnx`.
  ByteVector onnx;
  std::vector<StagePart> more;           // One for each divided layer, in order.
  std::vector<Blob> weights;             // Blobs of the pack that the graphs name, each once.
  std::vector<GeneratedBlob> generated;  // Blobs that it names and that are nowhere else.
  std::vector<KvSlot> kv;                // One per layer, by block.
  uint64_t weight_bytes = 0;             // Of weights and generated together.

  bool takes_tokens() const { return first == 0; }
};

// The graph input that rotated layers read table `index` of the manifest's ropes from; `function`
// is "cos" or "sin". The join makes it an initialiser.
std::string RotaryTableName(std::string_view function, size_t index);

// Layers in `divided` are joined without their experts, which cuts the stage into parts.
// kOutOfRange unless first < last <= the pack's block_count, 1 <= positions <= the model's, the
// pack has that variant, and divided layers have experts;
// kDataLoss when a block's graph does not have its hash, does not parse, or names weights that the
// manifest does not give it; kUnimplemented where the model is not computed in these activations.
Result<StageGraph> JoinStage(const Pack& pack, uint32_t first, uint32_t last, uint32_t positions,
                             const StageVariant& variant = {},
                             std::span<const uint32_t> divided = {});

// Reads the stage's weights in the pack and compares their hashes; kDataLoss names a damaged one.
// For whoever runs them straight from the disk: volunteers check what they fetch.
Status VerifyStageWeights(const Pack& pack, const StageGraph& stage);

}  // namespace shoal::store
