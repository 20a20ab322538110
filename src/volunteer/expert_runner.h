// The executor of a native volunteer that holds experts for others: their graphs and weights, run
// by the CPU engine.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/result.h"
#include "engine/parallel.h"
#include "engine/stage.h"
#include "store/stage_weights.h"
#include "volunteer/stage_fetch.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// What is wrong with a request for the experts of `assign`: kFailedPrecondition for another
// generation, kNotFound for experts that are not held, else kInvalidArgument.
Status CheckExpertRows(const wire::Assign& assign, const wire::ExpertRows& rows);

// One call at a time, from any thread.
class ExpertRunner {
 public:
  // Loads the experts of a checked assignment and runs each layer's once. kInvalidArgument when a
  // graph is not what `assign` says; else as engine::Stage::Load. `parallel` must outlive the
  // runner.
  static Result<std::unique_ptr<ExpertRunner>> Load(const wire::Assign& assign,
                                                    const StagePaths& paths,
                                                    engine::Parallel& parallel, bool exact);
  // The same of one layer's graph and of weights that something else keeps.
  static Result<std::unique_ptr<engine::Stage>> LoadLayer(const onnx::Model& model, uint32_t block,
                                                          uint32_t hidden, uint32_t experts,
                                                          engine::WeightSource& weights,
                                                          engine::StageOptions options);
  // Answers a request that CheckExpertRows has passed. kInvalidArgument for rows that are not
  // finite, else as the engine's.
  Result<wire::ExpertSums> Run(const wire::ExpertRows& rows);
  static Result<wire::ExpertSums> RunLayer(engine::Stage& layer, const wire::ExpertRows& rows);

 private:
  ExpertRunner() = default;

  std::unique_ptr<store::StageWeights> weights_;
  std::map<uint32_t, std::unique_ptr<engine::Stage>> layers_;  // By block.
};

}  // namespace shoal::volunteer
