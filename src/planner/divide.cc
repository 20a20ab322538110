#include "planner/divide.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace shoal::planner {

uint64_t BytesNeeded(const std::vector<BlockCost>& blocks, Span span, const Limits& limits) {
  CHECK(span.first <= span.last && span.last <= blocks.size());
  uint64_t weights = 0;
  uint64_t kv = 0;
  for (uint32_t block = span.first; block < span.last; ++block) {
    weights += blocks[block].weight_bytes;
    kv += blocks[block].kv_bytes_per_position * limits.positions;
  }
  return weights * limits.weight_percent / 100 + kv + limits.overhead_bytes;
}

namespace {

// The end of the longest run of blocks from `first` that fits into the device.
uint32_t FitEnd(const std::vector<BlockCost>& blocks, uint32_t first, const Device& device,
                const Limits& limits) {
  const std::vector<BlockCost>& there = device.blocks == nullptr ? blocks : *device.blocks;
  CHECK(there.size() == blocks.size());
  uint32_t last = first;
  while (last < blocks.size() &&
         BytesNeeded(there, {first, last + 1}, limits) <= device.memory_bytes) {
    ++last;
  }
  return last;
}

// By how much the memory of `devices`, filled greedily, falls short of the model; what is left over
// on a device and smaller than a block is lost.
uint64_t MissingBytes(const std::vector<BlockCost>& blocks, const std::vector<Device>& devices,
                      const Limits& limits) {
  Limits bare = limits;
  bare.overhead_bytes = 0;
  const uint64_t needed = BytesNeeded(blocks, {0, static_cast<uint32_t>(blocks.size())}, bare);
  uint32_t done = 0;
  for (const Device& device : devices) done = FitEnd(blocks, done, device, limits);
  const uint64_t placed = BytesNeeded(blocks, {0, done}, bare);
  return needed - placed;
}

bool FitsAnyBlock(const std::vector<BlockCost>& blocks, const Device& device,
                  const Limits& limits) {
  for (uint32_t first = 0; first < blocks.size(); ++first) {
    if (FitEnd(blocks, first, device, limits) > first) return true;
  }
  return false;
}

// can_end[i][first]: devices i.. can hold blocks [first, end), each at least one.
std::vector<std::vector<bool>> Feasible(const std::vector<BlockCost>& blocks,
                                        const std::vector<Device>& devices, const Limits& limits) {
  const size_t block_count = blocks.size();
  std::vector<std::vector<bool>> can_end(devices.size() + 1,
                                         std::vector<bool>(block_count + 1, false));
  can_end[devices.size()][block_count] = true;
  for (size_t i = devices.size(); i-- > 0;) {
    for (uint32_t first = 0; first < block_count; ++first) {
      const uint32_t fit_end = FitEnd(blocks, first, devices[i], limits);
      for (uint32_t last = first + 1; last <= fit_end && !can_end[i][first]; ++last) {
        can_end[i][first] = can_end[i + 1][last];
      }
    }
  }
  return can_end;
}

// Where device i's run from `first` would end if it took its share, by memory, of the bytes left.
uint32_t ShareEnd(const std::vector<BlockCost>& blocks, const std::vector<Device>& devices,
                  size_t i, uint32_t first) {
  double memory_left = 0;
  for (size_t j = i; j < devices.size(); ++j) {
    memory_left += static_cast<double>(devices[j].memory_bytes);
  }
  double weight_left = 0;
  for (size_t b = first; b < blocks.size(); ++b) {
    weight_left += static_cast<double>(blocks[b].weight_bytes);
  }
  const double share =
      weight_left * static_cast<double>(devices[i].memory_bytes) / std::max(memory_left, 1.0);
  double taken = 0;
  uint32_t last = first;
  for (; last < blocks.size(); ++last) {
    const auto bytes = static_cast<double>(blocks[last].weight_bytes);
    if (taken + bytes / 2 > share) break;
    taken += bytes;
  }
  return last;
}

// Cuts the blocks over `devices` in their order, every device at least one block: the feasible cut
// nearest to each device's share. Empty when there is none.
std::vector<Stage> Cut(const std::vector<BlockCost>& blocks, const std::vector<Device>& devices,
                       const Limits& limits) {
  const auto can_end = Feasible(blocks, devices, limits);
  if (!can_end[0][0]) return {};
  std::vector<Stage> stages;
  uint32_t first = 0;
  for (size_t i = 0; i < devices.size(); ++i) {
    const uint32_t fit_end = FitEnd(blocks, first, devices[i], limits);
    const uint32_t wanted = ShareEnd(blocks, devices, i, first);
    uint32_t best = 0;
    uint32_t best_distance = UINT32_MAX;
    for (uint32_t last = first + 1; last <= fit_end; ++last) {
      const uint32_t distance = last > wanted ? last - wanted : wanted - last;
      if (can_end[i + 1][last] && distance < best_distance) {
        best = last;
        best_distance = distance;
      }
    }
    CHECK(best_distance != UINT32_MAX);
    stages.push_back({devices[i].node, {first, best}});
    first = best;
  }
  return stages;
}

}  // namespace

