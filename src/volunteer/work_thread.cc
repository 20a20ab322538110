#include "volunteer/work_thread.h"

#include <utility>

namespace shoal::volunteer {

WorkThread::WorkThread(net::EventLoop& loop) : loop_(loop), thread_([this] { Work(); }) {}

WorkThread::~WorkThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void WorkThread::Do(std::function<void()> job, std::function<void()> then) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(job), std::move(then)});
  }
  wake_.notify_one();
}

void WorkThread::Tell(std::function<void()> fn) {
  // This object is destroyed on the loop's thread, where the guard is looked at.
  loop_.Post([guard = std::weak_ptr(alive_), fn = std::move(fn)] {
    if (!guard.expired()) fn();
  });
}

void WorkThread::Work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job.run();
    job.run = nullptr;
    Tell(std::move(job.then));
  }
}

}  // namespace shoal::volunteer
