// How available a model's blocks are while volunteers come and go: a model of membership and
// placement alone, for pools too large and days too long for the simulator. It runs none of
// swarm/'s code: no frames, no sessions, no routes; a block is there or it is not.
//
// People are here for times drawn from a Weibull distribution of shape 0.5 (most stay for minutes,
// a few for hours: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006),
// and away for exponential times whose mean moves with the time of day. Every block is wanted
// `replicas` times; who is chosen to hold blocks loads them over its own link and holds them until
// it leaves. What it had loaded is not there when it comes back.
#pragma once

#include <cstdint>

namespace shoal::availability {

enum class Choice : uint8_t {
  kRandom,       // Anybody who is spare.
  kLongestHere,  // Of a few spare ones, who has been here longest: it will stay longest.
};

struct Scenario {
  uint32_t people = 200'000;  // Half of them here at a time, on average.
  double hours = 24;
  double stay_minutes = 30;  // Mean.
  double daily_swing = 0.4;  // Part by which comings go up and down over the day.
  uint32_t blocks = 126;
  double block_gb = 1.6;  // A layer of a 405B model in 4 bits.
  uint32_t replicas = 3;
  Choice choice = Choice::kRandom;
  uint64_t seed = 1;
};

struct Outcome {
  double available = 0;  // Part of the time at which every block was ready somewhere.
  uint64_t outages = 0;  // Times that it stopped being so.
  double outage_s = 0;   // Mean length of one.
  double loaded_tb = 0;  // In all.
  double wasted = 0;     // Part of that by people who left before it was loaded.
  double holders = 0;    // Mean.
  uint64_t joins = 0;
  uint64_t leaves = 0;
};

// The first hour, in which the blocks are loaded for the first time, does not count.
Outcome Run(const Scenario& scenario);

}  // namespace shoal::availability
