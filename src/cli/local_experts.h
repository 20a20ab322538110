// Pretend holders of a mixture's experts in this process: rows reach them, and sums come back, as
// frames through the wire codec.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/stage.h"
#include "store/pack.h"
#include "store/stage_weights.h"
#include "volunteer/expert_exchange.h"
#include "wire/frames.h"

namespace shoal::cli {

struct ExpertOptions {
  uint32_t holders = 1;
  wire::HopType hop = wire::HopType::kF32;
  bool exact = false;  // engine::StageOptions.
  size_t weights = 0;  // store::StageVariant.
};

class LocalExperts {
 public:
  // Deals the groups of every layer of `pack` that has experts out to the holders in turn.
  // kInvalidArgument when there are none, or a layer has fewer groups than holders.
  static Result<LocalExperts> Load(const store::Pack& pack, const ExpertOptions& options);

  // The layers, ascending.
  std::vector<uint32_t> blocks() const;
  // [rows, hidden]: what all holders together give for routed [rows, hidden] and routes [rows,
  // experts].
  Result<std::vector<float>> Sum(uint32_t block, std::vector<float> routed,
                                 std::span<const float> routes);
  // Rows sent to each holder so far.
  const std::vector<uint64_t>& sent() const { return sent_; }

 private:
  LocalExperts() = default;
  Status LoadLayer(const store::Pack& pack, uint32_t block, const ExpertOptions& options);
  Result<wire::ExpertSums> Answer(NodeId holder, const wire::ExpertRows& rows);

  struct Layer {
    wire::Assign assign;  // As its holder would have it.
    std::unique_ptr<store::StageWeights> weights;
    std::unique_ptr<engine::Stage> stage;
  };
  std::map<std::pair<uint32_t, NodeId>, Layer> layers_;  // By block and holder.
  std::map<uint32_t, uint32_t> experts_;                 // By block.
  wire::ExpertTable table_;
  std::vector<uint64_t> sent_;
  uint64_t next_request_ = 1;
};

}  // namespace shoal::cli
