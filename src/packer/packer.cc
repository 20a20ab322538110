#include "packer/packer.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "model/weights.h"
#include "onnx/check.h"
#include "onnx/write.h"
#include "packer/block_graph.h"
#include "packer/journal.h"
#include "packer/layout.h"
#include "packer/recipe.h"
#include "packer/source.h"
#include "packer/target.h"
#include "store/blob_writer.h"
#include "store/manifest.h"

namespace shoal::packer {

namespace fs = std::filesystem;

namespace {

// One run over one checkpoint into one folder that is ready for it.
class Packing {
 public:
  Packing(const PackOptions& options, const Source& source, std::span<const Recipe> recipes,
          const Job& job, Journal& journal)
      : options_(options),
        source_(source),
        arch_(source.checkpoint.architecture()),
        job_(job),
        journal_(journal) {
    for (const Recipe& recipe : recipes) {
      plans_.push_back({recipe.name(), LayOut(arch_, recipe), {}});
      for (const LaidOutBlob& blob : plans_.back().layout) total_bytes_ += blob.bytes;
    }
  }

  Result<PackOutcome> Run() {
    RETURN_IF_ERROR(store::RemoveUnfinishedBlobs(options_.pack));
    FillFacts();
    for (VariantPlan& plan : plans_) {
      RETURN_IF_ERROR(WriteWeights(plan));
      store::Variant variant{std::string(plan.weights), "f32", {}};
      for (uint32_t index = 0; index < arch_.block_count(); ++index) {
        ASSIGN_OR_RETURN(store::Block block, PackBlock(plan, index));
        variant.blocks.push_back(std::move(block));
      }
      manifest_.variants.push_back(std::move(variant));
    }
    for (const auto& [name, content] : source_.files) {
      ASSIGN_OR_RETURN(const store::Blob blob, store::WriteBlob(options_.pack, AsBytes(content)));
      Keep(blob);
      manifest_.files[name] = blob.sha;
    }
    return Publish();
  }

 private:
  // One set of weights: where each goes, and as which blob it has been written.
  struct VariantPlan {
    std::string_view weights;  // The recipe's name.
    std::vector<LaidOutBlob> layout;
    std::map<std::string, store::Sha256> blob_of_key;
  };

  void Keep(const store::Blob& blob) { manifest_.blobs[blob.sha] = blob; }

  Status WriteWeights(VariantPlan& plan) {
    for (LaidOutBlob& laid_out : plan.layout) {
      ASSIGN_OR_RETURN(const store::Blob blob,
                       FindOrWrite(StrCat(plan.weights, ".", laid_out.key), laid_out));
      Keep(blob);
      plan.blob_of_key[laid_out.key] = blob.sha;
      for (PlacedWeight& weight : laid_out.weights) {
        for (onnx::Tensor& part : weight.parts) part.external->location = store::Hex(blob.sha);
      }
    }
    return {};
  }

  Status Report() {
    if (options_.progress({"packing", done_bytes_, total_bytes_})) return {};
    return Fail(Code::kCancelled, "packing was stopped; the same command goes on from here");
  }

  // A blob from an earlier run, noted under `key`, if it is whole, else a new one.
  Result<store::Blob> FindOrWrite(const std::string& key, const LaidOutBlob& laid_out) {
    if (const store::Blob* known = journal_.Find(key)) {
      std::error_code error;
      const uint64_t bytes = fs::file_size(store::BlobPath(options_.pack, known->sha), error);
      if (!error && bytes == known->bytes && bytes == laid_out.bytes) {
        ++outcome_.blobs_reused;
        done_bytes_ += bytes;
        RETURN_IF_ERROR(Report());
        return *known;
      }
    }
    ASSIGN_OR_RETURN(store::BlobWriter writer, store::BlobWriter::Create(options_.pack));
    for (const PlacedWeight& weight : laid_out.weights) {
      ASSIGN_OR_RETURN(model::WeightReader reader,
                       model::WeightReader::Open(source_.checkpoint, weight.spec));
      const uint64_t before = writer.bytes();
      RETURN_IF_ERROR(weight.format->Write(weight.stored_as, reader, writer));
      reader.Forget();
      const onnx::ExternalData& last = *weight.parts.back().external;
      CHECK_MSG(writer.bytes() == last.offset + last.length,
                StrCat(weight.spec.role, ": ", writer.bytes(), " bytes written"));
      done_bytes_ += writer.bytes() - before;
      RETURN_IF_ERROR(Report());
    }
    ASSIGN_OR_RETURN(store::Blob blob, writer.Finish());
    RETURN_IF_ERROR(journal_.Add(key, blob));
    return blob;
  }

