// shoal simulate SCENARIO --seeds A..B: the swarm's decisions in simulated worlds. Prints a line
// for every failing seed and a summary; exit status 1 if any checker fired. docs/simulator.md.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <string>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "simulator/simulation.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;
using simulator::Outcome;
using simulator::Plant;

constexpr uint64_t kFailuresShown = 5;

struct SimulateArguments {
  std::string scenario;
  std::string seeds = "1..100";
  std::string plant;
  fs::path scenarios;
  bool trace = false;
  bool until_found = false;
};

// Beside an installed binary, or in the source tree that it was built in.
fs::path FindScenarios() {
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  fs::path folder = binary.parent_path();
  for (const char* place : {"../share/shoal/scenarios", "../../tests/scenarios"}) {
    if (fs::exists(folder / place / "all.json", error)) {
      return fs::weakly_canonical(folder / place, error);
    }
  }
  return "tests/scenarios";
}

// "A..B", or "A" alone.
Result<std::pair<uint64_t, uint64_t>> ParseSeeds(std::string_view text) {
  const auto number = [&](std::string_view part) -> Result<uint64_t> {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size()) {
      return Fail(Code::kInvalidArgument, StrCat("--seeds: '", text, "' is not A..B"));
    }
    return value;
  };
  const size_t dots = text.find("..");
  ASSIGN_OR_RETURN(const uint64_t first, number(text.substr(0, dots)));
  if (dots == std::string_view::npos) return std::pair(first, first);
  ASSIGN_OR_RETURN(const uint64_t last, number(text.substr(dots + 2)));
  if (last < first)
    return Fail(Code::kInvalidArgument, "--seeds: the first seed is the smaller one");
  return std::pair(first, last);
}

struct Total {
  uint64_t seeds = 0;
  uint64_t failing = 0;
  uint64_t first_failing = 0;
  simulator::Counters counters;
};

Total RunSeeds(const simulator::Scenario& scenario, uint64_t first, uint64_t last, Plant plant,
               const SimulateArguments& arguments) {
  Total total;
  simulator::TraceSink trace;
  if (arguments.trace) trace = [](const std::string& line) { fmt::print("{}\n", line); };
  for (uint64_t seed = first; seed <= last; ++seed) {
    const Outcome outcome = simulator::Simulate(scenario, seed, plant, trace);
    ++total.seeds;
    total.counters.Add(outcome.counters);
    if (outcome.violations.empty()) continue;
    if (total.failing++ == 0) total.first_failing = seed;
    if (total.failing <= kFailuresShown) {
      for (const simulator::Violation& violation : outcome.violations) {
        fmt::print("{} seed {}: at {:.3f} s: {}: {}\n", scenario.name, seed,
                   static_cast<double>(violation.when) / kSecond, violation.rule, violation.what);
      }
    }
    if (arguments.until_found) break;
  }
  return total;
}

void PrintHeader() {
  fmt::print(
      "{:<36} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8} {:>9} {:>8} {:>7} {:>8} {:>8}\n",
      "scenario", "seeds", "failing", "sessions", "finished", "failed", "tokens", "losses",
      "rebuilds", "replayed", "reused", "loaded GB", "hops MB", "moved MB");
}

void PrintTotal(const std::string& name, const Total& total) {
  const simulator::Counters& c = total.counters;
  fmt::print(
      "{:<36} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8} {:>9} {:>8} {:>7.1f} {:>8.1f} "
      "{:>8.1f}\n",
      name, total.seeds, total.failing, c.sessions, c.finished, c.failed, c.tokens, c.losses,
      c.rebuilds, c.positions_replayed, c.positions_reused,
      static_cast<double>(c.bytes_loaded) / 1e9, static_cast<double>(c.bytes_relayed) / 1e6,
      static_cast<double>(c.bytes_handed_over) / 1e6);
  std::fflush(stdout);
}

Result<bool> RunSimulate(const SimulateArguments& arguments) {
  Plant plant = Plant::kNone;
  if (arguments.plant == "list") {
    for (const simulator::PlantInfo& info : simulator::AllPlants()) {
      fmt::print("{:<18} {}\n", info.name, info.what);
    }
    return true;
  }
  if (!arguments.plant.empty()) {
    const auto known = simulator::PlantFromName(arguments.plant);
    if (!known) {
      return Fail(Code::kNotFound, StrCat("no planted bug is called '", arguments.plant,
                                          "'; --plant list names them"));
    }
    plant = *known;
  }
  ASSIGN_OR_RETURN(const auto seeds, ParseSeeds(arguments.seeds));
  std::vector<std::string> names = {arguments.scenario};
  if (arguments.scenario == "all") {
    ASSIGN_OR_RETURN(names, simulator::ListScenarios(arguments.scenarios));
  }
  std::vector<simulator::Scenario> scenarios;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(simulator::Scenario scenario,
                     simulator::LoadScenario(arguments.scenarios, name));
    scenarios.push_back(std::move(scenario));
  }
  PrintHeader();
  Total all;
  for (const simulator::Scenario& scenario : scenarios) {
    const Total total = RunSeeds(scenario, seeds.first, seeds.second, plant, arguments);
    PrintTotal(scenario.name, total);
    all.seeds += total.seeds;
    all.failing += total.failing;
    all.counters.Add(total.counters);
  }
  if (scenarios.size() > 1) PrintTotal("all", all);
  return all.failing == 0;
}

}  // namespace

void AddSimulate(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("simulate", "run the swarm in simulated worlds");
  const auto arguments = std::make_shared<SimulateArguments>();
  arguments->scenarios = FindScenarios();
  command->add_option("scenario", arguments->scenario, "chat+churn, ..., or all");
  command->add_option("--seeds", arguments->seeds, "A..B")->capture_default_str();
  command->add_option("--plant", arguments->plant, "switch a planted bug on; list: name them");
  command->add_option("--scenarios", arguments->scenarios, "the folder of the scenarios");
  command->add_flag("--trace", arguments->trace, "print all that happens");
  command->add_flag("--until-found", arguments->until_found, "stop a scenario at a failing seed");
  command->callback([arguments, &exit_code] {
    if (arguments->scenario.empty() && arguments->plant != "list") {
      exit_code = ReportUsage("simulate needs a scenario: see tests/scenarios, or \"all\"");
      return;
    }
    const Result<bool> silent = RunSimulate(*arguments);
    exit_code = !silent ? ReportFailure(silent.error()) : *silent ? kDone : kFailed;
  });
}

}  // namespace shoal::cli
