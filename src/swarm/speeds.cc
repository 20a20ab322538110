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
  std::string_view weights;  // Empty: all that are not listed.
  planner::ExecutorSpeed speed;
};
// From measurements of stages of 0.1 to 0.6 GB; docs/planner.md. ONNX Runtime Web's CPU provider
// takes a quantised weight apart at every step.
constexpr Typical kTypical[] = {
    {"shoal", "", {.fixed_s = 0.001, .s_per_byte = 1.2e-10, .s_per_flop = 3e-11}},
    {"ort-webgpu", "", {.fixed_s = 0.006, .s_per_byte = 2e-11, .s_per_flop = 2e-12}},
    {"ort-wasm", "f32", {.fixed_s = 0.003, .s_per_byte = 4e-11, .s_per_flop = 8e-11}},
    {"ort-wasm", "q8", {.fixed_s = 0.003, .s_per_byte = 4e-10, .s_per_flop = 4.8e-10}},
    {"ort-wasm", "q4", {.fixed_s = 0.003, .s_per_byte = 4e-10, .s_per_flop = 7e-10}},
    {"ort-wasm", "", {.fixed_s = 0.003, .s_per_byte = 4e-10, .s_per_flop = 1.5e-10}},
};
constexpr std::string_view kProbedWeights = "q4";

double Find(std::span<const wire::Measure> measures, std::string_view name) {
  const auto at = std::ranges::find(measures, name, &wire::Measure::name);
  return at == measures.end() || !std::isfinite(at->value) ? 0 : at->value;
}

// `typical` of these weights, in proportion to what was claimed of the probed ones.
void Believe(double& typical, double probed, double claimed) {
  if (claimed > probed / kBelievable && claimed < probed * kBelievable) {
    typical *= claimed / probed;
  }
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

planner::ExecutorSpeed TypicalSpeed(std::string_view executor, std::string_view weights) {
  const auto* at = std::ranges::find_if(kTypical, [&](const Typical& typical) {
    return typical.executor == executor && (typical.weights.empty() || typical.weights == weights);
  });
  return at == std::end(kTypical) ? planner::ExecutorSpeed{} : at->speed;
}

planner::ExecutorSpeed ClaimedSpeed(std::string_view executor, std::string_view weights,
                                    std::span<const wire::Measure> measures) {
  planner::ExecutorSpeed speed = TypicalSpeed(executor, weights);
  const planner::ExecutorSpeed probed = TypicalSpeed(executor, kProbedWeights);
  Believe(speed.fixed_s, probed.fixed_s, Find(measures, "probe.fixed_ms") / 1e3);
  if (const double gb = Find(measures, "probe.gb_per_s"); gb > 0) {
    Believe(speed.s_per_byte, probed.s_per_byte, 1 / (gb * 1e9));
  }
  if (const double gflops = Find(measures, "probe.gflops"); gflops > 0) {
    Believe(speed.s_per_flop, probed.s_per_flop, 1 / (gflops * 1e9));
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
