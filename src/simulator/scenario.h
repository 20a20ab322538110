// What a simulated world is drawn from. A scenario is a JSON file of tests/scenarios; several
// compose: "chat+churn+slow-uplink" reads three, each overriding what it names. docs/simulator.md
// lists the fields.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace shoal::simulator {

struct Range {
  double low = 0;
  double high = 0;
  double Draw(Random& random) const { return low + (high - low) * random.NextDouble(); }
  uint32_t Count(Random& random) const {
    return static_cast<uint32_t>(
        low + static_cast<double>(random.Below(static_cast<uint64_t>(high - low) + 1)));
  }
};

// How volunteers are lost, each per minute and pool.
struct ChurnRates {
  double close = 0;   // The tab is closed: its socket ends at once.
  double crash = 0;   // Gone without a word; the socket ends when the network notices.
  double freeze = 0;  // Stopped, socket open; wakes after `wakes_s`, or never.
  double leave = 0;   // Says that it is closing, and waits to be let go.
};

struct Scenario {
  std::string name;

  uint32_t blocks = 8;
  double block_mb = 20;
  // A second set of weights, of so many megabytes a block, and the part of the volunteers that are
  // faster with it. 0: there is one set.
  double wide_block_mb = 0;
  double wide_volunteers = 0;
  uint32_t positions = 256;
  uint32_t kv_bytes_per_position = 2000;  // Of one block.
  uint32_t chunk_rows = 16;
  uint32_t stages_min = 2;
  // Of every block but the first and the last: groups of experts beside its own weights, which
  // others may hold. 0: none.
  uint32_t expert_groups = 0;
  double expert_mb = 0;         // Of each group.
  uint32_t expert_holders = 0;  // As swarm::Config has it.

  Range volunteers = {10, 12};
  Range memory_blocks = {3, 8};  // What a volunteer can hold, beside its KV room.
  Range kv_positions = {600, 3000};
  Range block_ms = {0.2, 1};  // Of one row in one block.
  Range fixed_ms = {0.3, 2};  // Of any step.
  Range latency_ms = {2, 30};
  Range jitter_ms = {0, 4};
  Range up_mbit = {4, 40};
  Range down_mbit = {20, 400};
  Range loss = {0, 0.005};

  ChurnRates churn;
  Range losses = {5, 5};     // At least so many of volunteers that are in use, whatever the rates.
  Range back_s = {1, 10};    // After a loss somebody else comes, or the same one again.
  Range wakes_s = {1, 40};   // How long a frozen one sleeps.
  double returns = 0.5;      // Part of the lost that come back with what they had cached.
  double flappers = 0;       // Volunteers that come and go every few seconds.
  double load_failures = 0;  // Probability that an assignment cannot be loaded.
  double step_failures = 0;  // Probability that a step fails.
  double slowdowns = 0;      // Per minute: somebody becomes ten times slower for a while.
  double partitions = 0;     // Per minute.
  Range partition_s = {0.5, 5};
  Range partition_part = {0.1, 0.5};  // Part of the volunteers cut off.

  uint32_t requests = 30;
  uint32_t clients = 4;
  Range arrival_s = {0, 15};
  Range prompt = {4, 60};
  Range answer = {4, 40};
  double cancels = 0;         // Part of the requests that are cancelled at some time.
  double shared_prompts = 0;  // Part that begin with a common system prompt.
  Range shared_tokens = {40, 80};
  double greedy_client = 0;  // Part of all requests that come from one client.
};

// Reads "a+b+c" from `folder`. kNotFound for an unknown name, kInvalidArgument for a bad file.
Result<Scenario> LoadScenario(const std::filesystem::path& folder, std::string_view names);
// The compositions that "all" means: folder/all.json.
Result<std::vector<std::string>> ListScenarios(const std::filesystem::path& folder);

}  // namespace shoal::simulator
