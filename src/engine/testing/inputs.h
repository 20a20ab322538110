// For tests: what several of them hand to the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "engine/kernels/kv_rows.h"
#include "engine/parallel.h"
#include "tensor/blocks.h"

namespace shoal::engine::testing {

inline constexpr BlockFormat kBlockFormats[] = {BlockFormat::kQ4, BlockFormat::kQ8};
inline constexpr KvFormat kKvFormats[] = {KvFormat::kF32, KvFormat::kF16, KvFormat::kQ8};

// Uniform in [-largest, largest).
inline std::vector<float> Noise(size_t count, uint64_t seed, double largest = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(2 * largest * random.NextDouble() - largest);
  }
  return values;
}

// Says that it has threads, and calls backwards, so that nothing can depend on the order.
class Backwards : public Parallel {
 public:
  explicit Backwards(size_t threads) : threads_(threads) {}
  size_t threads() const override { return threads_; }

 protected:
  void Run(size_t count, Call call, const void* body) override {
    while (count-- > 0) call(body, count);
  }

 private:
  size_t threads_;
};

}  // namespace shoal::engine::testing