Plan Divide(const std::vector<BlockCost>& blocks, std::vector<Device> devices,
            const Limits& limits) {
  CHECK(!blocks.empty());
  const auto block_count = static_cast<uint32_t>(blocks.size());
  const uint32_t stages_min = std::clamp(limits.stages_min, 1u, block_count);
  // Useful first: those that hold something, then the largest; node numbers break ties.
  std::ranges::sort(devices, [](const Device& a, const Device& b) {
    if (a.held.empty() != b.held.empty()) return b.held.empty();
    if (a.memory_bytes != b.memory_bytes) return a.memory_bytes > b.memory_bytes;
    return a.node < b.node;
  });
  Plan plan;
  if (devices.size() < stages_min) {
    plan.missing_devices = stages_min - static_cast<uint32_t>(devices.size());
  }
  const size_t most = std::min<size_t>(devices.size(), block_count);
  for (size_t count = stages_min; count <= most; ++count) {
    std::vector<Device> chosen(devices.begin(), devices.begin() + static_cast<long>(count));
    // Along the model: holders where they are, newcomers after them.
    const auto place = [&](const Device& device) {
      const uint32_t at = device.held.empty() ? block_count : device.held.first;
      return std::tuple(at, ~device.memory_bytes, device.node);
    };
    std::ranges::sort(chosen, {}, place);
    plan.stages = Cut(blocks, chosen, limits);
    if (plan.complete()) return plan;
  }
  plan.missing_bytes = MissingBytes(blocks, devices, limits);
  if (plan.missing_bytes > 0 || plan.missing_devices > 0) return plan;
  // Memory enough, but not in the right places: some are too small for any block, or all of them
  // together for a cut.
  const auto useful = static_cast<uint32_t>(std::ranges::count_if(
      devices, [&](const Device& device) { return FitsAnyBlock(blocks, device, limits); }));
  if (useful < stages_min) {
    plan.missing_devices = stages_min - useful;
  } else {
    plan.missing_bytes = 1;
  }
  return plan;
}

Plan Replace(const std::vector<BlockCost>& blocks, const Plan& plan, NodeId lost,
             const std::vector<Device>& devices, const Limits& limits) {
  Plan repaired = plan;
  for (Stage& stage : repaired.stages) {
    if (stage.node != lost) continue;
    const Device* best = nullptr;
    for (const Device& device : devices) {
      const bool in_plan = std::ranges::any_of(
          plan.stages, [&](const Stage& other) { return other.node == device.node; });
      if (in_plan || FitEnd(blocks, stage.span.first, device, limits) < stage.span.last) continue;
      if (best == nullptr || device.memory_bytes < best->memory_bytes ||
          (device.memory_bytes == best->memory_bytes && device.node < best->node)) {
        best = &device;
      }
    }
    if (best == nullptr) return Plan{};
    stage.node = best->node;
  }
  return repaired;
}

}  // namespace shoal::planner
