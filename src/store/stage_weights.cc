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

}  // namespace shoal::store
