// The graphs of a mixture layer whose experts lie on other devices than the rest of it: what such a
// device runs (docs/pack-format.md, "mixture").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "onnx/model.h"
#include "store/pack.h"
#include "store/stage_variant.h"

namespace shoal::store {

// A whole graph: expert_sum.{block}.{g} of these groups, at least one, to their sum
// expert_sum.{block}, added up in the order given.
onnx::Model ExpertSumGraph(uint32_t block, std::span<const uint32_t> groups, uint32_t hidden);

// Some of one layer's expert groups as one graph: routed.{b} and routes.{b} to expert_sum.{b}, the
// part of these groups in it.
struct ExpertsGraph {
  uint32_t block = 0;
  std::vector<uint32_t> groups;  // Ascending.
  Blob graph;                    // Of `onnx`.
  ByteVector onnx;
  std::vector<Blob> weights;  // Blobs of the pack that the graph names.
  uint64_t weight_bytes = 0;
};

// How many experts a mixture has: what routes.{b} is wide.
uint32_t ExpertCount(const MixtureParts& mixture);

// kOutOfRange for a block that is no mixture layer, and unless `groups` ascend and exist and the
// pack has that variant; kDataLoss and kUnimplemented as JoinStage.
Result<ExpertsGraph> JoinExperts(const Pack& pack, uint32_t block, std::span<const uint32_t> groups,
                                 const StageVariant& variant = {});

}  // namespace shoal::store
