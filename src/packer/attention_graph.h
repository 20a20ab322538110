// The attention of one layer.
#pragma once

#include <string>

#include "packer/block_writer.h"

namespace shoal::packer {

// Adds softmax(q k^T) v through the cache and the output projection to the graph, with the cache's
// inputs and outputs. `input`: [batch, sequence, hidden], normed as the architecture has it.
//
// Latent attention is absorbed: instead of making every head's keys from the cached latents, the
// heads' queries are turned towards the latents, so that all heads share one key [rotated part,
// latent] per position, and the value is the latent itself. The part that turns stands first, where
// GroupQueryAttention turns it.
std::string AddAttention(BlockWriter& writer, const std::string& input);

}  // namespace shoal::packer
