// The weights of a stage for the CPU engine: the pack's blobs mapped, generated ones in memory.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "engine/stage.h"
#include "store/stage_graph.h"

namespace shoal::store {

// Views stay valid as long as this object, which needs neither the pack nor the stage graph.
class StageWeights : public engine::WeightSource {
 public:
  static Result<std::unique_ptr<StageWeights>> Open(const Pack& pack, const StageGraph& stage);
  // The same of files by their locations.
  static Result<std::unique_ptr<StageWeights>> Open(
      const std::map<std::string, std::filesystem::path>& files);

  Result<Bytes> Map(const onnx::ExternalData& range) override;
  // Gives the pages back to the system, so that what the engine holds in its own form is not in
  // memory twice.
  void Release(const onnx::ExternalData& range) override;

 private:
  std::map<std::string, model::MappedFile> mapped_;  // By location.
  std::map<std::string, ByteVector> generated_;
};

}  // namespace shoal::store
