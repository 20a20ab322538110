// The virtual clock: things happen in order of time, and in order of planning at one time.
#pragma once

#include <functional>
#include <queue>
#include <vector>

#include "base/time.h"

namespace shoal::simulator {

class Timeline {
 public:
  Micros now() const { return now_; }

  void At(Micros when, std::function<void()> what) {
    queue_.push({std::max(when, now_), next_++, std::move(what)});
  }
  void After(Micros delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }

  // Does what comes next; false when nothing does.
  bool Step() {
    if (queue_.empty()) return false;
    // The queue gives only const access; the order does not depend on what is moved out.
    std::function<void()> what = std::move(const_cast<Entry&>(queue_.top()).what);
    now_ = queue_.top().when;
    queue_.pop();
    what();
    return true;
  }

 private:
  struct Entry {
    Micros when;
    uint64_t order;
    std::function<void()> what;
    bool operator<(const Entry& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  std::priority_queue<Entry> queue_;
  Micros now_ = 0;
  uint64_t next_ = 0;
};

}  // namespace shoal::simulator
