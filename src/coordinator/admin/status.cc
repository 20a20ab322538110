#include "coordinator/admin/status.h"

#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <vector>

namespace shoal {

namespace {

namespace json = boost::json;

// What is told of a crowd of answers.
constexpr size_t kRoutesMax = 32;

std::string_view StateName(swarm::VolunteerState state) {
  switch (state) {
    case swarm::VolunteerState::kSpare:
      return "spare";
    case swarm::VolunteerState::kLoading:
      return "loading";
    case swarm::VolunteerState::kReady:
      return "ready";
  }
  return "";
}

// Three significant digits or more: for people.
double Rounded(double value) {
  const double scale = std::abs(value) < 10 ? 1000 : 10;
  return std::round(value * scale) / scale;
}

// The plan: for each pipeline its stages, each with those who hold it.
json::array DescribePlan(const planner::PoolPlan& plan) {
  json::array pipelines;
  for (const planner::Pipeline& pipeline : plan.pipelines) {
    json::array stages;
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      json::array nodes;
      for (const NodeId node : placed.nodes) nodes.push_back(node.value);
      stages.push_back(json::object{{"blocks", json::array{placed.span.first, placed.span.last}},
                                    {"volunteers", std::move(nodes)}});
    }
    pipelines.push_back(std::move(stages));
  }
  return pipelines;
}

json::object Describe(NodeId node, const swarm::Swarm& swarm, const VolunteerLink* link) {
  const swarm::Volunteer& volunteer = swarm.volunteers().at(node);
  json::array blocks;
  if (!volunteer.span.empty()) {
    blocks.push_back(json::array{volunteer.span.first, volunteer.span.last});
  }
  json::object out{{"id", node.value},
                   {"executor", volunteer.executor},
                   {"blocks", std::move(blocks)},
                   {"weights", swarm.WeightsOf(volunteer.form)},
                   {"activations", swarm.IsF16(volunteer.form) ? "f16" : "f32"},
                   {"memory_bytes", volunteer.memory_bytes},
                   {"tokens_done", volunteer.tokens_done},
                   {"expert_groups", volunteer.experts.size()},
                   {"state", StateName(volunteer.state)},
                   {"bytes_done", volunteer.bytes_done},
                   {"bytes_total", volunteer.bytes_total},
                   {"round_trip_ms", static_cast<double>(volunteer.round_trip) / kMillisecond}};
  const planner::SpeedEstimate& speed = volunteer.speed;
  out["step"] = json::object{{"measured", speed.observations()},
                             {"error_percent", Rounded(100 * speed.PredictionError())},
                             {"fixed_ms", Rounded(1e3 * speed.speed().fixed_s)},
                             {"gb_per_s", Rounded(1e-9 / speed.speed().s_per_byte)},
                             {"gflops", Rounded(1e-9 / speed.speed().s_per_flop)}};
  if (link != nullptr) {
    out["block_rows_done"] = link->block_rows_done;
    out["agent"] = link->agent();
    out["platform"] = link->profile().platform;
    out["threads"] = link->profile().threads;
  }
  return out;
}

// The routes of the answers under way, those along the same stages together.
json::array DescribeRoutes(const swarm::Swarm& swarm) {
  std::map<std::vector<std::array<uint64_t, 3>>, size_t> answers;  // By node, first and last block.
  for (const auto& [id, session] : swarm.sessions()) {
    if (!session.running()) continue;
    std::vector<std::array<uint64_t, 3>> stages;
    for (const swarm::Hop& hop : session.route) {
      stages.push_back({hop.node.value, hop.span.first, hop.span.last});
    }
    ++answers[std::move(stages)];
  }
  json::array routes;
  for (const auto& [stages, count] : answers) {
    if (routes.size() == kRoutesMax) break;
    json::array described;
    for (const auto& [node, first, last] : stages) {
      described.push_back(json::object{{"id", node}, {"blocks", json::array{first, last}}});
    }
    routes.push_back(json::object{{"stages", std::move(described)}, {"answers", count}});
  }
  return routes;
}

// A full swarm answers, only not at once.
bool IsReady(const Status& available) {
  return available.has_value() || available.error().code == Code::kResourceExhausted;
}

}  // namespace

std::string StatusJson(const Hub& hub, const std::string& model_name, bool is_private) {
  const swarm::Swarm& swarm = hub.swarm();
  const Status available = hub.Availability();
  json::array volunteers;
  for (const auto& [node, volunteer] : swarm.volunteers()) {
    volunteers.push_back(Describe(node, swarm, hub.FindLink(node)));
  }
  json::array route;
  for (const planner::Stage& stage : swarm.MainStages()) {
    route.push_back(json::object{{"id", stage.node.value},
                                 {"blocks", json::array{stage.span.first, stage.span.last}}});
  }
  return json::serialize(
      json::object{{"ready", IsReady(available)},
                   {"detail", available ? "" : available.error().detail},
                   {"missing_bytes", swarm.MissingBytes()},
                   {"blocks", swarm.config().blocks.size()},
                   {"stages_min", swarm.config().stages_min},
                   {"model", model_name},
                   {"private", is_private},
                   {"context_tokens", swarm.config().positions},
                   {"volunteers", std::move(volunteers)},
                   {"route", std::move(route)},
                   {"routes", DescribeRoutes(swarm)},
                   {"plan", DescribePlan(swarm.plan())},
                   {"predicted_token_ms", Rounded(1e3 * swarm.predicted_token_s())},
                   {"measured_token_ms", Rounded(1e3 * swarm.measured_token_s())},
                   {"kept_bytes", swarm.kept_bytes()},
                   {"sessions", swarm.sessions().size()},
                   {"tokens_per_second", std::round(swarm.TokensPerSecond(hub.Now()) * 10) / 10}});
}

HistorySample Look(const Hub& hub, int64_t unix_seconds) {
  const swarm::Swarm& swarm = hub.swarm();
  return {.unix_seconds = unix_seconds,
          .tokens_per_second = swarm.TokensPerSecond(hub.Now()),
          .volunteers = static_cast<double>(swarm.volunteers().size()),
          .answers = static_cast<double>(swarm.sessions().size()),
          .available = IsReady(hub.Availability()) ? 1.0 : 0.0};
}

}  // namespace shoal
