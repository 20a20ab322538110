#include "planner/problem.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "base/str_cat.h"

namespace shoal::planner {

namespace {

constexpr uint64_t kBytesMax = uint64_t{1} << 50;  // Keeps every sum within 64 bits.
constexpr uint32_t kPositionsMax = 1u << 28;
constexpr uint32_t kTokensMax = 1u << 28;
constexpr uint32_t kWeightPercentMax = 1000;

Status Bad(std::string_view where, std::string_view what) {
  return Fail(Code::kInvalidArgument, StrCat(where, ": ", what));
}

bool IsRate(double value) { return std::isfinite(value) && value > 0; }
bool IsTime(double value) { return std::isfinite(value) && value >= 0; }

Status CheckBlocks(const std::vector<BlockCost>& blocks) {
  if (blocks.empty()) return Bad("blocks", "a model has at least one block");
  if (blocks.size() > kBlocksMax) {
    return Bad("blocks", StrCat("at most ", kBlocksMax, " blocks can be planned"));
  }
  uint64_t weights = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BlockCost& block = blocks[i];
    const std::string where = StrCat("block ", i);
    if (block.weight_bytes > kBytesMax || block.hidden_bytes > kBytesMax) {
      return Bad(where, "more bytes than can be right");
    }
    if (block.kv_bytes_per_position > (kBytesMax >> 28)) {
      return Bad(where, "more KV bytes per position than can be right");
    }
    if (!IsTime(block.flops_per_token) || !IsTime(block.flops_per_token_position)) {
      return Bad(where, "FLOPs must be finite and not negative");
    }
    if (!(block.read_fraction >= 0 && block.read_fraction <= 1)) {
      return Bad(where, "read_fraction is 0 to 1");
    }
    weights += block.weight_bytes;
  }
  if (weights > kBytesMax) return Bad("blocks", "more bytes together than can be right");
  return {};
}

// Forms differ in their bytes alone.
Status CheckForms(const Problem& problem) {
  if (problem.other_forms.size() >= kFormsMax) {
    return Bad("other_forms", StrCat("a model has at most ", kFormsMax, " forms"));
  }
  for (const std::vector<BlockCost>& form : problem.other_forms) {
    RETURN_IF_ERROR(CheckBlocks(form));
    if (form.size() != problem.blocks.size()) {
      return Bad("other_forms", "every form has all blocks");
    }
    for (size_t i = 0; i < form.size(); ++i) {
      BlockCost alike = form[i];
      alike.weight_bytes = problem.blocks[i].weight_bytes;
      alike.kv_bytes_per_position = problem.blocks[i].kv_bytes_per_position;
      if (alike != problem.blocks[i]) {
        return Bad("other_forms", StrCat("block ", i, " differs in more than its bytes"));
      }
    }
  }
  return {};
}

Status CheckVolunteer(const Problem& problem, const Volunteer& volunteer) {
  const std::string where = StrCat("volunteer ", volunteer.node.value);
  const ExecutorSpeed& speed = volunteer.speed;
  if (!IsTime(speed.fixed_s) || !IsTime(speed.s_per_byte) || !IsTime(speed.s_per_flop)) {
    return Bad(where, "its speed must be finite and not negative");
  }
  const Link& link = volunteer.link;
  if (!IsTime(link.latency_s)) return Bad(where, "its latency must be finite and not negative");
  if (!IsRate(link.up_bytes_per_s) || !IsRate(link.down_bytes_per_s)) {
    return Bad(where, "its bandwidths must be finite and more than 0");
  }
  if (link.cluster > problem.network.clusters.size()) {
    return Bad(where, StrCat("cluster ", link.cluster, " is not among the network's ",
                             problem.network.clusters.size()));
  }
  if (volunteer.form > problem.other_forms.size()) {
    return Bad(where, StrCat("form ", volunteer.form, " is not among the model's ",
                             problem.other_forms.size() + 1));
  }
  if (volunteer.memory_bytes > kBytesMax) return Bad(where, "more memory than can be right");
  if (volunteer.cached_bytes.size() > problem.blocks.size()) {
    return Bad(where, "it caches more blocks than the model has");
  }
  if (!(volunteer.stay_s > 0)) return Bad(where, "its mean stay must be more than 0 seconds");
  return {};
}

Status CheckNetwork(const Network& network) {
  for (size_t i = 0; i < network.clusters.size(); ++i) {
    const Cluster& cluster = network.clusters[i];
    if (!IsTime(cluster.latency_s) || !IsRate(cluster.bytes_per_s)) {
      return Bad(StrCat("cluster ", i + 1), "latency and bandwidth must be finite, the latter > 0");
    }
  }
  if (!IsTime(network.relay_s) || !IsRate(network.coordinator_bytes_per_s) ||
      !IsTime(network.frame_bytes)) {
    return Bad("network", "times, bytes and rates must be finite and not negative");
  }
  return {};
}

Status CheckWishes(const Problem& problem) {
  const Workload& work = problem.workload;
  for (const uint32_t count :
       {work.prompt_tokens, work.answer_tokens, work.sessions, work.chunk_rows, work.rows_max}) {
    if (count == 0 || count > kTokensMax) return Bad("workload", "every count is 1 to 2^28");
  }
  if (work.rows_max > kRowsMax) {
    return Bad("workload", StrCat("rows_max is at most ", kRowsMax));
  }
  const double weight = problem.objective.latency_weight;
  if (!(weight >= 0 && weight <= 1)) return Bad("objective", "latency_weight is 0 to 1");
  if (!IsTime(problem.churn.cold_recovery_s) || !IsTime(problem.churn.warm_recovery_s)) {
    return Bad("churn", "recovery times must be finite and not negative");
  }
  if (!(problem.inertia.horizon_s > 0)) return Bad("inertia", "horizon_s must be more than 0");
  if (!(problem.inertia.min_gain >= 0 && problem.inertia.min_gain < 1)) {
    return Bad("inertia", "min_gain is 0 to less than 1");
  }
  const Limits& limits = problem.limits;
  if (limits.positions > kPositionsMax || limits.overhead_bytes > kBytesMax ||
      limits.weight_percent == 0 || limits.weight_percent > kWeightPercentMax) {
    return Bad("limits", "out of range");
  }
  return {};
}

}  // namespace

const std::vector<BlockCost>& BlocksOf(const Problem& problem, uint32_t form) {
  return form == 0 ? problem.blocks : problem.other_forms[form - 1];
}

Status ValidateProblem(const Problem& problem) {
  RETURN_IF_ERROR(CheckBlocks(problem.blocks));
  RETURN_IF_ERROR(CheckForms(problem));
  RETURN_IF_ERROR(CheckNetwork(problem.network));
  RETURN_IF_ERROR(CheckWishes(problem));
  if (problem.volunteers.size() > kVolunteersMax) {
    return Bad("volunteers", StrCat("at most ", kVolunteersMax, " can be planned"));
  }
  std::vector<NodeId> nodes;
  nodes.reserve(problem.volunteers.size());
  for (const Volunteer& volunteer : problem.volunteers) {
    RETURN_IF_ERROR(CheckVolunteer(problem, volunteer));
    nodes.push_back(volunteer.node);
  }
  std::ranges::sort(nodes);
  const auto twice = std::ranges::adjacent_find(nodes);
  if (twice != nodes.end()) return Bad(StrCat("volunteer ", twice->value), "listed twice");
  return {};
}

}  // namespace shoal::planner
