// Keeps the work of each session in order where a piece of it is more than one turn in the work
// queue: a step whose rows wait for experts elsewhere lets other sessions' steps pass, and nothing
// of its own sessions.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "volunteer/work_queue.h"

namespace shoal::volunteer {

// Like a WorkQueue, on the same thread; what may begin goes to the work queue behind it.
class SessionGate {
 public:
  using Done = WorkQueue::Done;
  // Calls `leave` when its turn in the queue is over, and `done` when the sessions' next work may
  // begin; each once, in any order.
  using Work = std::function<void(Done leave, Done done)>;

  // Of what takes one turn in the queue.
  static Work OneTurn(WorkQueue::Work piece);

  explicit SessionGate(WorkQueue& queue) : queue_(queue) {}

  // Begins once everything that was pushed before it for one of `sessions` is done.
  // kResourceExhausted when too much waits already.
  Status Push(std::vector<SessionId> sessions, uint64_t bytes, Work work);
  void PushAlways(std::vector<SessionId> sessions, uint64_t bytes, Work work);

 private:
  struct Item {
    std::vector<SessionId> sessions;
    uint64_t bytes = 0;
    Work work;  // Null once it has begun.
  };

  void Begin();

  WorkQueue& queue_;
  std::list<Item> items_;  // In the order of their coming, until they are done.
  uint64_t bytes_ = 0;
  // Done functions may outlive the gate.
  std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace shoal::volunteer
