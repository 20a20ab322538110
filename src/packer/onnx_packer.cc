#include "packer/onnx_packer.h"

#include <map>
#include <set>

#include "base/check.h"
#include "base/str_cat.h"
#include "onnx/write.h"
#include "packer/journal.h"
#include "packer/onnx_source.h"
#include "packer/target.h"
#include "partition/partition.h"
#include "store/blob_writer.h"
#include "store/manifest.h"

namespace shoal::packer {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kAlignment = 64;

class OnnxPacking {
 public:
  OnnxPacking(const PackOptions& options, const OnnxSource& source, partition::Partition partition,
              Journal& journal)
      : options_(options), source_(source), partition_(std::move(partition)), journal_(journal) {
    std::set<std::string> counted;
    for (const partition::PartitionBlock& block : partition_.blocks) {
      for (const partition::BlockConstant& constant : block.constants) {
        if (!counted.insert(constant.key).second) continue;
        total_bytes_ += partition_.constants.at(constant.key).bytes();
      }
    }
  }

  Result<PackOutcome> Run(const Job& job, const model::GenerationDefaults& generation,
                          uint32_t positions) {
    RETURN_IF_ERROR(store::RemoveUnfinishedBlobs(options_.pack));
    manifest_.name = job.name;
    manifest_.origin = {job.packer, job.checkpoint};
    manifest_.generation = generation;
    const auto number = [](int64_t value) { return static_cast<uint32_t>(value); };
    manifest_.model = {source_.family,
                       number(partition_.hidden),
                       static_cast<uint32_t>(partition_.layers.size()),
                       number(partition_.vocab),
                       number(partition_.heads),
                       number(partition_.kv_heads),
                       number(partition_.head_size),
                       positions,
                       partition_.params};
    store::Variant variant{std::string(kOnnxWeights), "f32", {}};
    for (uint32_t index = 0; index < partition_.blocks.size(); ++index) {
      ASSIGN_OR_RETURN(store::Block block, PackBlock(index));
      variant.blocks.push_back(std::move(block));
    }
    manifest_.variants.push_back(std::move(variant));
    for (const auto& [name, content] : source_.files) {
      ASSIGN_OR_RETURN(const store::Blob blob, store::WriteBlob(options_.pack, AsBytes(content)));
      Keep(blob);
      manifest_.files[name] = blob.sha;
    }
    return Publish();
  }

 private:
  void Keep(const store::Blob& blob) { manifest_.blobs[blob.sha] = blob; }

  // Constants one after the other in one blob; their ranges are noted.
  Result<store::Blob> WriteConstants(const std::string& key, const std::vector<std::string>& keys) {
    uint64_t offset = 0;
    for (const std::string& constant : keys) {
      offset = (offset + kAlignment - 1) / kAlignment * kAlignment;
      const uint64_t bytes = partition_.constants.at(constant).bytes();
      ranges_[constant] = {"", offset, bytes};
      offset += bytes;
    }
    const store::Blob* known = journal_.Find(key);
    std::error_code error;
    if (known != nullptr &&
        fs::file_size(store::BlobPath(options_.pack, known->sha), error) == offset && !error) {
      ++outcome_.blobs_reused;
      done_bytes_ += offset;
      return Located(*known, keys);
    }
    ASSIGN_OR_RETURN(store::BlobWriter writer, store::BlobWriter::Create(options_.pack));
    for (const std::string& constant : keys) {
      RETURN_IF_ERROR(writer.Align(kAlignment));
      ASSIGN_OR_RETURN(const ByteVector bytes, partition_.constants.at(constant).make());
      if (bytes.size() != ranges_.at(constant).length) {
        return Fail(Code::kInternal, StrCat("\"", constant, "\" came out with ", bytes.size(),
                                            " bytes, not ", ranges_.at(constant).length));
      }
      RETURN_IF_ERROR(writer.Write(bytes));
      done_bytes_ += bytes.size();
      if (!options_.progress({"packing", done_bytes_, total_bytes_})) {
        return Fail(Code::kCancelled, "packing was stopped; the same command goes on from here");
      }
    }
    ASSIGN_OR_RETURN(const store::Blob blob, writer.Finish());
    RETURN_IF_ERROR(journal_.Add(key, blob));
    return Located(blob, keys);
  }

  store::Blob Located(const store::Blob& blob, const std::vector<std::string>& keys) {
    for (const std::string& constant : keys) ranges_[constant].location = store::Hex(blob.sha);
    Keep(blob);
    return blob;
  }

