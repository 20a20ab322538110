// Parallel loops over the Workers of a tab: every Worker has an instance of this module of its own,
// all on one shared memory. The main instance alone allocates and hands out loops; the others do
// nothing but take part in them.
//
// A Worker joins a loop while it is open and is not waited for otherwise, so that one that sleeps
// or has no processor holds nobody up.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/parallel.h"

namespace shoal {

class WorkerPool : public engine::Parallel {
 public:
  // For the main instance, before its first loop: how many instances there are, itself included.
  void SetThreads(uint32_t threads) { threads_ = threads; }
  // For the instance of a Worker: takes part in loops until the Worker is ended.
  [[noreturn]] void Work();
  // A Worker broke in the middle of a loop. The main instance traps, now or in its next loop.
  void Break();

  size_t threads() const override { return threads_; }

 protected:
  void Run(size_t count, Call call, const void* body) override;

 private:
  void Drain();
  uint32_t AwaitLoop(uint32_t seen);

  uint32_t threads_ = 1;
  // Of the open loop.
  size_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<uint32_t> next_ = 0;
  // kOpen, kBroken, and below them the number of Workers that take part.
  std::atomic<uint32_t> state_ = 0;
  std::atomic<uint32_t> loop_ = 0;      // Counts loops.
  std::atomic<uint32_t> sleeping_ = 0;  // Workers that wait for the next one.
};

}  // namespace shoal
