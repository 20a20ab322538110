#include "planner/random_problem.h"

#include <algorithm>
#include <cmath>

namespace shoal::planner {

namespace {

// Between low and high, evenly in the logarithm.
double Scatter(Random& random, double low, double high) {
  return low * std::pow(high / low, random.NextDouble());
}

double Between(Random& random, double low, double high) {
  return low + (high - low) * random.NextDouble();
}

uint32_t UpTo(Random& random, uint32_t most) {
  return 1 + static_cast<uint32_t>(random.Below(most));
}

// The larger of two draws.
uint32_t MostlyMany(Random& random, uint32_t most) {
  const uint32_t first = UpTo(random, most);
  return std::max(first, UpTo(random, most));
}

uint64_t Bytes(double bytes) { return static_cast<uint64_t>(bytes); }

}  // namespace

std::vector<BlockCost> LayeredBlocks(const ModelShape& shape) {
  const double table = shape.hidden * shape.vocab;
  const double layer =
      shape.hidden * (2 * shape.hidden + 2 * shape.kv_width + 3 * shape.intermediate);
  const auto hidden = Bytes(shape.hidden * 2);  // f16
  std::vector<BlockCost> blocks;
  blocks.push_back({.weight_bytes = Bytes(table * shape.bytes_per_weight),
                    .flops_per_token = shape.hidden,
                    .hidden_bytes = hidden,
                    .read_fraction = 0});
  for (uint32_t i = 0; i < shape.layers; ++i) {
    blocks.push_back({.weight_bytes = Bytes(layer * shape.bytes_per_weight),
                      .kv_bytes_per_position = Bytes(shape.kv_width * 4),
                      .flops_per_token = 2 * layer,
                      .flops_per_token_position = 4 * shape.hidden,
                      .hidden_bytes = hidden});
  }
  blocks.push_back({.weight_bytes = Bytes(table * shape.bytes_per_weight),
                    .flops_per_token = 2 * table,
                    .hidden_bytes = hidden,
                    .last_row_only = true});
  return blocks;
}

Volunteer RandomVolunteer(Random& random, uint32_t node, DeviceKind kind) {
  struct Kind {
    double memory, bytes_per_s, flops, fixed_s, up, down;
  };
  static constexpr Kind kKinds[] = {
      {2.5e9, 8e9, 4e10, 0.006, 6e5, 3e6},
      {6e9, 5e10, 1e12, 0.003, 2.5e6, 1e7},
      {1.8e10, 4e11, 2e13, 0.002, 1e7, 3e7},
  };
  const Kind& typical = kKinds[static_cast<size_t>(kind)];
  const auto around = [&](double value) { return value * Scatter(random, 0.6, 1.6); };
  Volunteer volunteer;
  volunteer.node = NodeId{node};
  volunteer.memory_bytes = Bytes(around(typical.memory));
  volunteer.speed = {around(typical.fixed_s), 1 / around(typical.bytes_per_s),
                     1 / around(typical.flops)};
  volunteer.link = {.latency_s = Scatter(random, 0.002, 0.06),
                    .up_bytes_per_s = around(typical.up),
                    .down_bytes_per_s = around(typical.down)};
  volunteer.stay_s = Scatter(random, 600, 20000);
  return volunteer;
}

void FillPool(Problem& problem, Random& random, uint32_t count, uint32_t cluster_size) {
  const uint32_t first = static_cast<uint32_t>(problem.volunteers.size()) + 1;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t dice = random.Below(6);
    const DeviceKind kind = dice < 3   ? DeviceKind::kWeak
                            : dice < 5 ? DeviceKind::kMiddling
                                       : DeviceKind::kStrong;
    Volunteer volunteer = RandomVolunteer(random, first + i, kind);
    if (cluster_size > 0) {
      if (i % cluster_size == 0) {
        problem.network.clusters.push_back(
            {Scatter(random, 0.0003, 0.003), Scatter(random, 1e7, 1e8)});
      }
      volunteer.link.cluster = static_cast<uint32_t>(problem.network.clusters.size());
    }
    problem.volunteers.push_back(std::move(volunteer));
  }
}

