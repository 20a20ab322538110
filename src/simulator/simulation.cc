#include "simulator/simulation.h"

#include "simulator/clients.h"
#include "simulator/faults.h"

namespace shoal::simulator {

namespace {

constexpr Micros kTick = 250 * kMillisecond;
constexpr Micros kFaultsFor = 60 * kSecond;  // At most; they are spent earlier.
constexpr Micros kLongest = 400 * kSecond;
constexpr Micros kProgress = 125 * kSecond;  // A little more than the swarm gives them.
constexpr Micros kRest = 25 * kSecond;       // After the last answer: the silent ones are given up.

class Run {
 public:
  Run(const Scenario& scenario, uint64_t seed, Plant plant, TraceSink trace)
      : world_(scenario, seed, plant, std::move(trace)), faults_(world_), clients_(world_) {}

  Outcome Go() {
    const uint32_t volunteers = world_.scenario().volunteers.Count(world_.random());
    for (uint32_t i = 0; i < volunteers; ++i) {
      world_.timeline().At(static_cast<Micros>(world_.random().Below(2 * kSecond)),
                           [this] { world_.Join(0, {}); });
    }
    clients_.Start();
    faults_.Start(kFaultsFor);
    Tick();
    while (!over_ && world_.timeline().Step()) {
    }
    world_.checkers().CheckRest([&](NodeId node) {
      const auto seat = world_.seats().find(node);
      return seat != world_.seats().end() && seat->second.volunteer &&
             seat->second.volunteer->frozen();
    });
    world_.CheckReplay();
    if (world_.counters().losses < world_.scenario().losses.low) {
      world_.checkers().Report("tame", "too few volunteers in use were lost");
    }
    world_.counters().positions_reused = world_.swarm().positions_reused();
    Outcome outcome{world_.checkers().violations(), world_.counters(), world_.now()};
    return outcome;
  }

 private:
  void Tick() {
    world_.Tick();
    world_.checkers().CheckProgress(kProgress);
    const bool done = clients_.Done() && world_.checkers().AllEnded();
    if (!done) {
      idle_since_ = world_.now();
    } else if (faults_.HasMore()) {
      clients_.AskOneMore();
    } else if (world_.now() - idle_since_ > kRest) {
      over_ = true;
    }
    if (world_.now() > kLongest) over_ = true;
    world_.timeline().After(kTick, [this] { Tick(); });
  }

  World world_;
  Faults faults_;
  Clients clients_;
  Micros idle_since_ = 0;
  bool over_ = false;
};

}  // namespace

Outcome Simulate(const Scenario& scenario, uint64_t seed, Plant plant, TraceSink trace) {
  return Run(scenario, seed, plant, std::move(trace)).Go();
}

}  // namespace shoal::simulator
