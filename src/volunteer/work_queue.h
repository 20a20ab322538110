// Work on the stage, done one piece at a time in the order of arrival, with limits on what may
// wait.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "base/result.h"

namespace shoal::volunteer {

// Belongs to one thread.
class WorkQueue {
 public:
  static constexpr size_t kItemsMax = 4096;
  static constexpr uint64_t kBytesMax = 256u << 20;  // Of payloads that wait.

  using Done = std::function<void()>;
  // Calls `done` once, when the next piece may begin: before it returns or later.
  using Work = std::function<void(Done done)>;

  // kResourceExhausted when too much waits already.
  Status Push(uint64_t bytes, Work work);
  // For work that bounds itself, such as freeing memory.
  void PushAlways(uint64_t bytes, Work work);
  // A piece that does not wait for anything.
  void PushNow(std::function<void()> work);

 private:
  struct Item {
    uint64_t bytes = 0;
    Work work;
  };

  void Drain();

  std::deque<Item> items_;
  uint64_t bytes_ = 0;
  bool is_busy_ = false;
  bool is_draining_ = false;
  // Done functions may outlive the queue.
  std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace shoal::volunteer
