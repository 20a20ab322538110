// Threads for the engine's loops.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/parallel.h"

namespace shoal::volunteer {

// The caller works along with `threads` - 1 threads of its own. Between loops these look out for
// the next one for a short while, because a step is hundreds of loops, and then sleep. One loop at
// a time, from one thread at a time.
class ThreadPool : public engine::Parallel {
 public:
  // At least 1.
  explicit ThreadPool(size_t threads);
  ~ThreadPool() override;

  size_t threads() const override { return workers_.size() + 1; }

 protected:
  void Run(size_t count, Call call, const void* body) override;

 private:
  void Work();
  // Takes calls until none is left.
  void Drain();
  // Waits for a loop after `seen`; its number.
  uint64_t AwaitLoop(uint64_t seen);

  std::vector<std::thread> workers_;
  // The loop in progress; written while no worker is inside of one.
  size_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<size_t> next_{0};
  // Workers that have not left the loop yet.
  std::atomic<size_t> inside_{0};
  // Counts loops. A loop ends only when all workers have left it, so that each sees every one.
  std::atomic<uint64_t> loop_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace shoal::volunteer
