#include "volunteer/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/check.h"

namespace shoal::volunteer {

namespace {

// About 50 microseconds: longer than what lies between two loops of a step.
constexpr int kLooks = 2000;
// A thread that waits for others yields after so many looks, in case there are fewer processors.
constexpr int kLooksBeforeYield = 200;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(size_t threads) {
  CHECK(threads >= 1);
  for (size_t i = 1; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    loop_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(size_t count, Call call, const void* body) {
  if (workers_.empty() || count <= 1) {
    for (size_t i = 0; i < count; ++i) call(body, i);
    return;
  }
  count_ = count;
  call_ = call;
  body_ = body;
  next_.store(0, std::memory_order_relaxed);
  inside_.store(workers_.size(), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    loop_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  Drain();
  for (int looks = 0; inside_.load(std::memory_order_acquire) != 0; ++looks) {
    if (looks < kLooksBeforeYield) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::Drain() {
  for (;;) {
    const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    call_(body_, index);
  }
}

uint64_t ThreadPool::AwaitLoop(uint64_t seen) {
  for (int looks = 0; looks < kLooks; ++looks) {
    const uint64_t loop = loop_.load(std::memory_order_acquire);
    if (loop != seen) return loop;
    Pause();
  }
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return loop_.load(std::memory_order_acquire) != seen; });
  return loop_.load(std::memory_order_acquire);
}

void ThreadPool::Work() {
  uint64_t seen = 0;
  for (;;) {
    seen = AwaitLoop(seen);
    if (stopping_) return;
    Drain();
    inside_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace shoal::volunteer