Problem SmallProblem(uint64_t seed, uint32_t volunteers, uint32_t blocks) {
  Random random(seed);
  Problem problem;
  const bool even = random.Below(2) == 0;
  const uint32_t count = 1 + MostlyMany(random, blocks - 1);
  BlockCost block;
  for (uint32_t i = 0; i < count; ++i) {
    if (i == 0 || !even) {
      block = {.weight_bytes = Bytes(Scatter(random, 5e7, 5e8)),
               .kv_bytes_per_position = random.Below(4096),
               .hidden_bytes = 1024 + random.Below(16384)};
      block.flops_per_token = static_cast<double>(block.weight_bytes) * Between(random, 1, 4);
      block.flops_per_token_position = Between(random, 0, 5e4);
    }
    problem.blocks.push_back(block);
  }
  if (random.Below(2) == 0) problem.blocks.front().read_fraction = 0;
  if (random.Below(2) == 0) problem.blocks.back().last_row_only = true;

  const double ample = Scatter(random, 0.3, 5);
  double model = 0;
  for (const BlockCost& cost : problem.blocks) model += static_cast<double>(cost.weight_bytes);
  const uint32_t pool = MostlyMany(random, volunteers);
  if (random.Below(2) == 0) problem.network.clusters.resize(UpTo(random, 3));
  const bool reliable = random.Below(2) == 0;
  const bool caches = random.Below(3) == 0;
  for (uint32_t i = 0; i < pool; ++i) {
    Volunteer volunteer = RandomVolunteer(random, i + 1, static_cast<DeviceKind>(random.Below(3)));
    volunteer.memory_bytes = Bytes(model * ample * Scatter(random, 0.15, 1.5));
    volunteer.link.cluster =
        static_cast<uint32_t>(random.Below(problem.network.clusters.size() + 1));
    if (reliable) volunteer.stay_s = kInfinity;
    if (caches && random.Below(2) == 0) {
      for (const BlockCost& cost : problem.blocks) {
        volunteer.cached_bytes.push_back(random.Below(2) * cost.weight_bytes);
      }
    }
    problem.volunteers.push_back(std::move(volunteer));
  }

  problem.workload = {.prompt_tokens = UpTo(random, 2000),
                      .answer_tokens = UpTo(random, 500),
                      .sessions = random.Below(3) == 0 ? 1 : UpTo(random, 64),
                      .rows_max = 1u << random.Below(5)};
  const double weights[] = {1, 1, 0, 0.5, 0.8};
  problem.objective.latency_weight = weights[random.Below(5)];
  problem.inertia.horizon_s = caches ? Scatter(random, 300, 10000) : kInfinity;
  problem.limits = {.stages_min = static_cast<uint32_t>(random.Below(4)),
                    .positions = UpTo(random, 4096),
                    .overhead_bytes = 10'000'000,
                    .weight_percent = 110};
  return problem;
}

Problem SmallProblemInForms(uint64_t seed, uint32_t volunteers, uint32_t blocks) {
  Problem problem = SmallProblem(seed, volunteers, blocks);
  Random random(~seed);
  for (uint32_t form = 1 + static_cast<uint32_t>(random.Below(3)); form > 0; --form) {
    std::vector<BlockCost>& other = problem.other_forms.emplace_back(problem.blocks);
    const double wider = Scatter(random, 0.5, 8);
    for (BlockCost& block : other) {
      block.weight_bytes = Bytes(static_cast<double>(block.weight_bytes) * wider);
      block.kv_bytes_per_position /= 1 + random.Below(2);
    }
  }
  for (Volunteer& volunteer : problem.volunteers) {
    volunteer.form = static_cast<uint32_t>(random.Below(problem.other_forms.size() + 1));
    if (random.Below(2) == 0) volunteer.memory_bytes *= 4;
  }
  return problem;
}

}  // namespace shoal::planner
