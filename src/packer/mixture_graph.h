// A mixture of experts in three kinds of graphs, so that a layer's experts may lie on other devices
// than the rest of it: the router's, one for each group of experts, and what puts their results
// together (docs/pack-format.md names the values between them).
#pragma once

#include <string>

#include "packer/block_writer.h"

namespace shoal::packer {

// [batch, sequence, experts]: what each expert's result counts for each row, 0 for those that are
// not chosen. `input`: [batch, sequence, hidden], normed.
void AddRouter(BlockWriter& writer, const std::string& input, std::string output);

// A whole graph: reads routed.{b} and routes.{b}, gives expert_sum.{b}.{group}: the chosen experts'
// results of that group, weighed and summed.
onnx::Model ExpertGroupGraph(BlockWriter& writer, uint32_t group);

}  // namespace shoal::packer
