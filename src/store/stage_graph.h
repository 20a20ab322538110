// Joins the graph of a stage, blocks [first, last), from the blocks' graphs of a pack, for a served
// context length. Rotary tables are made here, as one more blob.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/pack.h"

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

// The type in which a stage computes and keeps its KV caches. Hidden states and logits are float32
// at its borders in either case.
enum class Activations : uint8_t { kF32, kF16 };

// Which of a model's forms a stage is.
struct StageVariant {
  size_t weights = 0;  // Index into Manifest::variants.
  Activations activations = Activations::kF32;
  auto operator<=>(const StageVariant&) const = default;
};

// The index of the pack's variant with these weights ("q4"; empty: the first); kNotFound names
// those that there are.
Result<size_t> FindWeights(const Manifest& manifest, std::string_view weights);

struct StageGraph {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t positions = 0;  // The context it was made for.
  Blob graph;              // Of `onnx`.
  ByteVector onnx;
  std::vector<Blob> weights;             // Blobs of the pack that the graph names, each once.
  std::vector<GeneratedBlob> generated;  // Blobs that it names and that are nowhere else.
  std::vector<KvSlot> kv;                // One per layer, by block.
  uint64_t weight_bytes = 0;             // Of weights and generated together.

  bool takes_tokens() const { return first == 0; }
};

// The graph input that rotated layers read table `index` of the manifest's ropes from; `function`
// is "cos" or "sin". The join makes it an initialiser.
std::string RotaryTableName(std::string_view function, size_t index);

// kOutOfRange unless first < last <= the pack's block_count, 1 <= positions <= the model's and the
// pack has that variant;
// kDataLoss when a block's graph does not have its hash, does not parse, or names weights that the
// manifest does not give it; kUnimplemented where the model is not computed in these activations.
Result<StageGraph> JoinStage(const Pack& pack, uint32_t first, uint32_t last, uint32_t positions,
                             const StageVariant& variant = {});

// What to join for a device that runs float16: kF16 where that loses little and saves something.
// Weights in float32 ask for float32, and Gemma's hidden states pass float16's range.
Activations NarrowestActivations(const Manifest& manifest, size_t weights);

// Reads the stage's weights in the pack and compares their hashes; kDataLoss names a damaged one.
// For whoever runs them straight from the disk: volunteers check what they fetch.
Status VerifyStageWeights(const Pack& pack, const StageGraph& stage);

}  // namespace shoal::store
