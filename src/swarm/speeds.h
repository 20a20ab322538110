// What volunteers' steps cost: the planner's model (planner/cost_model.h) of each volunteer, from
// what is typical of its executor, what it says of itself, and what its steps then took.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "planner/cost_model.h"
#include "planner/plan.h"
#include "planner/problem.h"
#include "wire/frames.h"

namespace shoal::swarm {

// Rows of one session in a step.
struct RowCount {
  uint32_t position = 0;
  uint32_t count = 0;
};

// What a step over these rows asks of a stage that holds `span`. Of a session's rows only the last
// one passes through blocks that are needed for the last row alone (the head).
planner::StepWork WorkOf(const std::vector<planner::BlockCost>& blocks, planner::Span span,
                         std::span<const RowCount> rows);

// What is typical of an executor on a set of weights ("q4"; another name, or none: on those of
// which nothing particular is known); unknown executors are taken for slow.
planner::ExecutorSpeed TypicalSpeed(std::string_view executor, std::string_view weights = "");

// A newcomer's speed: typical, but for "probe.fixed_ms", "probe.gb_per_s" and "probe.gflops" where
// it measured them and they can be true (within a factor of 1,000 of what is typical). They were
// measured on q4: on other weights it is as much faster or slower than typical.
planner::ExecutorSpeed ClaimedSpeed(std::string_view executor, std::string_view weights,
                                    std::span<const wire::Measure> measures);

// Its link, of which "link.down_mbit_per_s" and "link.up_mbit_per_s" may be measured.
planner::Link ClaimedLink(std::span<const wire::Measure> measures);

}  // namespace shoal::swarm