  Result<store::Block> PackBlock(const VariantPlan& plan, uint32_t index) {
    store::Block block = BlockFacts(arch_, index);
    std::vector<PlacedWeight> weights;
    for (const LaidOutBlob& laid_out : plan.layout) {
      if (std::ranges::find(laid_out.blocks, index) == laid_out.blocks.end()) continue;
      const store::Blob& blob = manifest_.blobs.at(plan.blob_of_key.at(laid_out.key));
      block.weights.push_back(blob.sha);
      block.weight_bytes += blob.bytes;
      for (const PlacedWeight& weight : laid_out.weights) {
        weights.push_back(weight);
        // A tied table is the head's matrix by another role.
        if (laid_out.blocks.size() > 1 && index != 0) weights.back().spec.role = "head";
      }
    }
    const onnx::Model graph = BuildBlockGraph(arch_, index, weights);
    ASSIGN_OR_RETURN(block.graph, KeepGraph(graph));
    if (arch_.IsLayer(index) && arch_.LayerOf(index).mixture) {
      ASSIGN_OR_RETURN(block.mixture, PackMixture(plan, index, weights));
    }
    std::set<std::string> ops;
    for (const onnx::Node& node : graph.graph.nodes) {
      ops.insert(node.domain.empty() ? node.op_type : StrCat(node.domain, ":", node.op_type));
    }
    block.ops.assign(ops.begin(), ops.end());
    return block;
  }

  Result<store::Sha256> KeepGraph(const onnx::Model& graph) {
    RETURN_IF_ERROR(onnx::Check(graph));
    ASSIGN_OR_RETURN(const store::Blob blob,
                     store::WriteBlob(options_.pack, onnx::Serialize(graph)));
    Keep(blob);
    return blob.sha;
  }

  // The graphs for a layer whose experts are divided over devices.
  Result<store::MixtureParts> PackMixture(const VariantPlan& plan, uint32_t index,
                                          const std::vector<PlacedWeight>& weights) {
    const MixtureGraphs graphs = BuildMixtureGraphs(arch_, index, weights);
    store::MixtureParts parts;
    ASSIGN_OR_RETURN(parts.before, KeepGraph(graphs.before));
    ASSIGN_OR_RETURN(parts.after, KeepGraph(graphs.after));
    const uint32_t count = arch_.mixture->experts_per_group();
    for (uint32_t group = 0; group < graphs.groups.size(); ++group) {
      store::ExpertGroup made;
      ASSIGN_OR_RETURN(made.graph, KeepGraph(graphs.groups[group]));
      made.weights = plan.blob_of_key.at(StrCat("block.", index, ".experts.", group));
      made.first = group * count;
      made.count = count;
      parts.groups.push_back(made);
    }
    return parts;
  }

  void FillFacts() {
    manifest_.name = job_.name;
    manifest_.origin = {job_.packer, job_.checkpoint};
    manifest_.model = FactsOf(arch_);
    manifest_.ropes = arch_.ropes;
    manifest_.generation = source_.checkpoint.generation();
  }

  // The manifest comes last: a folder with one holds a whole pack.
  Result<PackOutcome> Publish() {
    const std::string text = store::SerializeManifest(manifest_);
    ASSIGN_OR_RETURN(const store::IdentifiedManifest read, store::ParseManifest(text));
    CHECK(read.manifest == manifest_);
    RETURN_IF_ERROR(
        model::WriteFileAtomically(options_.pack / store::kManifestFile, AsBytes(text)));
    RETURN_IF_ERROR(journal_.Remove());
    outcome_.id = read.id;
    return outcome_;
  }

  const PackOptions& options_;
  const Source& source_;
  const model::Architecture& arch_;
  const Job& job_;
  Journal& journal_;
  std::vector<VariantPlan> plans_;
  store::Manifest manifest_;
  PackOutcome outcome_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace

Result<PackOutcome> PackCheckpoint(const PackOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<Recipe> recipes, Recipe::List(options.weights));
  ASSIGN_OR_RETURN(const Source source, OpenSource(options.checkpoint));
  RETURN_IF_ERROR(CheckTarget(options));
  Job job;
  job.weights = options.weights;
  job.packer = kPackerVersion;
  job.name = options.name;
  if (job.name.empty()) {
    std::error_code error;
    const fs::path folder = fs::canonical(options.checkpoint, error);
    job.name = error ? options.checkpoint.filename().string() : folder.filename().string();
  }
  ASSIGN_OR_RETURN(job.checkpoint, Fingerprint(source, options.progress));
  ASSIGN_OR_RETURN(std::optional<PackOutcome> existing, FindExisting(options, job));
  if (existing) return *existing;
  ASSIGN_OR_RETURN(Journal journal, PrepareTarget(options, job));
  return Packing(options, source, recipes, job, journal).Run();
}

}  // namespace shoal::packer