  Result<store::Block> PackBlock(uint32_t index) {
    partition::PartitionBlock& made = partition_.blocks[index];
    store::Block block;
    block.index = index;
    const auto layers = static_cast<uint32_t>(partition_.layers.size());
    block.kind = index == 0        ? store::BlockKind::kEmbedding
                 : index <= layers ? store::BlockKind::kLayer
                                   : store::BlockKind::kHead;
    if (block.kind == store::BlockKind::kLayer) {
      const partition::LayerCache& layer = partition_.layers[index - 1];
      block.kv =
          store::KvShape{static_cast<uint32_t>(layer.heads), static_cast<uint32_t>(layer.size)};
    }
    std::vector<std::string> own;
    for (const partition::BlockConstant& constant : made.constants) {
      if (!constant.shared) {
        own.push_back(constant.key);
        continue;
      }
      if (!shared_.contains(constant.key)) {
        ASSIGN_OR_RETURN(shared_[constant.key],
                         WriteConstants(StrCat("shared.", constant.key), {constant.key}));
      }
      AddBlob(shared_.at(constant.key), block);
    }
    if (!own.empty()) {
      ASSIGN_OR_RETURN(const store::Blob blob, WriteConstants(StrCat("block.", index), own));
      AddBlob(blob, block);
    }
    for (onnx::Tensor& tensor : made.model.graph.initializers) {
      if (!tensor.external) continue;
      for (const partition::BlockConstant& constant : made.constants) {
        if (constant.initializer == tensor.name) tensor.external = ranges_.at(constant.key);
      }
    }
    ASSIGN_OR_RETURN(const store::Blob graph,
                     store::WriteBlob(options_.pack, onnx::Serialize(made.model)));
    Keep(graph);
    block.graph = graph.sha;
    std::set<std::string> ops;
    for (const onnx::Node& node : made.model.graph.nodes) {
      ops.insert(node.domain.empty() ? node.op_type : StrCat(node.domain, ":", node.op_type));
    }
    block.ops.assign(ops.begin(), ops.end());
    block.params = made.params;
    block.flops_per_token = made.flops_per_token;
    block.attention_flops_per_position = made.attention_flops_per_position;
    return block;
  }

  static void AddBlob(const store::Blob& blob, store::Block& block) {
    block.weights.push_back(blob.sha);
    block.weight_bytes += blob.bytes;
  }

  Result<PackOutcome> Publish() {
    const std::string text = store::SerializeManifest(manifest_);
    auto read = store::ParseManifest(text);
    if (!read) return FailWithContext(std::move(read).error(), "the model does not fit a pack");
    CHECK(read->manifest == manifest_);
    RETURN_IF_ERROR(
        model::WriteFileAtomically(options_.pack / store::kManifestFile, AsBytes(text)));
    RETURN_IF_ERROR(journal_.Remove());
    outcome_.id = read->id;
    return outcome_;
  }

  const PackOptions& options_;
  const OnnxSource& source_;
  partition::Partition partition_;
  Journal& journal_;
  std::map<std::string, onnx::ExternalData> ranges_;  // By constant.
  std::map<std::string, store::Blob> shared_;
  store::Manifest manifest_;
  PackOutcome outcome_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

Result<uint32_t> ContextOf(const PackOptions& options, const OnnxSource& source) {
  if (options.context == 0 && source.positions == 0) {
    return Fail(Code::kInvalidArgument,
                "no config.json or genai_config.json beside the model says how long its context "
                "is; --context N does");
  }
  if (options.context == 0) return source.positions;
  return source.positions == 0 ? options.context : std::min(options.context, source.positions);
}

}  // namespace

bool IsOnnx(const fs::path& path) { return path.extension() == ".onnx"; }

Result<PackOutcome> PackOnnx(const PackOptions& options) {
  if (!options.weights.empty()) {
    return Fail(Code::kInvalidArgument,
                "the weights of an ONNX model stay as they are: leave --weights out");
  }
  RETURN_IF_ERROR(CheckTarget(options));
  ASSIGN_OR_RETURN(OnnxSource source, OpenOnnx(options.checkpoint));
  ASSIGN_OR_RETURN(const uint32_t positions, ContextOf(options, source));
  Job job;
  job.weights = kOnnxWeights;
  job.packer = kPackerVersion;
  job.name = options.name.empty()
                 ? fs::absolute(options.checkpoint).parent_path().filename().string()
                 : options.name;
  ASSIGN_OR_RETURN(job.checkpoint, Fingerprint(source, options.progress));
  ASSIGN_OR_RETURN(std::optional<PackOutcome> existing, FindExisting(options, job));
  if (existing) return *existing;
  ASSIGN_OR_RETURN(partition::Partition partition,
                   partition::Divide(source.model, source.bytes(), positions));
  const auto generation_file = source.files.find("generation_config.json");
  ASSIGN_OR_RETURN(
      const model::GenerationDefaults generation,
      model::ParseGenerationDefaults(
          source.config_json, generation_file != source.files.end() ? generation_file->second : "",
          static_cast<uint32_t>(partition.vocab)));
  ASSIGN_OR_RETURN(Journal journal, PrepareTarget(options, job));
  return OnnxPacking(options, source, std::move(partition), journal)
      .Run(job, generation, positions);
}

}  // namespace shoal::packer
