#include <algorithm>

#include "base/str_cat.h"
#include "model/json.h"
#include "store/manifest.h"
#include "store/manifest_names.h"

namespace shoal::store {

namespace {

using model::JsonObject;

constexpr size_t kMaxVariants = 16;
constexpr size_t kMaxBlobsPerBlock = 4096;
constexpr size_t kMaxOps = 256;
constexpr size_t kMaxRopes = 16;
constexpr size_t kMaxChunks = 1u << 20;
constexpr uint64_t kMaxCount = uint64_t{1} << 60;  // Parameters, bytes, operations.

Result<Sha256> ReadSha(const JsonObject& object, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, object.Text(name, 64));
  auto sha = ParseSha256(text);
  if (!sha) return FailWithContext(std::move(sha).error(), StrCat(object.where(), ": ", name));
  return *sha;
}

Result<std::vector<Sha256>> ReadShas(const JsonObject& object, std::string_view name,
                                     size_t max_count) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, object.Texts(name, max_count));
  std::vector<Sha256> hashes;
  for (const std::string& text : texts) {
    auto sha = ParseSha256(text);
    if (!sha) return FailWithContext(std::move(sha).error(), StrCat(object.where(), ": ", name));
    hashes.push_back(*sha);
  }
  return hashes;
}

Result<ModelFacts> ReadModel(const JsonObject& object) {
  ModelFacts facts;
  ASSIGN_OR_RETURN(facts.family, object.Text("family", 64));
  ASSIGN_OR_RETURN(facts.hidden, object.Uint("hidden", 1, model::kMaxWidth));
  ASSIGN_OR_RETURN(facts.layers, object.Uint("layers", 1, model::kMaxLayers));
  ASSIGN_OR_RETURN(facts.vocab, object.Uint("vocab", 1, model::kMaxVocab));
  ASSIGN_OR_RETURN(facts.heads, object.Uint("heads", 1, model::kMaxWidth));
  ASSIGN_OR_RETURN(facts.kv_heads, object.Uint("kv_heads", 1, facts.heads));
  ASSIGN_OR_RETURN(facts.head_size, object.Uint("head_size", 1, 1024));
  ASSIGN_OR_RETURN(facts.positions, object.Uint("positions", 1, model::kMaxPositions));
  ASSIGN_OR_RETURN(facts.params, object.Uint("params", 1, kMaxCount));
  return facts;
}

