#include "engine/kernels/kernel_trial.h"

#include <gtest/gtest.h>

namespace shoal::engine {
namespace {

TEST(KernelTrial, FindsAllKernelsOfThisMachineRight) {
  KernelTrial trial;
  for (const BlockKernels* kernels : BlockKernelsHere()) {
    EXPECT_TRUE(trial.Run(*kernels, 2)) << kernels->name;
  }
}

// Right but for rows that come alone.
void MultiplyWrongly(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                     size_t first_row, size_t row_count, float* out, size_t out_stride) {
  ScalarBlockKernels().multiply_tile(weight, tile, rows, first_row, row_count, out, out_stride);
  if (row_count % 2 == 1) out[(row_count - 1) * out_stride] += 1e-3f;
}

TEST(KernelTrial, FindsWrongOnes) {
  KernelTrial trial;
  EXPECT_FALSE(trial.Run(BlockKernels{"wrong", MultiplyWrongly}, 1));
  EXPECT_TRUE(trial.Run(ScalarBlockKernels(), 1));
}

}  // namespace
}  // namespace shoal::engine
