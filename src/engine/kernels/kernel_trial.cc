#include "engine/kernels/kernel_trial.h"

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "tensor/convert.h"

namespace shoal::engine {

namespace {

// Fits into a first-level cache.
constexpr size_t kInputs = 512;
constexpr size_t kOutputs = 2 * kTileColumns;

}  // namespace

KernelTrial::KernelTrial() : weight_(BlockFormat::kQ4, kOutputs, kInputs) {
  Random random(1);
  const size_t blocks = kOutputs * BlocksPerRow(kInputs);
  ByteVector codes(blocks * BlockCodeBytes(BlockFormat::kQ4));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.Below(256));
  std::vector<uint16_t> scales(blocks);
  for (uint16_t& scale : scales) scale = F32ToF16(static_cast<float>(random.NextDouble() - 0.5));
  weight_.FillTiles(0, codes, scales);
  std::vector<float> x(kRows * kInputs);
  for (float& value : x) value = static_cast<float>(random.NextDouble() - 0.5);
  rows_.Assign(x.data(), kRows, kInputs, serial_);
  expected_.resize(kRows * kOutputs);
  MultiplyBlocks(ScalarBlockKernels(), weight_, rows_, expected_.data(), serial_);
}

bool KernelTrial::Run(const BlockKernels& kernels, size_t times) {
  for (size_t i = 0; i < times; ++i) {
    product_.assign(expected_.size(), 0);
    MultiplyBlocks(kernels, weight_, rows_, product_.data(), serial_);
  }
  return std::memcmp(product_.data(), expected_.data(), product_.size() * sizeof(float)) == 0;
}

}  // namespace shoal::engine
