// The planner's answer, and its entry point.
//
//   Problem problem = ...;                        // problem.h
//   ASSIGN_OR_RETURN(PoolPlan plan, PlanPool(problem));
//   if (!plan.complete()) ... plan.missing_bytes ...
//
// incremental.h changes a plan when somebody comes or goes, what_if.h asks about volunteers who are
// not there, explain.h says all of it in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/problem.h"

namespace shoal::planner {

// A span and those who hold it: replicas of one another.
struct PlacedSpan {
  Span span;
  std::vector<NodeId> nodes;
  bool operator==(const PlacedSpan&) const = default;
};

// Stages in order of blocks, covering all of them. A session's route takes one node of each.
struct Pipeline {
  std::vector<PlacedSpan> stages;
  bool operator==(const Pipeline&) const = default;
};

enum class LeftOutReason : uint8_t {
  kNoPlan,         // There is no plan at all.
  kTooSmall,       // It has no room for a span of the plan.
  kStaysTooShort,  // It is usually gone before it has loaded.
  kTooSlow,        // Everybody on its routes would wait for it.
  kNotNeeded,      // Nothing gets better with it.
};

struct LeftOut {
  NodeId node;
  LeftOutReason reason = LeftOutReason::kNotNeeded;
  std::string why;  // One sentence for a person, with figures.
};

// What a plan is expected to achieve on the problem's workload (latency_model.h, routes.h).
struct Prediction {
  double token_s = 0;        // From one token of a lone stream to its next.
  double first_token_s = 0;  // From a prompt to its first token, nobody else being served.
  double stream_s = 0;  // Both per answered token, departures included: the objective's latency.
  double tokens_per_s = 0;     // Answered tokens of all sessions together.
  uint32_t rows = 1;           // Sessions in a decode step at which that is reached.
  uint64_t bytes_to_move = 0;  // To load before the plan is there.
  double move_s = 0;           // How long that takes.
  double score = 0;            // The objective; smaller is better.
  // The score with what moving costs (Inertia), by which plans are compared.
  double effective = 0;
};

struct PoolPlan {
  std::vector<Pipeline> pipelines;  // Fastest first. Empty: no plan.
  std::vector<LeftOut> left_out;    // In order of nodes.
  Prediction prediction;
  uint64_t missing_bytes = 0;    // About how much memory is lacking when there is no plan ...
  uint32_t missing_devices = 0;  // ... and how many volunteers for limits.stages_min.

  bool complete() const { return !pipelines.empty(); }
};

// How much is tried before an answer is given.
enum class Care : uint8_t {
  kThorough,  // Up to hundreds of milliseconds: for people who ask, and for plans that stay.
  kQuick,     // A few milliseconds in small pools: for a coordinator that serves meanwhile.
};

// The best plan found for the pool as it is. Deterministic. Never without a plan when one exists
// for up to 10 volunteers; beyond, only if memory is so tight that hardly any order of volunteers
// works. kInvalidArgument when the problem is not valid.
Result<PoolPlan> PlanPool(const Problem& problem, Care care = Care::kThorough);

}  // namespace shoal::planner
