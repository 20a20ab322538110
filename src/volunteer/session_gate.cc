#include "volunteer/session_gate.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"

namespace shoal::volunteer {

SessionGate::Work SessionGate::OneTurn(WorkQueue::Work piece) {
  return [piece = std::move(piece)](Done leave, Done done) {
    piece([leave = std::move(leave), done = std::move(done)] {
      leave();
      done();
    });
  };
}

Status SessionGate::Push(std::vector<SessionId> sessions, uint64_t bytes, Work work) {
  if (items_.size() >= WorkQueue::kItemsMax || bytes_ + bytes > WorkQueue::kBytesMax) {
    return Fail(Code::kResourceExhausted,
                StrCat(items_.size(), " frames with ", bytes_, " bytes wait here, limits are ",
                       WorkQueue::kItemsMax, " and ", WorkQueue::kBytesMax));
  }
  PushAlways(std::move(sessions), bytes, std::move(work));
  return {};
}

void SessionGate::PushAlways(std::vector<SessionId> sessions, uint64_t bytes, Work work) {
  items_.push_back({std::move(sessions), bytes, std::move(work)});
  bytes_ += bytes;
  Begin();
}

// Whatever is not behind other work of its sessions goes to the queue.
void SessionGate::Begin() {
  std::set<SessionId> taken;
  std::vector<std::list<Item>::iterator> ready;
  for (auto item = items_.begin(); item != items_.end(); ++item) {
    const bool is_free = std::ranges::none_of(
        item->sessions, [&](SessionId session) { return taken.contains(session); });
    taken.insert(item->sessions.begin(), item->sessions.end());
    if (is_free && item->work) ready.push_back(item);
  }
  for (const auto item : ready) {
    queue_.PushAlways(item->bytes, [this, item, work = std::exchange(item->work, nullptr),
                                    guard = std::weak_ptr(alive_)](WorkQueue::Done leave) {
      work(std::move(leave), [this, item, guard] {
        if (guard.expired()) return;
        bytes_ -= item->bytes;
        items_.erase(item);
        Begin();
      });
    });
  }
}

}  // namespace shoal::volunteer
