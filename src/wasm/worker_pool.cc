#include "wasm/worker_pool.h"

#include <cstdlib>

#include "base/check.h"

namespace shoal {

namespace {

constexpr uint32_t kOpen = 1u << 31;
constexpr uint32_t kBroken = 1u << 30;
// Some 50 microseconds: longer than what lies between two loops of a step.
constexpr int kLooks = 20'000;

// Sleeps while `word` is `value`.
void Wait(std::atomic<uint32_t>& word, uint32_t value) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&word), static_cast<int>(value), -1);
}

void Wake(std::atomic<uint32_t>& word, uint32_t count) {
  __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&word), count);
}

}  // namespace

void WorkerPool::Run(size_t count, Call call, const void* body) {
  if (threads_ == 1 || count <= 1) {
    for (size_t i = 0; i < count; ++i) call(body, i);
    return;
  }
  count_ = count;
  call_ = call;
  body_ = body;
  next_.store(0, std::memory_order_relaxed);
  state_.fetch_or(kOpen);
  loop_.fetch_add(1);
  if (sleeping_.load() != 0) Wake(loop_, threads_ - 1);
  Drain();
  uint32_t state = state_.fetch_and(~kOpen) & ~kOpen;
  for (int looks = 0; state != 0; ++looks, state = state_.load(std::memory_order_acquire)) {
    CHECK_MSG((state & kBroken) == 0, "a thread of the engine broke");
    if (looks >= kLooks) Wait(state_, state);
  }
}

void WorkerPool::Drain() {
  for (;;) {
    const uint32_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    call_(body_, index);
  }
}

uint32_t WorkerPool::AwaitLoop(uint32_t seen) {
  for (int looks = 0; looks < kLooks; ++looks) {
    const uint32_t loop = loop_.load(std::memory_order_acquire);
    if (loop != seen) return loop;
  }
  sleeping_.fetch_add(1);
  uint32_t loop = loop_.load();
  for (; loop == seen; loop = loop_.load()) Wait(loop_, seen);
  sleeping_.fetch_sub(1);
  return loop;
}

void WorkerPool::Work() {
  uint32_t seen = 0;
  for (;;) {
    seen = AwaitLoop(seen);
    uint32_t state = state_.load();
    while ((state & kOpen) != 0) {
      if (!state_.compare_exchange_weak(state, state + 1)) continue;
      Drain();
      if (state_.fetch_sub(1) == 1) Wake(state_, 1);
      break;
    }
  }
}

void WorkerPool::Break() {
  state_.fetch_or(kBroken);
  Wake(state_, 1);
}

}  // namespace shoal
