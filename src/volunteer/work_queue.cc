#include "volunteer/work_queue.h"

#include <utility>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::volunteer {

Status WorkQueue::Push(uint64_t bytes, Work work) {
  if (items_.size() >= kItemsMax || bytes_ + bytes > kBytesMax) {
    return Fail(Code::kResourceExhausted,
                StrCat(items_.size(), " frames with ", bytes_, " bytes wait here, limits are ",
                       kItemsMax, " and ", kBytesMax));
  }
  PushAlways(bytes, std::move(work));
  return {};
}

void WorkQueue::PushAlways(uint64_t bytes, Work work) {
  items_.push_back({bytes, std::move(work)});
  bytes_ += bytes;
  Drain();
}

void WorkQueue::PushNow(std::function<void()> work) {
  PushAlways(0, [work = std::move(work)](const Done& done) {
    work();
    done();
  });
}

void WorkQueue::Drain() {
  if (is_draining_) return;
  is_draining_ = true;
  while (!is_busy_ && !items_.empty()) {
    Item item = std::move(items_.front());
    items_.pop_front();
    bytes_ -= item.bytes;
    is_busy_ = true;
    item.work([this, guard = std::weak_ptr(alive_)] {
      if (guard.expired()) return;
      CHECK(is_busy_);
      is_busy_ = false;
      Drain();
    });
  }
  is_draining_ = false;
}

}  // namespace shoal::volunteer
