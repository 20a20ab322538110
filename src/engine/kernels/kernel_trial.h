// A small product to try tile kernels on: whether they are right here, and, for a caller with a
// clock, how fast.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/kernels/block_kernels.h"

namespace shoal::engine {

class KernelTrial {
 public:
  KernelTrial();

  // Multiplies kRows rows with a q4 matrix so many times; whether the last product has the bits of
  // ScalarBlockKernels.
  bool Run(const BlockKernels& kernels, size_t times);

  // All the ways in which kernels take rows together: four, two and one.
  static constexpr size_t kRows = 7;

 private:
  BlockMatrix weight_;
  BlockRows rows_;
  Serial serial_;
  std::vector<float> expected_;
  std::vector<float> product_;
};

}  // namespace shoal::engine
