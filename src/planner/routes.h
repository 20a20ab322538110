// What a plan achieves: the routes that sessions take over it, filled fastest first.
//
// A pipeline is a list of stages; every stage has one or more holders (replicas) of its span. A
// route is one holder per stage. Routes of a pipeline are found by their latency: the fastest one
// takes tokens until a volunteer on it is busy all the time, then the fastest one over what is
// left, and so on (successive shortest paths, as a router by shortest expected finish would load
// them). Over all pipelines together, with n sessions:
//
//   throughput = sum of x_i over routes, fastest first, with
//     x_i <= rate_i                                  (no volunteer or link is over-used)
//     sum of x_i * latency_i <= n                    (Little's law: only n tokens are under way)
//     sum of x_i * relay_bytes_i <= the coordinator's port
//
// the asymptotic bounds of a closed queueing network (Denning and Buzen, "The operational analysis
// of queueing network models", 1978), maximised over the rows r of a decode step. For one pipeline
// without replicas it is max over r of min(n / latency(r), 1 / max u(r)).
#pragma once

#include <array>
#include <span>
#include <vector>

#include "planner/latency_model.h"

namespace shoal::planner {

struct DraftStage {
  Span span;
  std::vector<Index> holders;  // At least one.
  bool operator==(const DraftStage&) const = default;
};
// Stages in order of blocks, covering all of them; no volunteer twice.
using DraftPipeline = std::vector<DraftStage>;

struct Route {
  double latency_s = 0;    // Of a stream, per answered token.
  double rate = 0;         // Answered tokens per second at most, beside the routes before it.
  double relay_bytes = 0;  // Through the coordinator per answered token.
};

inline constexpr size_t kShapesMax = 11;  // Rows 1 to 1024.

// The routes of one pipeline, for every shape (Costs::Rows), fastest first.
struct RouteSet {
  std::vector<Route> routes;
  std::array<uint32_t, kShapesMax + 1> begin{};  // Of shape s: [begin[s], begin[s + 1]).
  double load_slowest_s = 0;                     // What it takes to load what is not cached.
  double load_bytes = 0;

  std::span<const Route> Of(size_t shape) const {
    return std::span(routes).subspan(begin[shape], begin[shape + 1] - begin[shape]);
  }
};

RouteSet RoutesOf(const Costs& costs, const DraftPipeline& pipeline);

// Routes of pipelines that stay as they are while others are tried: merged once.
class Background {
 public:
  Background() = default;
  Background(const Costs& costs, std::span<const RouteSet* const> sets);

  struct Figures {
    double latency_s = 0;   // Of the fastest stream, per answered token.
    double throughput = 0;  // Answered tokens per second.
    size_t shape = 0;       // Rows of a step at which that is reached.
    double load_s = 0;
    double load_bytes = 0;
    // Smaller is better (Objective), without and with what loading costs (Inertia).
    double score = 0;
    double effective = 0;
  };
  // Together with `changed`. Without any route the scores are infinite.
  Figures With(const Costs& costs, std::span<const RouteSet* const> changed) const;

 private:
  std::array<std::vector<Route>, kShapesMax> merged_;  // By latency.
  double load_slowest_s_ = 0;
  double load_bytes_ = 0;
};

// The figures of a plan as a whole.
Background::Figures Evaluate(const Costs& costs, std::span<const RouteSet> sets);

double ScoreOf(const Costs& costs, double latency_s, double throughput);

// A pipeline's worth by itself, at its full rate whatever the number of sessions, without and with
// what loading it costs; smaller is better.
double PipelineScore(const Costs& costs, const DraftPipeline& pipeline);
double PipelineEffective(const Costs& costs, const DraftPipeline& pipeline);

// One stage of a pipeline without replicas.
struct ChainStage {
  Index volunteer = 0;
  Span span;
  bool operator==(const ChainStage&) const = default;
};
using Chain = std::vector<ChainStage>;

DraftPipeline ToPipeline(const Chain& chain);
// The same as Evaluate() of that pipeline alone, without allocating.
Background::Figures EvaluateChain(const Costs& costs, const Chain& chain);
// Its one route for steps of the shape's rows.
Route ChainRoute(const Costs& costs, const Chain& chain, size_t shape);
// The fastest route of one row.
Chain FastestRoute(const Costs& costs, const DraftPipeline& pipeline);
// One decode step of one row through the chain and back, and the wait for the first token; s.
double TokenSeconds(const Costs& costs, const Chain& chain);
double FirstTokenSeconds(const Costs& costs, const Chain& chain);

}  // namespace shoal::planner
