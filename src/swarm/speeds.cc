#include "swarm/speeds.h"

#include <algorithm>
#include <cmath>

namespace shoal::swarm {

namespace {

constexpr double kBelievable = 1000;  // Farther from what is typical nobody is believed.
constexpr double kBytesPerMbit = 125'000;
constexpr double kMbitMin = 0.01;
constexpr double kMbitMax = 100'000;

struct Typical {
  std::string_view executor;
  planner::ExecutorSpeed speed;
};
// From measurements of stages of 0.1 to 0.6 GB; docs/planner.md.
constexpr Typical kTypical[] = {
    {"shoal", {.fixed_s = 0.001, .s_per_byte = 1.2e-10, .s_per_flop = 3e-11}},
    {"ort-webgpu", {.fixed_s = 0.006, .s_per_byte = 2e-11, .s_per_flop = 2e-12}},
    {"ort-wasm", {.fixed_s = 0.003, .s_per_byte = 4e-10, .s_per_flop = 1.5e-10}},
};

double Find(std::span<const wire::Measure> measures, std::string_view name) {
  const auto at = std::ranges::find(measures, name, &wire::Measure::name);
  return at == measures.end() || !std::isfinite(at->value) ? 0 : at->value;
}

void Believe(double& typical, double claimed) {
  if (claimed > typical / kBelievable && claimed < typical * kBelievable) typical = claimed;
}

}  // namespace

planner::StepWork WorkOf(const std::vector<planner::BlockCost>& blocks, planner::Span span,
                         std::span<const RowCount> rows) {
  planner::StepWork work;
  for (uint32_t b = span.first; b < span.last; ++b) {
    const planner::BlockCost& block = blocks[b];
    work.bytes += static_cast<double>(block.weight_bytes) * block.read_fraction;
    for (const RowCount& group : rows) {
      const double count = block.last_row_only ? 1 : group.count;
      const double context = group.position + group.count / 2.0;
      work.bytes += static_cast<double>(block.kv_bytes_per_position) * context;
      work.flops += count * (block.flops_per_token + context * block.flops_per_token_position);
    }
  }
  return work;
}

planner::ExecutorSpeed TypicalSpeed(std::string_view executor) {
  const auto* at = std::ranges::find(kTypical, executor, &Typical::executor);
  return at == std::end(kTypical) ? planner::ExecutorSpeed{} : at->speed;
}

planner::ExecutorSpeed ClaimedSpeed(std::string_view executor,
                                    std::span<const wire::Measure> measures) {
  planner::ExecutorSpeed speed = TypicalSpeed(executor);
  Believe(speed.fixed_s, Find(measures, "probe.fixed_ms") / 1e3);
  if (const double gb = Find(measures, "probe.gb_per_s"); gb > 0) {
    Believe(speed.s_per_byte, 1 / (gb * 1e9));
  }
  if (const double gflops = Find(measures, "probe.gflops"); gflops > 0) {
    Believe(speed.s_per_flop, 1 / (gflops * 1e9));
  }
  return speed;
}

planner::Link ClaimedLink(std::span<const wire::Measure> measures) {
  planner::Link link;
  const auto set = [&](double& bytes_per_s, std::string_view name) {
    const double mbit = Find(measures, name);
    if (mbit > kMbitMin && mbit < kMbitMax) bytes_per_s = mbit * kBytesPerMbit;
  };
  set(link.up_bytes_per_s, "link.up_mbit_per_s");
  set(link.down_bytes_per_s, "link.down_mbit_per_s");
  return link;
}

}  // namespace shoal::swarm
