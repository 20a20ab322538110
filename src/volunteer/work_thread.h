// The thread on which a volunteer computes and reads files, so that its event loop always answers.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "net/event_loop.h"

namespace shoal::volunteer {

// To be used and destroyed on the loop's thread.
class WorkThread {
 public:
  explicit WorkThread(net::EventLoop& loop);
  // Waits for the job that runs. Jobs that have not begun, and calls of `then` that have not been
  // made, never come.
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  // Calls `job` on the thread, in the order of the calls, then `then` from the loop.
  void Do(std::function<void()> job, std::function<void()> then);
  // Calls `fn` from the loop, unless this object is gone by then. For jobs, on the thread.
  void Tell(std::function<void()> fn);

 private:
  struct Job {
    std::function<void()> run;
    std::function<void()> then;
  };

  void Work();

  net::EventLoop& loop_;
  std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // Guarded by mutex_.
  bool stopping_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace shoal::volunteer