Result<model::Rope> ReadRopeFields(const JsonObject& object) {
  model::Rope rope;
  ASSIGN_OR_RETURN(const std::string scaling, object.Text("scaling", 64));
  ASSIGN_OR_RETURN(rope.scaling, model::ParseRopeScaling(scaling));
  ASSIGN_OR_RETURN(rope.theta, object.Number("theta", 1.0001, 1e12));
  ASSIGN_OR_RETURN(rope.dims, object.Uint("dims", 2, 4096));
  if (rope.dims % 2 != 0) return object.Wrong("dims", "expected an even number");
  ASSIGN_OR_RETURN(rope.factor, object.Number("factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.original_positions,
                   object.Uint("original_positions", 0, model::kMaxPositions));
  ASSIGN_OR_RETURN(rope.low_frequency_factor, object.Number("low_frequency_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.high_frequency_factor, object.Number("high_frequency_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.beta_fast, object.Number("beta_fast", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.beta_slow, object.Number("beta_slow", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.truncate, object.Bool("truncate"));
  ASSIGN_OR_RETURN(rope.magnitude, object.Number("magnitude", 1e-6, 1e6));
  const bool stretched =
      rope.scaling != model::RopeScaling::kNone && rope.scaling != model::RopeScaling::kLinear;
  if (stretched && rope.original_positions == 0) {
    return object.Wrong("original_positions", "expected more than 0");
  }
  if (rope.high_frequency_factor <= rope.low_frequency_factor) {
    return object.Wrong("high_frequency_factor", "expected more than low_frequency_factor");
  }
  if (rope.scaling == model::RopeScaling::kLongRope) {
    ASSIGN_OR_RETURN(rope.short_factors, object.Numbers("short_factors", 1e-6, 1e6, rope.dims / 2));
    ASSIGN_OR_RETURN(rope.long_factors, object.Numbers("long_factors", 1e-6, 1e6, rope.dims / 2));
  }
  return rope;
}

Result<model::GenerationDefaults> ReadGeneration(const JsonObject& object, uint32_t vocab) {
  model::GenerationDefaults generation;
  if (object.Has("bos_id")) {
    ASSIGN_OR_RETURN(generation.bos_id, object.Uint("bos_id", 0, vocab - 1));
  }
  ASSIGN_OR_RETURN(const std::vector<uint64_t> eos, object.Uints("eos_ids", vocab - 1, 64));
  generation.eos_ids.assign(eos.begin(), eos.end());
  ASSIGN_OR_RETURN(generation.sample, object.Bool("sample"));
  ASSIGN_OR_RETURN(generation.temperature, object.Number("temperature", 0, 100));
  ASSIGN_OR_RETURN(generation.top_p, object.Number("top_p", 0, 1));
  ASSIGN_OR_RETURN(generation.top_k, object.Uint("top_k", 0, model::kMaxVocab));
  ASSIGN_OR_RETURN(generation.repetition_penalty, object.Number("repetition_penalty", 1e-3, 100));
  return generation;
}

Result<MixtureParts> ReadMixture(const JsonObject& object) {
  MixtureParts mixture;
  ASSIGN_OR_RETURN(mixture.before, ReadSha(object, "before"));
  ASSIGN_OR_RETURN(mixture.after, ReadSha(object, "after"));
  ASSIGN_OR_RETURN(const std::vector<JsonObject> groups,
                   object.Objects("groups", model::kMaxExperts));
  if (groups.empty()) return object.Wrong("groups", "expected at least one");
  uint32_t next = 0;
  for (const JsonObject& entry : groups) {
    ExpertGroup group;
    ASSIGN_OR_RETURN(group.graph, ReadSha(entry, "graph"));
    ASSIGN_OR_RETURN(group.weights, ReadSha(entry, "weights"));
    ASSIGN_OR_RETURN(group.first, entry.Uint("first", next, next));
    ASSIGN_OR_RETURN(group.count, entry.Uint("count", 1, model::kMaxExperts));
    next = group.first + group.count;
    mixture.groups.push_back(group);
  }
  return mixture;
}

Result<Block> ReadBlock(const JsonObject& object, uint32_t index, const ModelFacts& facts) {
  Block block;
  block.kind = index == 0              ? BlockKind::kEmbedding
               : index <= facts.layers ? BlockKind::kLayer
                                       : BlockKind::kHead;
  ASSIGN_OR_RETURN(block.index, object.Uint("index", index, index));
  ASSIGN_OR_RETURN(const std::string kind, object.Text("kind", 64));
  if (kind != BlockKindName(block.kind)) {
    return object.Wrong("kind", StrCat("expected \"", BlockKindName(block.kind), "\" for block ",
                                       index, ", found \"", kind, "\""));
  }
  ASSIGN_OR_RETURN(block.graph, ReadSha(object, "graph"));
  ASSIGN_OR_RETURN(block.weights, ReadShas(object, "weights", kMaxBlobsPerBlock));
  if (object.Has("kv") != (block.kind == BlockKind::kLayer)) {
    return object.Wrong("kv", "expected in layers and nowhere else");
  }
  if (block.kind == BlockKind::kLayer) {
    ASSIGN_OR_RETURN(const JsonObject kv, object.Object("kv"));
    block.kv.emplace();
    ASSIGN_OR_RETURN(block.kv->heads, kv.Uint("heads", 1, model::kMaxWidth));
    ASSIGN_OR_RETURN(block.kv->head_size, kv.Uint("head_size", 1, 4096));
  }
  if (object.Has("mixture")) {
    if (block.kind != BlockKind::kLayer) return object.Wrong("mixture", "expected in layers only");
    ASSIGN_OR_RETURN(const JsonObject mixture, object.Object("mixture"));
    ASSIGN_OR_RETURN(block.mixture, ReadMixture(mixture));
  }
  ASSIGN_OR_RETURN(block.ops, object.Texts("ops", kMaxOps));
  ASSIGN_OR_RETURN(block.params, object.Uint("params", 0, kMaxCount));
  ASSIGN_OR_RETURN(block.flops_per_token, object.Uint("flops_per_token", 0, kMaxCount));
  ASSIGN_OR_RETURN(block.attention_flops_per_position,
                   object.Uint("attention_flops_per_position", 0, kMaxCount));
  ASSIGN_OR_RETURN(block.weight_bytes, object.Uint("weight_bytes", 0, kMaxCount));
  return block;
}

Result<Variant> ReadVariant(const JsonObject& object, const ModelFacts& facts) {
  Variant variant;
  ASSIGN_OR_RETURN(variant.weights, object.Text("weights", 64));
  ASSIGN_OR_RETURN(variant.activations, object.Text("activations", 64));
  ASSIGN_OR_RETURN(const std::vector<JsonObject> blocks,
                   object.Objects("blocks", facts.layers + 2));
  if (blocks.size() != facts.layers + 2) {
    return object.Wrong("blocks",
                        StrCat("expected ", facts.layers + 2, " blocks, found ", blocks.size()));
  }
  for (const JsonObject& entry : blocks) {
    const auto index = static_cast<uint32_t>(variant.blocks.size());
    ASSIGN_OR_RETURN(Block block, ReadBlock(entry, index, facts));
    variant.blocks.push_back(std::move(block));
  }
  return variant;
}

Status ReadBlobs(const JsonObject& object, std::map<Sha256, Blob>& blobs) {
  for (const auto& [key, unused] : object.object()) {
    const std::string_view name(key.data(), key.size());
    Blob blob;
    auto sha = ParseSha256(name);
    if (!sha) return FailWithContext(std::move(sha).error(), object.where());
    blob.sha = *sha;
    ASSIGN_OR_RETURN(const JsonObject entry, object.Object(name));
    ASSIGN_OR_RETURN(blob.bytes, entry.Uint("bytes", 0, kMaxChunks * kChunkBytes));
    ASSIGN_OR_RETURN(blob.chunks, ReadShas(entry, "chunks", kMaxChunks));
    const uint64_t expected = (blob.bytes + kChunkBytes - 1) / kChunkBytes;
    if (blob.chunks.size() != expected) {
      return entry.Wrong("chunks", StrCat("expected ", expected, " for ", blob.bytes,
                                          " bytes, found ", blob.chunks.size()));
    }
    blobs.emplace(blob.sha, std::move(blob));
  }
  return {};
}

Status ReadFiles(const JsonObject& object, std::map<std::string, Sha256>& files) {
  for (const auto& [key, unused] : object.object()) {
    const std::string name(key.data(), key.size());
    if (name.empty() || name.size() > 255 || name.starts_with('.') ||
        name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      return object.Wrong(name.substr(0, 80), "is not a plain file name");
    }
    ASSIGN_OR_RETURN(files[name], ReadSha(object, name));
  }
  return {};
}

// Every hash that is named is among the blobs; what blocks say of their blobs' sizes is so.
Status CheckReferences(const Manifest& manifest) {
  const auto need = [&](const Sha256& sha, std::string_view who) -> Result<const Blob*> {
    const auto found = manifest.blobs.find(sha);
    if (found != manifest.blobs.end()) return &found->second;
    return Fail(Code::kInvalidArgument, StrCat(kManifestFile, ": ", who, " needs blob ", Hex(sha),
                                               ", which is not in the list of blobs"));
  };
  for (const auto& [name, sha] : manifest.files) RETURN_IF_ERROR(need(sha, name));
  for (const Variant& variant : manifest.variants) {
    for (const Block& block : variant.blocks) {
      const std::string who = StrCat("block ", block.index);
      RETURN_IF_ERROR(need(block.graph, who));
      if (block.mixture) {
        RETURN_IF_ERROR(need(block.mixture->before, who));
        RETURN_IF_ERROR(need(block.mixture->after, who));
        for (const ExpertGroup& group : block.mixture->groups) {
          RETURN_IF_ERROR(need(group.graph, who));
          if (std::ranges::find(block.weights, group.weights) != block.weights.end()) continue;
          return Fail(Code::kInvalidArgument,
                      StrCat(kManifestFile, ": ", who, ": the weights of the experts from ",
                             group.first, " on are not among the block's"));
        }
      }
      uint64_t bytes = 0;
      for (const Sha256& sha : block.weights) {
        ASSIGN_OR_RETURN(const Blob* blob, need(sha, who));
        bytes += blob->bytes;
      }
      if (bytes != block.weight_bytes) {
        return Fail(Code::kInvalidArgument, StrCat(kManifestFile, ": ", who, ": weight_bytes is ",
                                                   block.weight_bytes, ", its blobs have ", bytes));
      }
    }
  }
  return {};
}

// The id of the first line, after checking that the rest has it.
Result<Sha256> ReadId(std::string_view text) {
  const size_t head_bytes = kManifestIdPrefix.size() + 64;
  if (!text.starts_with(kManifestIdPrefix) ||
      !text.substr(std::min(head_bytes, text.size())).starts_with(kManifestIdSuffix)) {
    return Fail(
        Code::kInvalidArgument,
        StrCat(kManifestFile, ": not a pack's manifest: its first line should hold the id"));
  }
  auto id = ParseSha256(text.substr(kManifestIdPrefix.size(), 64));
  if (!id) return FailWithContext(std::move(id).error(), StrCat(kManifestFile, ": id"));
  if (HashBytes(AsBytes(text.substr(head_bytes + kManifestIdSuffix.size()))) != *id) {
    return Fail(Code::kDataLoss, StrCat(kManifestFile,
                                        ": its content does not have the id that its first line "
                                        "says: it was damaged or edited"));
  }
  return *id;
}

}  // namespace

Result<IdentifiedManifest> ParseManifest(std::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(kManifestFile, ": ", text.size(), " bytes; at most ", kMaxManifestBytes));
  }
  IdentifiedManifest result;
  ASSIGN_OR_RETURN(result.id, ReadId(text));
  ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(text, kManifestFile));
  ASSIGN_OR_RETURN(const JsonObject root, JsonObject::From(value, std::string(kManifestFile)));
  ASSIGN_OR_RETURN(const std::string format, root.Text("format", 64));
  if (format != kManifestFormat) {
    return root.Wrong("format", StrCat("expected \"", kManifestFormat, "\""));
  }
  ASSIGN_OR_RETURN(const uint64_t version, root.Uint("version", 1, UINT32_MAX));
  if (version > kManifestVersion) {
    return Fail(Code::kUnimplemented, StrCat(kManifestFile, ": format version ", version,
                                             "; this program reads up to ", kManifestVersion));
  }
  Manifest& manifest = result.manifest;
  ASSIGN_OR_RETURN(manifest.name, root.Text("name", 256));
  ASSIGN_OR_RETURN(const JsonObject origin, root.Object("origin"));
  ASSIGN_OR_RETURN(manifest.origin.packer, origin.Text("packer", 256));
  ASSIGN_OR_RETURN(manifest.origin.checkpoint, ReadSha(origin, "checkpoint"));
  ASSIGN_OR_RETURN(const JsonObject facts, root.Object("model"));
  ASSIGN_OR_RETURN(manifest.model, ReadModel(facts));
  ASSIGN_OR_RETURN(const std::vector<JsonObject> ropes, root.Objects("rope", kMaxRopes));
  for (const JsonObject& entry : ropes) {
    ASSIGN_OR_RETURN(model::Rope rope, ReadRopeFields(entry));
    manifest.ropes.push_back(std::move(rope));
  }
  ASSIGN_OR_RETURN(const JsonObject generation, root.Object("generation"));
  ASSIGN_OR_RETURN(manifest.generation, ReadGeneration(generation, manifest.model.vocab));
  ASSIGN_OR_RETURN(const JsonObject files, root.Object("files"));
  RETURN_IF_ERROR(ReadFiles(files, manifest.files));
  ASSIGN_OR_RETURN(const JsonObject blobs, root.Object("blobs"));
  RETURN_IF_ERROR(ReadBlobs(blobs, manifest.blobs));
  ASSIGN_OR_RETURN(const std::vector<JsonObject> variants, root.Objects("variants", kMaxVariants));
  if (variants.empty()) return root.Wrong("variants", "expected at least one");
  for (const JsonObject& entry : variants) {
    ASSIGN_OR_RETURN(Variant variant, ReadVariant(entry, manifest.model));
    manifest.variants.push_back(std::move(variant));
  }
  RETURN_IF_ERROR(CheckReferences(manifest));
  return result;
}

}  // namespace shoal::store
