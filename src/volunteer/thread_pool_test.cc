#include "volunteer/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace shoal::volunteer {
namespace {

TEST(ThreadPool, CallsEveryIndexOnce) {
  for (const size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const size_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> calls(count);
      pool.For(count, [&](size_t i) { ++calls[i]; });
      EXPECT_EQ(calls, std::vector<int>(count, 1));
    }
  }
}

// Loops in quick succession, and others after the threads went to sleep.
TEST(ThreadPool, LosesNoLoop) {
  ThreadPool pool(3);
  std::vector<uint64_t> values(64);
  for (int round = 0; round < 2000; ++round) {
    if (round % 500 == 499) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.For(values.size(), [&](size_t i) { values[i] += i; });
  }
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 2000 * i);
}

}  // namespace
}  // namespace shoal::volunteer
