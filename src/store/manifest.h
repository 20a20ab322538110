// manifest.json of a pack: what the model is, its blocks and the blobs they need
// (docs/pack-format.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/architecture.h"
#include "store/sha256.h"

namespace shoal::store {

inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr uint64_t kMaxManifestBytes = 256u << 20;

enum class BlockKind : uint8_t { kEmbedding, kLayer, kHead };

// What a layer block caches: for each position `heads` keys and as many values.
struct KvShape {
  uint32_t heads = 0;
  uint32_t head_size = 0;
  bool operator==(const KvShape&) const = default;
};

// Experts [first, first + count) of a mixture layer, which can lie on a device of their own.
struct ExpertGroup {
  Sha256 graph{};    // routed.{b} and routes.{b} to expert_sum.{b}.{group}.
  Sha256 weights{};  // One of the block's blobs, which nothing else reads.
  uint32_t first = 0;
  uint32_t count = 0;
  bool operator==(const ExpertGroup&) const = default;
};

// The graphs of a mixture layer whose experts are elsewhere; the block's graph is their join.
struct MixtureParts {
  Sha256 before{};                  // hidden.{b} to residual.{b}, routed.{b} and routes.{b}.
  Sha256 after{};                   // What all groups give, and the former, to hidden.{b+1}.
  std::vector<ExpertGroup> groups;  // Ascending, without gaps.
  bool operator==(const MixtureParts&) const = default;
};

struct Block {
  uint32_t index = 0;
  BlockKind kind = BlockKind::kLayer;
  Sha256 graph{};
  std::vector<Sha256> weights;  // The blobs that the graph reads, in order of first use.
  std::optional<KvShape> kv;    // Layers.
  std::optional<MixtureParts> mixture;
  std::vector<std::string> ops;  // Sorted; operators outside of ai.onnx as "domain:Name".
  uint64_t params = 0;
  uint64_t flops_per_token = 0;
  uint64_t attention_flops_per_position = 0;
  uint64_t weight_bytes = 0;  // Of the blobs together.
  bool operator==(const Block&) const = default;
};

// One set of weights.
struct Variant {
  std::string weights;        // "f32", "f16"
  std::string activations;    // "f32"
  std::vector<Block> blocks;  // All of them, by index.
  bool operator==(const Variant&) const = default;
};

struct ModelFacts {
  std::string family;
  uint32_t hidden = 0;
  uint32_t layers = 0;
  uint32_t vocab = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_size = 0;
  uint32_t positions = 0;  // Longest context.
  uint64_t params = 0;     // Shared weights counted once.
  bool operator==(const ModelFacts&) const = default;
};

// What a pack was made of: to recognise it again.
struct Origin {
  std::string packer;   // "shoal 0.1.0"
  Sha256 checkpoint{};  // Of the names and bytes of the files that were read.
  bool operator==(const Origin&) const = default;
};

struct Manifest {
  std::string name;
  Origin origin;
  ModelFacts model;
  std::vector<model::Rope> ropes;  // Tables that layers are rotated by; the graphs name them.
  model::GenerationDefaults generation;
  std::vector<Variant> variants;        // At least one.
  std::map<std::string, Sha256> files;  // tokenizer.json, ...: by file name.
  std::map<Sha256, Blob> blobs;         // Everything that blocks and files name.
  bool operator==(const Manifest&) const = default;

  uint32_t block_count() const { return model.layers + 2; }
};

// A manifest as it is read from a pack. `id` is the SHA-256 of what follows the file's first line.
struct IdentifiedManifest {
  Sha256 id{};
  Manifest manifest;
};

// The file's content: a first line with the id, then the fields.
std::string SerializeManifest(const Manifest& manifest);

// Reads and checks every field; blocks must be complete and in order, every hash that is named
// must be among the blobs, every blob have as many chunks as its size asks for. kDataLoss when the
// content does not have its id, kUnimplemented for a newer format.
Result<IdentifiedManifest> ParseManifest(std::string_view text);

}  // namespace shoal::store
