// Reads graphs of a pack's blocks.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "onnx/model.h"
#include "store/pack.h"

namespace shoal::store {

// The graph with this hash. kDataLoss, saying of `who`, when it has another, does not parse, or
// names weights outside of `weights`, blobs of the pack.
Result<onnx::Model> ReadGraph(const Pack& pack, const Sha256& graph,
                              std::span<const Sha256> weights, const std::string& who);

}  // namespace shoal::store
