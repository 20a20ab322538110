// Random planning problems, for tests and benchmarks: layered models, and pools that mix strong and
// weak volunteers, near and far.
#pragma once

#include "base/random.h"
#include "planner/problem.h"

namespace shoal::planner {

struct ModelShape {
  uint32_t layers = 32;
  double hidden = 4096;
  double intermediate = 14336;
  double vocab = 128256;
  double kv_width = 1024;         // Of keys, and of values.
  double bytes_per_weight = 0.6;  // 4-bit blocks and their scales.
};

// An embedding, the layers, the head.
std::vector<BlockCost> LayeredBlocks(const ModelShape& shape);

// One device of a pool: a phone or an old laptop (weak), a laptop, a desktop with a large GPU
// (strong); speeds and memory scatter around the kind.
enum class DeviceKind : uint8_t { kWeak, kMiddling, kStrong };
Volunteer RandomVolunteer(Random& random, uint32_t node, DeviceKind kind);

// A pool of `count`: half weak, a third middling, the rest strong, in clusters of about
// `cluster_size` (0: all far from one another).
void FillPool(Problem& problem, Random& random, uint32_t count, uint32_t cluster_size);

// A small problem in which everything varies: up to `volunteers` and `blocks`, uneven blocks,
// tight or ample memory, one or many sessions, any objective, clusters, caches, unreliable ones.
Problem SmallProblem(uint64_t seed, uint32_t volunteers, uint32_t blocks);

// The same, some of whose volunteers get blocks in forms of up to eight times as many bytes, or as
// few as half.
Problem SmallProblemInForms(uint64_t seed, uint32_t volunteers, uint32_t blocks);

}  // namespace shoal::planner
