#include "simulator/scenario.h"

#include "base/str_cat.h"
#include "model/file.h"
#include "model/json.h"

namespace shoal::simulator {

namespace {

using model::JsonObject;
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kNamesMax = 16;

struct RangeField {
  const char* name;
  Range Scenario::* field;
  double min, max;
};
constexpr RangeField kRanges[] = {
    {"volunteers", &Scenario::volunteers, 1, 1000},
    {"memory_blocks", &Scenario::memory_blocks, 0, 1000},
    {"kv_positions", &Scenario::kv_positions, 0, 1e7},
    {"block_ms", &Scenario::block_ms, 0, 1e5},
    {"fixed_ms", &Scenario::fixed_ms, 0, 1e5},
    {"latency_ms", &Scenario::latency_ms, 0, 1e4},
    {"jitter_ms", &Scenario::jitter_ms, 0, 1e4},
    {"up_mbit", &Scenario::up_mbit, 0.01, 1e5},
    {"down_mbit", &Scenario::down_mbit, 0.01, 1e5},
    {"loss", &Scenario::loss, 0, 1},
    {"losses", &Scenario::losses, 0, 1000},
    {"back_s", &Scenario::back_s, 0, 1e4},
    {"wakes_s", &Scenario::wakes_s, 0, 1e4},
    {"partition_s", &Scenario::partition_s, 0, 1e3},
    {"partition_part", &Scenario::partition_part, 0, 1},
    {"arrival_s", &Scenario::arrival_s, 0, 1e4},
    {"prompt", &Scenario::prompt, 1, 1e5},
    {"answer", &Scenario::answer, 1, 1e5},
    {"shared_tokens", &Scenario::shared_tokens, 1, 1e5},
};

struct CountField {
  const char* name;
  uint32_t Scenario::* field;
  uint32_t min, max;
};
constexpr CountField kCounts[] = {
    {"blocks", &Scenario::blocks, 1, 256},
    {"positions", &Scenario::positions, 1, 100'000},
    {"kv_bytes_per_position", &Scenario::kv_bytes_per_position, 0, 1 << 20},
    {"chunk_rows", &Scenario::chunk_rows, 1, 4096},
    {"stages_min", &Scenario::stages_min, 1, 64},
    {"expert_groups", &Scenario::expert_groups, 0, 64},
    {"expert_holders", &Scenario::expert_holders, 0, 64},
    {"requests", &Scenario::requests, 1, 100'000},
    {"clients", &Scenario::clients, 1, 1000},
};

struct NumberField {
  const char* name;
  double Scenario::* field;
  double max;
};
constexpr NumberField kNumbers[] = {
    {"block_mb", &Scenario::block_mb, 1e6},
    {"wide_block_mb", &Scenario::wide_block_mb, 1e6},
    {"wide_volunteers", &Scenario::wide_volunteers, 1},
    {"expert_mb", &Scenario::expert_mb, 1e6},
    {"returns", &Scenario::returns, 1},
    {"flappers", &Scenario::flappers, 100},
    {"load_failures", &Scenario::load_failures, 1},
    {"step_failures", &Scenario::step_failures, 1},
    {"slowdowns", &Scenario::slowdowns, 1e4},
    {"partitions", &Scenario::partitions, 1e4},
    {"cancels", &Scenario::cancels, 1},
    {"shared_prompts", &Scenario::shared_prompts, 1},
    {"greedy_client", &Scenario::greedy_client, 1},
};

struct ChurnField {
  const char* name;
  double ChurnRates::* field;
};
constexpr ChurnField kChurn[] = {
    {"close", &ChurnRates::close},
    {"crash", &ChurnRates::crash},
    {"freeze", &ChurnRates::freeze},
    {"leave", &ChurnRates::leave},
};

Status CheckNames(const JsonObject& file) {
  for (const auto& member : file.object()) {
    const std::string_view name = member.key();
    const auto is = [&](const auto& field) { return name == field.name; };
    if (name == "about" || name == "churn" || std::ranges::any_of(kRanges, is) ||
        std::ranges::any_of(kCounts, is) || std::ranges::any_of(kNumbers, is)) {
      continue;
    }
    return file.Wrong(name, "is no field of a scenario");
  }
  return {};
}

Status Apply(const JsonObject& file, Scenario& scenario) {
  RETURN_IF_ERROR(CheckNames(file));
  for (const RangeField& range : kRanges) {
    if (!file.Has(range.name)) continue;
    ASSIGN_OR_RETURN(const std::vector<double> bounds,
                     file.Numbers(range.name, range.min, range.max, 2));
    if (bounds[0] > bounds[1]) return file.Wrong(range.name, "the first bound is the lower one");
    scenario.*range.field = {bounds[0], bounds[1]};
  }
  for (const CountField& count : kCounts) {
    ASSIGN_OR_RETURN(const uint64_t value,
                     file.UintOr(count.name, scenario.*count.field, count.min, count.max));
    scenario.*count.field = static_cast<uint32_t>(value);
  }
  for (const NumberField& number : kNumbers) {
    ASSIGN_OR_RETURN(scenario.*number.field,
                     file.NumberOr(number.name, scenario.*number.field, 0, number.max));
  }
  if (!file.Has("churn")) return {};
  ASSIGN_OR_RETURN(const JsonObject churn, file.Object("churn"));
  for (const ChurnField& rate : kChurn) {
    ASSIGN_OR_RETURN(scenario.churn.*rate.field,
                     churn.NumberOr(rate.name, scenario.churn.*rate.field, 0, 1e4));
  }
  return {};
}

Status CheckWhole(const Scenario& scenario) {
  const double longest = scenario.prompt.high + scenario.answer.high +
                         (scenario.shared_prompts > 0 ? scenario.shared_tokens.high : 0);
  if (longest > scenario.positions) {
    return Fail(Code::kInvalidArgument,
                StrCat(scenario.name, ": prompts and answers of up to ", longest,
                       " tokens, positions is ", scenario.positions));
  }
  if (scenario.volunteers.low < 10 || scenario.requests < 30 || scenario.losses.low < 5) {
    return Fail(
        Code::kInvalidArgument,
        StrCat(scenario.name, ": a run has at least 10 volunteers, 30 requests and 5 losses"));
  }
  return {};
}

}  // namespace

Result<Scenario> LoadScenario(const std::filesystem::path& folder, std::string_view names) {
  Scenario scenario;
  scenario.name = std::string(names);
  std::string_view left = names;
  for (size_t count = 0; !left.empty(); ++count) {
    if (count == kNamesMax) {
      return Fail(Code::kInvalidArgument, StrCat("at most ", kNamesMax, " scenarios compose"));
    }
    const size_t plus = std::min(left.find('+'), left.size());
    const std::string name(left.substr(0, plus));
    left.remove_prefix(std::min(plus + 1, left.size()));
    if (name.empty() ||
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos) {
      return Fail(Code::kInvalidArgument, StrCat("'", name, "' is no scenario's name"));
    }
    const std::filesystem::path path = folder / (name + ".json");
    ASSIGN_OR_RETURN(const std::string text, model::ReadFile(path, kFileBytesMax));
    ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(text, path.string()));
    ASSIGN_OR_RETURN(const JsonObject file, JsonObject::From(value, path.string()));
    RETURN_IF_ERROR(Apply(file, scenario));
  }
  RETURN_IF_ERROR(CheckWhole(scenario));
  return scenario;
}

Result<std::vector<std::string>> ListScenarios(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "all.json";
  ASSIGN_OR_RETURN(const std::string text, model::ReadFile(path, kFileBytesMax));
  ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(text, path.string()));
  ASSIGN_OR_RETURN(const JsonObject file, JsonObject::From(value, path.string()));
  return file.Texts("scenarios", 1000);
}

}  // namespace shoal::simulator
