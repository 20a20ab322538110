#include "store/stage_weights.h"

#include "base/str_cat.h"

namespace shoal::store {

Result<std::unique_ptr<StageWeights>> StageWeights::Open(const Pack& pack,
                                                         const StageGraph& stage) {
  auto weights = std::make_unique<StageWeights>();
  for (const Blob& blob : stage.weights) {
    ASSIGN_OR_RETURN(model::MappedFile file, pack.MapBlob(blob.sha));
    weights->mapped_.emplace(Hex(blob.sha), std::move(file));
  }
  for (const GeneratedBlob& generated : stage.generated) {
    weights->generated_.emplace(Hex(generated.blob.sha), generated.bytes);
  }
  return weights;
}

Result<std::unique_ptr<StageWeights>> StageWeights::Open(
    const std::map<std::string, std::filesystem::path>& files) {
  auto weights = std::make_unique<StageWeights>();
  for (const auto& [location, path] : files) {
    ASSIGN_OR_RETURN(weights->mapped_[location], model::MappedFile::Open(path));
  }
  return weights;
}

Result<Bytes> StageWeights::Map(const onnx::ExternalData& range) {
  Bytes blob;
  if (const auto mapped = mapped_.find(range.location); mapped != mapped_.end()) {
    blob = mapped->second.bytes();
  } else if (const auto made = generated_.find(range.location); made != generated_.end()) {
    blob = made->second;
  } else {
    return Fail(Code::kNotFound, StrCat("blob ", range.location, " is not one of the stage's"));
  }
  if (range.offset > blob.size() || range.length > blob.size() - range.offset) {
    return Fail(Code::kOutOfRange,
                StrCat("bytes [", range.offset, ", +", range.length, ") of blob ", range.location,
                       ", which has ", blob.size()));
  }
  return blob.subspan(range.offset, range.length);
}

void StageWeights::Release(const onnx::ExternalData& range) {
  const auto mapped = mapped_.find(range.location);
  if (mapped == mapped_.end()) return;
  if (const auto view = Map(range)) mapped->second.Forget(*view);
}

}  // namespace shoal::store
