#include "cli/devices.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "base/str_cat.h"
#include "model/json.h"

namespace shoal::cli {

namespace {

using model::JsonObject;

constexpr size_t kKindsMax = 1024;
constexpr double kGbMax = 1e6;
constexpr double kMbitMax = 1e6;
constexpr double kBytesPerMbit = 125'000;
constexpr double kMsMax = 60'000;

using Clusters = std::map<std::string, uint32_t>;  // 1 + the index.

constexpr auto kFileFields = std::to_array<std::string_view>(
    {"answer_tokens", "chunk_rows", "clusters", "devices", "latency_weight", "positions",
     "prompt_tokens", "rows_max", "sessions", "stages_min"});
constexpr auto kClusterFields =
    std::to_array<std::string_view>({"latency_ms", "mbit_per_s", "name"});
constexpr auto kDeviceFields = std::to_array<std::string_view>(
    {"cluster", "count", "down_mbit_per_s", "fixed_ms", "gb_per_s", "gflops", "latency_ms",
     "memory_gb", "name", "stay_minutes", "up_mbit_per_s", "weights"});

// A field that is misspelt would be planned without.
Status CheckFields(const JsonObject& object, std::span<const std::string_view> known) {
  for (const auto& member : object.object()) {
    const std::string_view name = member.key();
    if (std::ranges::find(known, name) != known.end()) continue;
    std::string names;
    for (const std::string_view one : known) names += StrCat(names.empty() ? "" : ", ", one);
    return object.Wrong(name, StrCat("there is no such field; there are ", names));
  }
  return {};
}

Status ReadClusters(const JsonObject& file, planner::Network& network, Clusters& clusters) {
  if (!file.Has("clusters")) return {};
  ASSIGN_OR_RETURN(const std::vector<JsonObject> list, file.Objects("clusters", kKindsMax));
  for (const JsonObject& object : list) {
    RETURN_IF_ERROR(CheckFields(object, kClusterFields));
    ASSIGN_OR_RETURN(const std::string name, object.Text("name"));
    ASSIGN_OR_RETURN(const double latency_ms, object.NumberOr("latency_ms", 1, 0, kMsMax));
    ASSIGN_OR_RETURN(const double mbit, object.NumberOr("mbit_per_s", 400, 1e-3, kMbitMax));
    network.clusters.push_back({latency_ms / 1000, mbit * kBytesPerMbit});
    const auto number = static_cast<uint32_t>(network.clusters.size());
    if (!clusters.emplace(name, number).second) return object.Wrong("name", "is there twice");
  }
  return {};
}

Result<planner::Volunteer> ReadDevice(const JsonObject& object, const Clusters& clusters) {
  RETURN_IF_ERROR(CheckFields(object, kDeviceFields));
  planner::Volunteer device;
  ASSIGN_OR_RETURN(const double memory_gb, object.Number("memory_gb", 0, kGbMax));
  ASSIGN_OR_RETURN(const double gb_per_s, object.NumberOr("gb_per_s", 10, 1e-3, kGbMax));
  ASSIGN_OR_RETURN(const double gflops, object.NumberOr("gflops", 50, 1e-3, 1e9));
  ASSIGN_OR_RETURN(const double fixed_ms, object.NumberOr("fixed_ms", 2, 0, kMsMax));
  ASSIGN_OR_RETURN(const double latency_ms, object.NumberOr("latency_ms", 10, 0, kMsMax));
  ASSIGN_OR_RETURN(const double up, object.NumberOr("up_mbit_per_s", 10, 1e-3, kMbitMax));
  ASSIGN_OR_RETURN(const double down, object.NumberOr("down_mbit_per_s", 50, 1e-3, kMbitMax));
  ASSIGN_OR_RETURN(const double minutes, object.NumberOr("stay_minutes", 30, 1e-3, 1e9));
  device.memory_bytes = static_cast<uint64_t>(memory_gb * 1e9);
  device.speed = {fixed_ms / 1000, 1 / (gb_per_s * 1e9), 1 / (gflops * 1e9)};
  device.link = {.latency_s = latency_ms / 1000,
                 .up_bytes_per_s = up * kBytesPerMbit,
                 .down_bytes_per_s = down * kBytesPerMbit};
  device.stay_s = minutes * 60;
  if (object.Has("cluster")) {
    ASSIGN_OR_RETURN(const std::string name, object.Text("cluster"));
    const auto at = clusters.find(name);
    if (at == clusters.end()) return object.Wrong("cluster", StrCat("'", name, "' is not listed"));
    device.link.cluster = at->second;
  }
  return device;
}

Status ReadDevices(const JsonObject& file, const Clusters& clusters, DevicesFile& devices) {
  ASSIGN_OR_RETURN(const std::vector<JsonObject> list, file.Objects("devices", kKindsMax));
  std::vector<planner::Volunteer>& volunteers = devices.problem.volunteers;
  for (const JsonObject& object : list) {
    ASSIGN_OR_RETURN(planner::Volunteer device, ReadDevice(object, clusters));
    ASSIGN_OR_RETURN(const std::string name,
                     object.TextOr("name", StrCat("device ", devices.kinds.size() + 1)));
    ASSIGN_OR_RETURN(const uint64_t count,
                     object.UintOr("count", 1, 1, planner::kVolunteersMax - volunteers.size()));
    ASSIGN_OR_RETURN(const std::string weights, object.TextOr("weights", ""));
    devices.kinds.push_back(
        {name, static_cast<uint32_t>(volunteers.size()), static_cast<uint32_t>(count), weights});
    for (uint64_t i = 0; i < count; ++i) {
      device.node = NodeId{static_cast<uint32_t>(volunteers.size() + 1)};
      volunteers.push_back(device);
    }
  }
  return {};
}

Status ReadWishes(const JsonObject& file, planner::Problem& problem) {
  planner::Workload& work = problem.workload;
  const auto read = [&](std::string_view name, uint32_t& value, uint64_t min,
                        uint64_t max) -> Status {
    ASSIGN_OR_RETURN(const uint64_t number, file.UintOr(name, value, min, max));
    value = static_cast<uint32_t>(number);
    return {};
  };
  RETURN_IF_ERROR(read("sessions", work.sessions, 1, 1 << 20));
  RETURN_IF_ERROR(read("prompt_tokens", work.prompt_tokens, 1, 1 << 24));
  RETURN_IF_ERROR(read("answer_tokens", work.answer_tokens, 1, 1 << 24));
  RETURN_IF_ERROR(read("chunk_rows", work.chunk_rows, 1, 4096));
  RETURN_IF_ERROR(read("rows_max", work.rows_max, 1, planner::kRowsMax));
  problem.limits = {.stages_min = 1,
                    .positions = 2048,
                    .overhead_bytes = planner::kExecutorOverheadBytes,
                    .weight_percent = planner::kWeightPercent};
  RETURN_IF_ERROR(read("positions", problem.limits.positions, 1, 1 << 24));
  RETURN_IF_ERROR(read("stages_min", problem.limits.stages_min, 1, planner::kBlocksMax));
  ASSIGN_OR_RETURN(problem.objective.latency_weight, file.NumberOr("latency_weight", 1, 0, 1));
  return {};
}

}  // namespace

std::string DevicesFile::NameOf(NodeId node) const {
  for (const DeviceKind& kind : kinds) {
    if (node.value <= kind.first || node.value > kind.first + kind.count) continue;
    return kind.count == 1 ? kind.name : StrCat(kind.name, " ", node.value - kind.first);
  }
  return StrCat("volunteer ", node.value);
}

Result<DevicesFile> ParseDevices(std::string_view text, std::string_view where) {
  ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(text, where));
  ASSIGN_OR_RETURN(const JsonObject file, JsonObject::From(value, std::string(where)));
  RETURN_IF_ERROR(CheckFields(file, kFileFields));
  DevicesFile devices;
  Clusters clusters;
  RETURN_IF_ERROR(ReadClusters(file, devices.problem.network, clusters));
  RETURN_IF_ERROR(ReadDevices(file, clusters, devices));
  RETURN_IF_ERROR(ReadWishes(file, devices.problem));
  return devices;
}

}  // namespace shoal::cli
