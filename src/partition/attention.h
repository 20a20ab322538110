// Attention in a decoder's graph, whatever nodes it is spelled with, becomes one
// GroupQueryAttention node: the form that every executor runs, with caches of any layout and with
// sessions of unequal lengths in one run.
//
// A GroupQueryAttention node is taken over, its control inputs replaced. Anything else is found by
// its caches: the nodes between a layer's caches and the one value that all paths from them pass
// are its attention, and what flows in from the side are query, key and value. What these nodes
// compute is learned by running them: how keys turn with their position (a table of cosines and
// sines), the scale and the window. Then random queries, keys, values and caches are run through
// the nodes and through GroupQueryAttention's formula; only where both agree are they replaced.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "partition/reading.h"

namespace shoal::partition {

// Names that the graph of every block uses (docs/pack-format.md).
inline constexpr std::string_view kSeqlens = "seqlens_k";
inline constexpr std::string_view kTotalLength = "total_sequence_length";

// Tables for as many positions are made; caches of at most that many are thought of.
// kUnimplemented, naming a layer's cache, for attention that is no GroupQueryAttention.
Status FuseAttention(Reading& reading, int64_t positions);

}  // namespace shoal::partition
