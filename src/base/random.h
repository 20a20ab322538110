// Random numbers as a pure function of a counter, so that any number of a stream can be made again
// anywhere: the sampler and the simulator depend on it.
#pragma once

#include <array>
#include <cstdint>

namespace shoal {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four
// uniform 32-bit words for every (counter, key).
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of numbers from a seed; small state, not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}

  uint64_t NextU64();
  // Uniform in [0, bound), without modulo bias; bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1).
  double NextDouble();

 private:
  uint64_t seed_;
  uint64_t counter_ = 0;
};

}  // namespace shoal
